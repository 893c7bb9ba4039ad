"""What age and falls leave on a vertebra: bony spurs at its rims and wedge fractures."""

from dataclasses import dataclass

import numpy as np

from vertebra_ml.phantom.bones import Bone, Frame
from vertebra_ml.phantom.meshes import Array
from vertebra_ml.phantom.ranges import Ranges


@dataclass(frozen=True)
class Wear:
    """Of one vertebra: spur lengths at the upper and lower rim, mm, and height lost in front.

    ``side`` is where the spurs are longest: -1 left, 0 in front, 1 right.
    """

    upper_mm: float
    lower_mm: float
    side: float
    loss: float


def draw_wear(rng: np.random.Generator, ranges: Ranges, levels: tuple[str, ...]) -> dict[str, Wear]:
    """Draw the wear of every level; those without any are left out.

    A rate is that of persons: one who has spurs has them at several neighbours from T5 down; one
    with a fracture has one or two, most at T11 to L2.
    """
    found: dict[str, Wear] = {}
    low = [level for level in levels if level[0] == "L" or level in _LOWER_THORACIC]
    spurred, broken = rng.random(2) < (ranges.osteophyte_rate, ranges.fracture_rate)
    first, many = int(rng.integers(len(low))), int(rng.integers(2, 7))
    lengths = rng.uniform(*ranges.osteophyte_mm, (len(low), 2)) * rng.uniform(0.4, 1, (len(low), 2))
    side = rng.uniform(-1, 1)
    hit = rng.choice(low, size=2, replace=False, p=_fracture_weights(low)).tolist()
    hit = hit[: int(broken) * (1 + int(rng.random() < 0.3))]
    losses = rng.uniform(*ranges.fracture_loss, len(low))
    for i, level in enumerate(low):
        spur = lengths[i] if spurred and first <= i < first + many else np.zeros(2)
        loss = float(losses[i]) if level in hit else 0.0
        wear = Wear(float(spur[0]), float(spur[1]), side, loss)
        if wear.upper_mm or wear.loss:
            found[level] = wear
    return found


_LOWER_THORACIC = frozenset(f"T{n}" for n in range(5, 14))


def _fracture_weights(levels: list[str]) -> Array:
    usual = {"T11": 2.0, "T12": 4.0, "L1": 4.0, "L2": 2.0, "T7": 1.5, "T8": 1.5}
    weights = np.array([usual.get(level, 1.0) for level in levels])
    share: Array = weights / weights.sum()
    return share


def sunken(frame: Frame, wear: Wear) -> Frame:
    """Return the frame of a body after its fracture: the middle of what still stands."""
    lost = wear.loss * frame.size[2] / 2
    centre = frame.centre - frame.axes[2] * lost / 2
    return Frame(centre, frame.axes, frame.size - np.array([0.0, 0.0, lost]))


def worn(bone: Bone, frame: Frame, wear: Wear) -> Bone:
    """Return a vertebra with its spurs grown and its front sunk in."""
    local = frame.local(bone.vertices)
    width, depth, height = frame.size
    front = np.clip(local[:, 1] / depth + 0.5, 0.0, 1.0) * (local[:, 1] > -depth / 2)
    part = local[:, 2] / (height / 2)
    # The upper endplate sinks most; the back wall stands.
    sunk = wear.loss * height * front * np.clip((part + 1.0) / 2, 0.0, 1.0)
    rim = np.hypot(local[:, 0] / (width / 2), local[:, 1] / (depth / 2))
    at_rim = np.clip((rim - 0.75) / 0.2, 0.0, 1.0) * (front > 0.2) * (rim < 1.3)
    towards = np.clip(0.65 + 0.6 * wear.side * local[:, 0] / (width / 2), 0.0, 1.2)
    # Spurs curve out and over the disc, some of them towards one another.
    upper = wear.upper_mm * np.clip((part - 0.55) / 0.4, 0.0, 1.0) * at_rim * towards
    lower = wear.lower_mm * np.clip((-part - 0.55) / 0.4, 0.0, 1.0) * at_rim * towards
    out = local[:, :2] / np.maximum(np.linalg.norm(local[:, :2], axis=1, keepdims=True), 1e-9)
    shaped = local.copy()
    shaped[:, :2] += out * (upper + lower)[:, None]
    shaped[:, 2] += 0.35 * (upper - lower) - sunk
    return Bone(bone.name, bone.kind, frame.place(shaped), bone.faces)
