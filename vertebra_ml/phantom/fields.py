"""Which part of a body is scanned, how finely, and how the grid lies in the world."""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from vertebra_ml.phantom.canvas import Array
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.tissue import Outline

ORIENTATIONS = tuple(
    "".join(flip[axis] for axis, flip in zip(order, flips, strict=True))
    for order in permutations(range(3))
    for flips in product(("RAS", "LPI"), repeat=3)
)
"""All 48 ways in which the axes of a grid can run."""

VOXELS_MAX = 30_000_000
RENDERED_MM = np.array([1.7, 1.7, 2.0])
"""Coarsest grid that bones are painted on; a coarser scan is averaged from such a grid."""
TILT_RATE, TILT_DEG = 0.2, (-8.0, 8.0)


@dataclass(frozen=True, eq=False)
class Field:
    """A box in the scanner's frame, mm, and the grid on it.

    Parameters
    ----------
    name : the part of the body.
    low_mm, high_mm : (3,) corners in the scanner's frame.
    spacing_mm : (3,) of the finished scan.
    orientation : where its axes point, as ``RAS``.
    tilt : (3, 3) rotation from the scanner's frame to the world.
    """

    name: str
    low_mm: Array
    high_mm: Array
    spacing_mm: Array
    orientation: str
    tilt: Array

    @property
    def factors(self) -> tuple[int, int, int]:
        """How many painted voxels are averaged into one, on each axis."""
        x, y, z = np.ceil(self.spacing_mm / RENDERED_MM - 1e-9).astype(int)
        return (int(x), int(y), int(z))


PARTS: dict[str, tuple[float, tuple[str, float], tuple[str, float]]] = {
    "whole trunk": (0.07, ("C1", 60.0), ("thigh", 0.0)),
    "chest, abdomen, pelvis": (0.2, ("C7", 35.0), ("pelvis", -90.0)),
    "chest": (0.17, ("C7", 30.0), ("L1", 0.0)),
    "thorax only": (0.05, ("T2", 15.0), ("T11", 10.0)),
    "neck and chest": (0.06, ("C1", 30.0), ("T12", 0.0)),
    "abdomen and pelvis": (0.17, ("T9", 20.0), ("pelvis", -90.0)),
    "abdomen": (0.12, ("T9", 20.0), ("L5", 0.0)),
    "lumbar spine": (0.06, ("T11", 10.0), ("L5", -60.0)),
    "pelvis": (0.04, ("L4", 20.0), ("thigh", 10.0)),
    "neck": (0.02, ("C1", 60.0), ("T4", 0.0)),
}
"""Rate, upper and lower edge (level and mm above it); the edges then vary by ``EDGE_MM``."""
EDGE_MM = 35.0
RANDOM_PART_MM = (60.0, 420.0)


def part_of(guide: Guide, rng: np.random.Generator) -> tuple[str, float, float]:
    """Draw which part is scanned: its name, lower and upper height in mm."""
    names = list(PARTS)
    rates = np.array([PARTS[name][0] for name in names])
    choice = int(np.searchsorted(np.cumsum(rates), rng.random()))
    if choice >= len(names):
        middle, length = rng.uniform(*_span(guide)), rng.uniform(*RANDOM_PART_MM)
        return "random part", middle - length / 2, middle + length / 2
    _, upper, lower = PARTS[names[choice]]
    high = _height(guide, upper[0]) + upper[1] + rng.uniform(-EDGE_MM, EDGE_MM)
    low = _height(guide, lower[0]) + lower[1] + rng.uniform(-EDGE_MM, EDGE_MM)
    return names[choice], low, max(high, low + 60)


def _span(guide: Guide) -> tuple[float, float]:
    return _height(guide, "pelvis"), _height(guide, "C4")


def _height(guide: Guide, place: str) -> float:
    if place in ("pelvis", "thigh"):
        pelvis = guide.cloud("pelvis")[:, 2]
        return float(pelvis.mean() if place == "pelvis" else pelvis.min() - 40)
    return float(guide.level(place)[2])


def draw_field(
    guide: Guide, shape: Outline, tilt: Array, rng: np.random.Generator, voxels_max: int
) -> Field:
    """Draw a scan as it comes. ``shape`` outlines the body in the scanner's frame."""
    name, low_z, high_z = part_of(guide, rng)
    skin = shape.bounds(guide, low_z, high_z)
    low, high = _in_plane(guide, skin, (low_z + high_z) / 2, name == "lumbar spine", rng)
    box = np.array([[*low, low_z], [*high, high_z]])
    spacing = _spacing(box[1] - box[0], rng, voxels_max)
    orientation = str(rng.choice(ORIENTATIONS)) if rng.random() < 0.6 else "LPS"
    return Field(name, box[0], box[1], spacing, orientation, tilt)


