"""A random spinal column from the statistics of real ones: which levels, where, how tilted."""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any, Final

import numpy as np

from vertebra_ml.anatomy import RANK, USUAL
from vertebra_ml.phantom.bones import Frame
from vertebra_ml.phantom.meshes import Array, turn
from vertebra_ml.phantom.ranges import Ranges

BODY_MM: Final[dict[str, tuple[float, float, float]]] = {
    "C1": (19.0, 16.0, 0.70), "C2": (17.5, 15.5, 0.70), "C3": (18.0, 15.8, 0.72),
    "C4": (18.5, 15.8, 0.72), "C5": (19.5, 15.8, 0.72), "C6": (21.5, 16.5, 0.72),
    "C7": (25.0, 17.0, 0.74), "T1": (29.5, 17.5, 0.79), "T2": (28.5, 18.5, 0.80),
    "T3": (27.0, 20.0, 0.81), "T4": (26.5, 22.0, 0.82), "T5": (27.5, 24.0, 0.82),
    "T6": (28.5, 25.5, 0.82), "T7": (29.5, 27.0, 0.82), "T8": (31.0, 28.0, 0.82),
    "T9": (32.5, 29.0, 0.82), "T10": (34.5, 30.0, 0.81), "T11": (38.0, 31.0, 0.79),
    "T12": (42.0, 32.0, 0.79), "T13": (43.0, 32.5, 0.78), "L1": (44.0, 33.0, 0.79),
    "L2": (45.5, 34.0, 0.78), "L3": (47.5, 34.5, 0.76), "L4": (50.0, 35.0, 0.75),
    "L5": (52.0, 35.0, 0.74), "L6": (52.0, 34.5, 0.74),
}  # fmt: skip
"""Width and depth of a body, mm, and the part of the gap that its height takes.

Width and depth: mean of both endplates, Panjabi et al. 1991 and 1992 (Spine 16:861, 16:888,
17:299), widened to what CT masks show; the part: heights against gaps in the same masks.
"""

LIMIT_SIGMAS: Final = 3.0
"""No step lies further from its mean: what lies beyond in real data is rarely a real spine."""
TEMPLATE: Final = {"T13": "T12", "L6": "L5"}
"""Which bone of the atlas a variant is shaped after."""
SIDEWAYS: Final = 0.6
"""Part of the fitted sideways spread drawn for everybody; scoliosis is drawn apart."""
FADED_SLOPE: Final = 0.86
"""Steepest slope of the fading cosine wave of a scoliosis against that of a plain cosine."""
SCOLIOTIC_TWIST: Final = 0.35
"""Turn of the apical vertebra, its front to the outside of the bend, against the Cobb angle."""
GAP_AS: Final = {("T12", "T13"): "T12-L1", ("T13", "L1"): "T12-L1", ("T11", "L1"): "T12-L1"}


@dataclass(frozen=True, eq=False)
class Column:
    """A drawn column: levels head to foot, their frames, and what was drawn."""

    levels: tuple[str, ...]
    frames: dict[str, Frame]
    facts: dict[str, float | str | bool]


@functools.cache
def statistics() -> dict[str, Any]:
    """Return the fitted numbers of ``statistics.json`` (source named inside)."""
    text = resources.files("vertebra_ml.phantom").joinpath("statistics.json").read_text()
    content: dict[str, Any] = json.loads(text)
    return content


def draw_levels(rng: np.random.Generator, ranges: Ranges) -> tuple[str, ...]:
    """Draw which vertebrae a person has, head to foot."""
    t13, l6, no_t12 = rng.random(3) < (ranges.t13_rate, ranges.l6_rate, ranges.t12_absent_rate)
    levels = [level for level in USUAL if not (no_t12 and level == "T12")]
    levels += ["T13"] * bool(t13 and not no_t12) + ["L6"] * bool(l6)
    return tuple(sorted(levels, key=RANK.__getitem__))


def draw_steps(rng: np.random.Generator, ranges: Ranges) -> dict[str, Array]:
    """Draw the step of every pair of neighbours: (3,) mm RAS, upper body centre to lower.

    Lengths and front-to-back drifts are drawn together, as real ones go together.
    """
    model, pairs = statistics(), statistics()["pairs"]
    spread = np.repeat([ranges.gap_spread, ranges.curve_spread], len(pairs))
    both = _sample(rng, model["sagittal"], spread)
    length, forward = both[: len(pairs)], both[len(pairs) :]
    sideways = SIDEWAYS * _sample(rng, model["lateral"], np.ones(len(pairs)))
    sideways[[0, 1, -1]] = sideways[[2, 2, -2]]  # C1, C2 and L6: few, and annotated off the middle
    flat = np.hypot(forward, sideways)
    shrink = np.minimum(1.0, 0.85 * length / flat)
    down = -np.sqrt(length**2 - (flat * shrink) ** 2)
    steps = np.stack([sideways * shrink, forward * shrink, down], axis=1)
    return dict(zip(pairs, steps, strict=True))


