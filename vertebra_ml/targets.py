"""Landmark heights as distributions over the rows of a picture, and the way back.

A row coordinate is fractional; centres of rows lie at whole numbers, the first at 0, so the scan
reaches from -0.5 to rows - 0.5. One entry is added behind the rows: "not in this scan".
"""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Tensor = NDArray[np.float32]
TargetKind = Literal["gaussian", "onehot"]

LABELLED, UNKNOWN, ABSENT = 0, 1, 2
"""What is known of a level: its row; nothing (seen but unlabelled, or cut by the edge); absence."""

HALF_BODY_MM: Final = 16.0
"""Half the height of a vertebra with its discs, lumbar, mm: a centre no further than this outside
the field may still show in it, so neither "present" nor "absent" is taught there."""

WINDOW_SIGMAS: Final = 2.0
FLOOR: Final = 1e-3
"""Rows weaker than this part of the peak tell nothing about its place."""


def gaussian(position: float, rows: int, sigma_rows: float) -> Floats:
    """Give (rows,) summing to 1: a bell of ``sigma_rows`` about ``position``, cut at the edges."""
    bell = np.exp(-0.5 * ((np.arange(rows) - position) / sigma_rows) ** 2)
    result: Floats = bell / bell.sum()
    return result


def onehot(position: float, rows: int, sigma_rows: float) -> Floats:
    """Give (rows,): 1 at the row nearest to ``position``."""
    target = np.zeros(rows)
    target[int(np.clip(np.floor(position + 0.5), 0, rows - 1))] = 1.0
    return target


TARGETS: Final[dict[str, Callable[[float, int, float], Floats]]] = {
    "gaussian": gaussian,
    "onehot": onehot,
}


def decode(distribution: Floats, sigma_rows: float) -> float:
    """Return the row coordinate of the highest peak of (rows,), finer than a row.

    The vertex of the parabola through the logarithms within two sigmas of the mode, weighted by
    the squared values (the variance of a logarithm falls so): exact for a sampled bell, also where
    the edge cuts it. Never further than half a row from the mode.
    """
    mode = int(np.argmax(distribution))
    reach = max(1, round(WINDOW_SIGMAS * sigma_rows))
    rows = np.arange(max(0, mode - reach), min(len(distribution), mode + reach + 1))
    near = distribution[rows] / max(float(distribution[mode]), np.finfo(float).tiny)
    rows, near = rows[near > FLOOR], near[near > FLOOR]
    if len(rows) < 3:
        return float(mode)
    curve, slope, _ = np.polyfit(rows - mode, np.log(near), 2, w=near)
    shift = -slope / (2 * curve) if curve < 0 else 0.0
    return float(mode + np.clip(shift, -0.5, 0.5))


def states_in_field(
    positions: Floats, states: NDArray[np.int8], rows: int, *, margin_rows: float
) -> NDArray[np.int8]:
    """Return what is known of each level within ``rows`` rows, given its place in them.

    A labelled level whose centre lies outside becomes ABSENT, or UNKNOWN within ``margin_rows`` of
    the edge.
    """
    outside = np.maximum(-0.5 - positions, positions - (rows - 0.5))
    result = states.copy()
    labelled = states == LABELLED
    result[labelled & (outside > 0)] = UNKNOWN
    result[labelled & (outside > margin_rows)] = ABSENT
    return result


def encode_levels(
    positions: Floats, states: NDArray[np.int8], rows: int, *, kind: str, sigma_rows: float
) -> tuple[Tensor, Tensor]:
    """Give targets (levels, rows + 1), of sum 1, and weights (levels,), 0 where unknown."""
    targets = np.zeros((len(positions), rows + 1), dtype=np.float32)
    draw = TARGETS[kind]
    for target, position, state in zip(targets, positions, states, strict=True):
        if state == LABELLED:
            target[:rows] = draw(float(position), rows, sigma_rows)
        else:
            target[rows] = 1.0
    return targets, (states != UNKNOWN).astype(np.float32)