def draw_tilt(rng: np.random.Generator) -> Array:
    """Draw a small rotation (3, 3) of the grid against the world; mostly none."""
    if rng.random() >= TILT_RATE:
        return np.eye(3)
    turns = np.radians(rng.uniform(*TILT_DEG, 3))
    result = np.eye(3)
    for axis, turn in enumerate(turns):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(turn)
        step[i, j], step[j, i] = -np.sin(turn), np.sin(turn)
        result = result @ step
    return result


def _in_plane(
    guide: Guide, skin: Array, middle_z: float, narrow: bool, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw the field's (x, y) corners: round the body, cutting or halving it, at the spine."""
    kind = rng.random()
    if not narrow and 0.7 < kind < 0.8:
        return _beside_spine(guide, middle_z, rng)
    if not narrow and 0.64 < kind < 0.7:
        return _half_body(guide, skin, middle_z, rng)
    if narrow or kind < 0.1:
        x, y = guide.spine(np.array(middle_z))
        half = np.array([rng.uniform(60, 120), rng.uniform(60, 120)])
        centre = np.array([x, y - 5]) + rng.uniform(-22, 22, 2)
        return centre - half, centre + half
    centre = skin.mean(axis=0) + rng.uniform(-14, 14, 2)
    half = np.full(2, np.ptp(skin[:, 0]) / 2 + rng.uniform(5, 40))
    if kind < 0.3:  # a field smaller than the body
        half = half * rng.uniform(0.7, 0.95)
    if kind > 0.8:  # a crop to the body
        half[1] = np.ptp(skin[:, 1]) / 2 + rng.uniform(5, 30)
    return centre - half, centre + half


def _beside_spine(guide: Guide, middle_z: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw a field round an organ: the spine lies near its back edge, or is cut by it."""
    x, y = guide.spine(np.array(middle_z))
    half = rng.uniform(60, 130, 2)
    centre = np.array([x + rng.uniform(-0.8, 0.8) * half[0], y + half[1] - rng.uniform(-12, 55)])
    return centre - half, centre + half


def _half_body(
    guide: Guide, skin: Array, middle_z: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw a field over one side of the body that ends near the spine or through it."""
    edge = float(guide.spine(np.array(middle_z))[0]) + rng.uniform(-40, 40)
    low, high = skin + np.array([[-1.0], [1.0]]) * rng.uniform(2, 15, (2, 2))
    if rng.random() < 0.5:
        return np.array([edge, low[1]]), high
    return low, np.array([edge, high[1]])


def _spacing(size_mm: Array, rng: np.random.Generator, voxels_max: int) -> Array:
    """Draw a spacing (3,) of 0.5 to 7 mm that keeps the number of voxels in bounds."""
    if rng.random() < 0.15:
        spacing = np.full(3, rng.choice([1.0, 1.5, 2.0, 3.0, 4.0]))
    else:
        plane = rng.choice([rng.uniform(0.5, 1.0), rng.uniform(1.0, 1.6), rng.uniform(1.6, 5.0)],
                           p=[0.6, 0.25, 0.15])  # fmt: skip
        slices = rng.choice([0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.27, 4.0, 5.0, 7.0])
        spacing = np.array([plane, plane, slices])
    needed = size_mm.prod() / spacing.prod() / voxels_max
    if needed > 1:  # first thicker slices, then a coarser plane
        spacing[2] = max(spacing[2], min(5.0, spacing[2] * needed))
        needed = max(1.0, size_mm.prod() / spacing.prod() / voxels_max)
        spacing[:2] = np.minimum(5.0, spacing[:2] * np.sqrt(needed))
    return spacing


def trunk_field(guide: Guide, shape: Outline, rng: np.random.Generator) -> Field:
    """Draw the field of a training scan: skull base to thighs, fine enough for MIPs at 1 mm."""
    low_z, high_z = _height(guide, "thigh"), _height(guide, "C1") + 50
    margin = rng.uniform(5, 25)
    skin = shape.bounds(guide, low_z, high_z)
    low = np.array([*(skin[0] - margin), low_z])
    high = np.array([*(skin[1] + margin), high_z])
    spacing = np.array([*np.full(2, rng.uniform(1.4, 1.8)), rng.uniform(1.8, 2.6)])
    return Field("trunk", low, high, spacing, "RAS", np.eye(3))
