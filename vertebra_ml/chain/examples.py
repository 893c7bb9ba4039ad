"""Detections with their true names: what the statistics are fitted to and measured on."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.anatomy import GAP_MM, RANK
from vertebra_ml.chain.candidates import Candidates, Floats
from vertebra_ml.chain.keypoints import Spine, parse
from vertebra_ml.errors import DatasetError

HIT_MM: Final = 20.0
"""A candidate within this distance of a vertebra is that vertebra's."""
ASIDE_MM: Final = 25.0
EXTRA_MM: Final = 60.0
EXTRA: Final = "L6"
"""Below the last L5 of the truth 114 spines have one more candidate that the truth leaves unnamed.
It looks as the named L6 of 44 spines do (width, steps; the L5 above is as narrow as an L4)."""
UNKNOWN: Final = "?"
"""A candidate beyond the ends of the truth where a vertebra can be: neither right nor wrong."""


@dataclass(frozen=True, eq=False)
class Example:
    """One spine: what a network found, and the truth.

    Parameters
    ----------
    name : the file's.
    found : the network's candidates.
    levels, points_mm : the true vertebrae, head to foot; (m, 3) RAS mm.
    """

    name: str
    found: Candidates
    levels: tuple[str, ...]
    points_mm: Floats

    def nearest(self) -> list[int | None]:
        """Return, for each true vertebra, its nearest candidate within ``HIT_MM``."""
        if not len(self.found):
            return [None] * len(self.levels)
        away = _distances(self.points_mm, self.found.points_mm)
        return [int(row.argmin()) if row.min() <= HIT_MM else None for row in away]

    def names(self) -> list[str]:
        """Return a name for each candidate: a level, empty for none, or ``UNKNOWN``.

        A vertebra's candidate is the nearest, and must be nearer to it than to any other.
        """
        names = [""] * len(self.found)
        if not self.levels or not names:
            return names
        away = _distances(self.points_mm, self.found.points_mm)
        for vertebra, level in enumerate(self.levels):
            candidate = int(away[vertebra].argmin())
            if away[vertebra, candidate] <= HIT_MM and away[:, candidate].argmin() == vertebra:
                names[candidate] = level
        for candidate in range(len(names)):
            if away[:, candidate].min() > HIT_MM:
                names[candidate] = self._beyond(self.found.points_mm[candidate])
        return names

    def _beyond(self, point: Floats) -> str:
        """Say what a candidate far from every true vertebra can be."""
        above, below = self.points_mm[0] - point, point - self.points_mm[-1]
        top, bottom = self.levels[0], self.levels[-1]
        if point[2] > self.points_mm[0, 2]:
            return UNKNOWN if _fits(above, _gap(top, upper=True)) else ""
        if point[2] < self.points_mm[-1, 2]:
            if bottom == "L5":
                near = np.linalg.norm(below) < EXTRA_MM and abs(below[0]) < ASIDE_MM
                return EXTRA if near else ""
            return UNKNOWN if _fits(below, _gap(bottom, upper=False)) else ""
        return ""


def read_examples(folder: Path) -> list[Example]:
    """Read ``folder/detections`` and ``folder/truth``, a JSON file a spine in each.

    Raises DatasetError where there are none, or a truth is missing or names a level twice.
    """
    paths = sorted((folder / "detections").glob("*.json"))
    if not paths:
        raise DatasetError(
            folder,
            found="no detections/*.json",
            expected="detections/ and truth/, a file a spine",
            fix="name the folder of keypoints",
        )
    return [_example(path, folder / "truth" / path.name) for path in paths]


def _example(found: Path, true: Path) -> Example:
    truth = _read(true)
    levels = [level for level in truth.levels if level]
    if len(levels) < len(truth.levels) or len(set(levels)) < len(levels):
        raise DatasetError(
            true,
            found="a body without a level, or a level twice",
            expected="a level for each body, each once",
            fix="correct the file",
        )
    order = sorted(range(len(levels)), key=lambda i: RANK[levels[i]])
    points = truth.candidates.points_mm[order]
    return Example(found.stem, _read(found).candidates, tuple(levels[i] for i in order), points)


def _read(path: Path) -> Spine:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(
            path, found=f"no readable JSON ({error})", expected="a JSON list", fix="repair the file"
        ) from None
    return parse(content, path)


def _distances(points: Floats, others: Floats) -> Floats:
    result: Floats = np.linalg.norm(points[:, None] - others[None], axis=2)
    return result


def _gap(level: str, *, upper: bool) -> float:
    """Return the usual distance to the neighbour above or below, mm."""
    pairs: Sequence[tuple[str, str]] = [
        pair for pair in GAP_MM if (pair[1] if upper else pair[0]) == level
    ]
    return GAP_MM[pairs[0]][0] if pairs else 20.0


def _fits(step: Floats, gap: float) -> bool:
    return bool(abs(step[0]) < ASIDE_MM and 0.6 * gap < np.linalg.norm(step) < 1.5 * gap)
