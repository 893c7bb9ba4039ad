"""What the network sees of a column: a row a candidate, head to foot, without place or frame."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.chain import Candidates
from vertebra_ml.chain.candidates import Floats, shapes
from vertebra_ml.errors import GeometryError
from vertebra_ml.rivals.columns import Rivals

Singles = NDArray[np.float32]

SEGMENT, SHAPE, SEEN, STEP = slice(0, 3), slice(3, 6), 6, slice(7, 10)
"""Columns of the inputs; after them: gap, first of all, how many follow, one below unnamed."""
INPUTS: Final = 14
CLIP: Final = 1e-3
LOGIT_SCALE: Final = 4.0
SHAPE_MIDDLE_MM: Final = np.array([32.0, 30.0, 4.0])
SHAPE_SCALE_MM: Final = np.array([10.0, 8.0, 6.0])
STEP_SCALE_MM: Final = 10.0
STEP_SHIFT: Final = 2.7
"""Added to the scaled step upwards, so that a usual one (27 mm down) is 0."""
FOLLOW_SCALE: Final = 8.0
NEAR_MM, ASIDE_MM = 75.0, 35.0
"""A candidate without a name this near below the column, and in line with it, may go on with it."""


def inputs_of(candidates: Candidates, rivals: Rivals) -> Singles:
    """Return (m, 14) of the candidates that ``rivals`` name.

    Raises GeometryError where the candidates have no segment probabilities.
    """
    if candidates.segments is None:
        raise GeometryError(
            "candidates",
            found="no segment probabilities",
            expected="them, as the network was taught with them",
            fix="name them with chain.label",
        )
    used, count = rivals.used, len(rivals.used)
    chance = np.clip(candidates.segments[used], CLIP, 1 - CLIP)
    measured = shapes(candidates)[used]
    seen = np.asarray(np.isfinite(measured).all(axis=1))
    shape = (np.nan_to_num(measured) - SHAPE_MIDDLE_MM) / SHAPE_SCALE_MM
    step = np.zeros((count, 3))
    step[1:] = np.diff(candidates.points_mm[used], axis=0) / STEP_SCALE_MM
    step[1:, 2] += STEP_SHIFT
    ranks = np.arange(count)
    rows = [
        np.log(chance / (1 - chance)) / LOGIT_SCALE,
        np.where(seen[:, None], shape, 0.0),
        seen[:, None],
        step,
        rivals.gaps[:, None],
        (ranks == 0)[:, None],
        (count - 1 - ranks)[:, None] / FOLLOW_SCALE,
        np.full((count, 1), _goes_on(candidates.points_mm, rivals)),
    ]
    return np.concatenate(rows, axis=1).astype(np.float32)


def _goes_on(points: Floats, rivals: Rivals) -> float:
    """Return 1 where a candidate without a name lies below the last, near and in line; else 0."""
    away = points[np.setdiff1d(np.arange(len(points)), rivals.used)] - points[rivals.used[-1]]
    near = (np.abs(away[:, 0]) < ASIDE_MM) & (np.linalg.norm(away, axis=1) < NEAR_MM)
    return float((near & (away[:, 2] < 0)).any())
