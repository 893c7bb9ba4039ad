"""What is seen of a column: candidates for vertebrae, unnamed, and what is measured on each."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.errors import GeometryError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PEDICLE_MM: Final = 50.0
"""A pedicle point farther from every body centre belongs to none."""

SHAPE: Final = ("width", "back", "rise")
"""Measures of one vertebra, mm: pedicle to pedicle; from the body centre to the middle between the
pedicles, backwards and upwards."""


def _none() -> Floats:
    return np.empty((0, 3))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Points that may be vertebral body centres, in any order.

    Parameters
    ----------
    points_mm : (n, 3) RAS mm.
    segments : (n, 3) probabilities of cervical, thoracic, lumbar, which need not sum to 1.
    level_scores : (n, 26) probabilities of ``anatomy.LEVELS``, which need not sum to 1.
    left_mm, right_mm : (m, 3) RAS mm, pedicles of the patient's sides, in any order.

    Raises GeometryError for other shapes and for points or scores that are not finite.
    """

    points_mm: Floats
    segments: Floats | None = None
    level_scores: Floats | None = None
    left_mm: Floats = field(default_factory=_none)
    right_mm: Floats = field(default_factory=_none)

    def __post_init__(self) -> None:
        """Check shapes and values."""
        count = len(self.points_mm)
        for name, shape in {
            "points_mm": (count, 3),
            "segments": (count, 3),
            "level_scores": (count, len(LEVELS)),
            "left_mm": (len(self.left_mm), 3),
            "right_mm": (len(self.right_mm), 3),
        }.items():
            values = getattr(self, name)
            if values is not None and (values.shape != shape or not np.isfinite(values).all()):
                raise GeometryError(
                    "candidates",
                    found=f"{name} of shape {values.shape}, or not finite",
                    expected=f"{shape} finite numbers",
                    fix="give one row a candidate",
                )

    def __len__(self) -> int:
        """Return how many candidates there are."""
        return len(self.points_mm)


def head_to_foot(candidates: Candidates) -> Ints:
    """Return (n,) indices of the candidates, highest first."""
    return np.argsort(-candidates.points_mm[:, 2], kind="stable")


def shapes(candidates: Candidates) -> Floats:
    """Return (n, 3) measures in the order of ``SHAPE``; NaN where a pedicle is missing."""
    result = np.full((len(candidates), len(SHAPE)), np.nan)
    left = _own(candidates.points_mm, candidates.left_mm)
    right = _own(candidates.points_mm, candidates.right_mm)
    middle = (left + right) / 2 - candidates.points_mm
    result[:, 0] = np.linalg.norm(left - right, axis=1)
    result[:, 1], result[:, 2] = -middle[:, 1], middle[:, 2]
    return result


def _own(points: Floats, pedicles: Floats) -> Floats:
    """Return (n, 3): for each point the nearest of the pedicles whose nearest point it is."""
    own = np.full_like(points, np.nan)
    if not len(points) or not len(pedicles):
        return own
    distance = np.linalg.norm(points[:, None] - pedicles[None], axis=2)
    nearest = distance.argmin(axis=0)
    away = distance.min(axis=0)
    for pedicle in np.argsort(-away):  # the nearest last, so that it stays
        if away[pedicle] <= PEDICLE_MM:
            own[nearest[pedicle]] = pedicles[pedicle]
    return own