def _sample(rng: np.random.Generator, model: dict[str, Any], spread: Array) -> Array:
    loadings = np.asarray(model["loadings"])
    own = np.sqrt(1 - (loadings**2).sum(axis=1))
    score = loadings @ rng.standard_normal(loadings.shape[1])
    score = score + own * rng.standard_normal(len(own))
    score = np.clip(score * spread, -LIMIT_SIGMAS, LIMIT_SIGMAS)
    drawn: Array = np.asarray(model["mean"]) + np.asarray(model["sd"]) * score
    return drawn


def draw_column(rng: np.random.Generator, ranges: Ranges) -> Column:
    """Draw a column with its bodies' frames; L1's body centre is the origin."""
    levels, steps = draw_levels(rng, ranges), draw_steps(rng, ranges)
    size = rng.uniform(*ranges.size)
    pairs = list(pairwise(levels))
    path = [np.zeros(3)]
    for pair in pairs:
        path.append(path[-1] + size * steps[_pair_name(pair)])
    centres = np.array(path) - path[levels.index("L1")]
    bend, cobb = _scoliosis(rng, ranges, centres[:, 2])
    centres = _bent(centres, bend, levels.index("L1"))
    frames = _frames(rng, ranges, levels, centres)
    twist = -SCOLIOTIC_TWIST * cobb * bend / max(np.abs(bend).max(), 1.0)
    frames = {
        level: Frame(frame.centre, turn((0, 0, 1), -angle) @ frame.axes, frame.size)
        for (level, frame), angle in zip(frames.items(), twist, strict=True)
    }
    facts: dict[str, float | str | bool] = {
        "size": size,
        "scale": _scale(levels, centres),
        "cobb_deg": cobb,
        "t13": "T13" in levels,
        "l6": "L6" in levels,
        "t12_absent": "T12" not in levels,
    }
    return Column(levels, frames, facts)


def _pair_name(pair: tuple[str, str]) -> str:
    return GAP_AS.get(pair, "-".join(pair))


def _scale(levels: tuple[str, ...], centres: Array) -> float:
    """Return the length of a column against the usual one of the same levels."""
    means = dict(zip(statistics()["pairs"], statistics()["sagittal"]["mean"], strict=False))
    usual = sum(means[_pair_name(pair)] for pair in pairwise(levels))
    return float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum() / usual)


def _bent(centres: Array, bend: Array, fixed: int) -> Array:
    """Return (n, 3) centres moved sideways by ``bend``, each step as long as before."""
    steps = np.diff(centres, axis=0)
    length = np.linalg.norm(steps, axis=1)
    steps[:, 0] += np.diff(bend)
    left = length**2 - steps[:, 0] ** 2 - steps[:, 1] ** 2
    steps[:, 2] = -np.sqrt(np.maximum(left, 0.25 * length**2))
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    moved: Array = path - path[fixed]
    return moved


def _scoliosis(rng: np.random.Generator, ranges: Ranges, z: Array) -> tuple[Array, float]:
    """Return the sideways shift (n,) of each height and the Cobb angle of the main curve."""
    draws = rng.random(4)
    if draws[0] >= ranges.scoliosis_rate:
        return np.zeros(len(z)), 0.0
    low, high = ranges.cobb_deg
    cobb = low + (high - low) * draws[1] ** 2  # mild ones are many
    side = 1.0 if draws[2] < 0.5 else -1.0
    apex, half = z[0] + (z[-1] - z[0]) * (0.35 + 0.45 * draws[3]), 150.0
    # A fading cosine wave whose steepest slopes differ by the Cobb angle.
    height = 2 * half / np.pi * np.tan(np.radians(cobb / 2)) / FADED_SLOPE
    phase = np.clip((z - apex) / half, -2.0, 2.0) * np.pi / 2
    return side * height * np.cos(phase) * np.exp(-((phase / 2.6) ** 2)), float(cobb)


def _frames(
    rng: np.random.Generator, ranges: Ranges, levels: tuple[str, ...], centres: Array
) -> dict[str, Frame]:
    width = rng.uniform(*ranges.vertebra_width)
    depth = rng.uniform(*ranges.vertebra_depth)
    disc = rng.uniform(*ranges.disc_height)
    tangents = smooth_tangents(centres)
    gaps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    near = np.concatenate([gaps[:1], (gaps[1:] + gaps[:-1]) / 2, gaps[-1:]])
    scale = _scale(levels, centres)
    frames = {}
    for i, level in enumerate(levels):
        usual = BODY_MM[level]
        part = 1 - (1 - usual[2]) * disc
        size = np.array([usual[0] * width * scale, usual[1] * depth * scale, near[i] * part])
        frames[level] = Frame(centres[i], _axes(tangents[i]), size)
    return frames


def smooth_tangents(centres: Array) -> Array:
    """Return the (n, 3) unit headward directions of a column through (n, 3) centres."""
    steps = centres[:-1] - centres[1:]
    first, last = 1.5 * steps[0] - 0.5 * steps[1], 1.5 * steps[-1] - 0.5 * steps[-2]
    tangents = np.concatenate([first[None], (steps[1:] + steps[:-1]) / 2, last[None]])
    unit: Array = tangents / np.linalg.norm(tangents, axis=1, keepdims=True)
    return unit


def _axes(up: Array) -> Array:
    right = np.array([1.0, 0.0, 0.0]) - up[0] * up
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up])
