"""Columns made from the statistics themselves, for tests: positions, segments, pedicles."""

from collections.abc import Sequence

import numpy as np

from vertebra_ml.chain import Candidates
from vertebra_ml.chain.builds import BUILDS, Build
from vertebra_ml.chain.statistics import FEATURE, STEPS, shipped

SEGMENTS = {"C": (0.98, 0.02, 0.02), "T": (0.03, 0.99, 0.03), "L": (0.03, 0.02, 0.99)}


def build(name: str) -> Build:
    """Return a build by its name."""
    return next(b for b in BUILDS if b.name == name)


def candidates(
    levels: Sequence[str], of: str = "usual", *, missing: Sequence[str] = (), segments: bool = True
) -> tuple[Candidates, list[str]]:
    """Return a column that steps as people do on average, and the name of each candidate."""
    places, known = build(of).levels, shipped()
    first = places.index(levels[0])
    point, points, names = np.array([3.0, -40.0, 900.0]), [], []
    for number, level in enumerate(levels, start=first):
        assert places[number] == level
        if level not in missing:
            points.append(point)
            names.append(level)
        station = build(of).stations[number]
        upper, lower = STEPS[min(round(station), len(STEPS) - 1)]
        step = [known.mean[FEATURE[f"{upper}-{lower} {name}"]] for name in ("forward", "up")]
        point = point + np.array([0.0, *step])
    shown = np.array([SEGMENTS[name[0]] for name in names]) if segments else None
    return Candidates(np.array(points), segments=shown), names


def with_more(column: Candidates, points: Sequence[Sequence[float]]) -> Candidates:
    """Return the column with further candidates, which look like none in particular."""
    more = np.array(points, dtype=np.float64).reshape(-1, 3)
    assert column.segments is not None
    shown = np.concatenate([column.segments, np.full((len(more), 3), 0.3)])
    return Candidates(np.concatenate([column.points_mm, more]), segments=shown)
