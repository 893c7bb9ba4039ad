"""From voxels that each name a level to one centre a level: medians of those that voted for it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.discs import DIAMETER_MM, gap_mm, ordinal

THRESHOLDS: Final = {"votes": 0.4, "votes_least": 1500.0}
"""``votes``: a level needs so many voxels of 1 mm, times its diameter cubed; as published.

``votes_least``: and no fewer than these; published are 3,000, more than a disc of C1 holds.
"""

APART: Final = 0.5
"""Two names nearer to each other than this part of the usual gap name one vertebra."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A level, the median of the voxels that voted for it, RAS mm, and how many of them."""

    level: str
    point_mm: NDArray[np.float64]
    votes: int

    @property
    def score(self) -> float:
        """Votes as a share of the voxels in the disc of this level, at most 1."""
        radius, gap = DIAMETER_MM[self.level] / 2, gap_mm(self.level)
        return float(min(1.0, self.votes / (np.pi * radius**2 * gap)))


def counted(
    votes: NDArray[np.uint8], share: float, least: float
) -> list[tuple[str, NDArray[np.float64], int]]:
    """Return (level, median voxel, votes) of each level with enough votes, head to foot.

    ``votes`` is (x, y, z) of 1 mm, ``discs.ordinal`` or 0 for no vote; ``share`` and
    ``least`` are the numbers of THRESHOLDS.
    """
    counts = np.bincount(votes.ravel(), minlength=len(LEVELS) + 1)
    enough = [
        level
        for level in LEVELS
        if counts[ordinal(level)] >= max(1.0, least, share * DIAMETER_MM[level] ** 3)
    ]
    return [
        (level, _median(votes == ordinal(level)), int(counts[ordinal(level)])) for level in enough
    ]


def consistent(candidates: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
    """Return the candidates kept, head to foot, and those dropped.

    Kept are those with the most votes together such that each lies below the one before, and far
    enough from it to be another vertebra (weighted longest chain).
    """
    ordered = sorted(candidates, key=lambda c: RANK[c.level])
    best: list[tuple[int, int]] = []  # (votes of the best chain that ends here, the one before)
    for i, lower in enumerate(ordered):
        chains = [(best[j][0], j) for j in range(i) if _follows(ordered[j], lower)]
        votes, before = max(chains, default=(0, -1))
        best.append((votes + lower.votes, before))
    kept: list[Candidate] = []
    place = max(range(len(best)), key=lambda i: best[i][0], default=-1)
    while place >= 0:
        kept.insert(0, ordered[place])
        place = best[place][1]
    return kept, [c for c in ordered if c not in kept]


def _follows(upper: Candidate, lower: Candidate) -> bool:
    away = float(np.linalg.norm(upper.point_mm - lower.point_mm))
    return bool(upper.point_mm[2] > lower.point_mm[2]) and away >= APART * gap_mm(upper.level)


def _median(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median along each axis of the voxels chosen, without listing them."""
    middle = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        total = np.cumsum(chosen.sum(axis=others))
        low, high = np.searchsorted(total, [(total[-1] + 1) // 2, total[-1] // 2 + 1])
        middle.append((low + high) / 2)
    return np.array(middle)
