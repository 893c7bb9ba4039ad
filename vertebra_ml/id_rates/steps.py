"""Distances between points, and steps between the levels of one patient."""

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS, RANK, USUAL
from vertebra_ml.landmarks import Truth

Floats = NDArray[np.float64]


def levels_off(level: str, truth: Truth, point_mm: Floats) -> float | None:
    """Return how many vertebrae lie from ``level``, which is labelled, to an answer of its name.

    0: the nearest label is the right one; +1: the answer sits on the next one towards the feet.
    None where no neighbour is labelled.
    """
    here, marks = truth.visible.index(level), truth.landmarks
    beside = [name for name in truth.visible[max(here - 1, 0) : here + 2] if name != level]
    gaps = [
        float(distances(marks[name][None], marks[level][None])[0, 0])
        for name in beside
        if name in marks
    ]
    if not gaps:
        return None
    apart = distances(point_mm[None], marks.points_mm)[0]
    nearest = marks.labels[int(apart.argmin())]
    if nearest != level or len(gaps) > 1:
        return float(truth.visible.index(nearest) - here)
    # Beyond a neighbour without a label, which is taken to lie as far away as the other one.
    steps = round(float(apart.min()) / gaps[0])
    return float(np.copysign(steps, marks[level][2] - point_mm[2]) if steps else 0)


def distances(first_mm: Floats, second_mm: Floats) -> Floats:
    """Return (n, m) mm between (n, 3) and (m, 3) points; along z alone where one is a height."""
    steps = first_mm.reshape(-1, 1, 3) - second_mm.reshape(1, -1, 3)
    return np.asarray(np.linalg.norm(np.nan_to_num(steps), axis=-1))


def column(truth: Truth) -> list[str]:
    """Return the patient's levels head to foot: those in the scan, and as most have beyond."""
    if not truth.visible:
        return []
    first, last = RANK[truth.visible[0]], RANK[truth.visible[-1]]
    above = [level for level in USUAL if RANK[level] < first]
    below = [level for level in LEVELS if RANK[level] > last and level != "T13"]
    return [*above, *truth.visible, *below]
