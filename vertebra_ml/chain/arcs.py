"""The ways down a column: from each place to those that can be the next one with a candidate."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from vertebra_ml.anatomy import RANK
from vertebra_ml.chain.builds import BUILDS, Build
from vertebra_ml.chain.candidates import Floats, Ints
from vertebra_ml.chain.statistics import STEP_ROWS, Statistics

MISSING_MAX: Final = 2
"""Vertebrae without a candidate in a row; parts of a column farther apart are not joined."""
NEVER: Final = -1e6
"""The logarithm of no chance at all, finite so that sums stay numbers."""


@dataclass(frozen=True, eq=False)
class Arcs:
    """``A`` ways from one place to another, in each of ``B`` builds.

    Parameters
    ----------
    above, below : (A,) places, as indices of ``LEVELS``.
    log_chance : (A, B) logarithm of the chance to go this way, ``NEVER`` where there is none.
    mean, spread : (A, B, 3) mm to the right, forward and up; without the person's own part.
    loadings : (A, B, 3, factors) mm per SD of the person's own part.
    """

    above: Ints
    below: Ints
    log_chance: Floats
    mean: Floats
    spread: Floats
    loadings: Floats


@cache
def arcs(statistics: Statistics) -> Arcs:
    """Return every way that passes over at most ``MISSING_MAX`` vertebrae."""
    ends = sorted({(RANK[a], RANK[b]) for build in BUILDS for a, b, _, _ in _routes(build)})
    row = {pair: number for number, pair in enumerate(ends)}
    shape = (len(ends), len(BUILDS), 3)
    log_chance, mean = np.full(shape[:2], NEVER), np.zeros(shape)
    spread, loadings = np.ones(shape), np.zeros((*shape, statistics.loadings.shape[1]))
    for number, build in enumerate(BUILDS):
        for above, below, first, last in _routes(build):
            at = row[RANK[above], RANK[below]], number
            between = np.array(build.stations[first : last + 1])
            log_chance[at] = _log_chance(between, statistics)
            mean[at] = _along(between, statistics.mean).sum(axis=0)
            spread[at] = _spread(between, statistics)
            loadings[at] = _along(between, statistics.loadings).sum(axis=0)
    upper, lower = np.array(ends).T
    return Arcs(upper, lower, log_chance, mean, spread, loadings)


def station_values(stations: Floats, values: Floats) -> Floats:
    """Return (..., whatever) of values given at whole stations, (stations, whatever), between."""
    low = np.clip(np.floor(stations).astype(int), 0, len(values) - 2)
    part = np.clip(stations - low, 0.0, 1.0).reshape(*np.shape(stations), *[1] * (values.ndim - 1))
    result: Floats = (1 - part) * values[low] + part * values[low + 1]
    return result


def _routes(build: Build) -> list[tuple[str, str, int, int]]:
    """Return each way of a build: level above, level below, and their numbers in the build."""
    levels = build.levels
    return [
        (levels[first], levels[last], first, last)
        for first in range(len(levels))
        for last in range(first + 1, min(first + MISSING_MAX + 2, len(levels)))
    ]


def _middles(between: Floats) -> Floats:
    """Return where steps lie among those of ``STEPS``, from the stations that they join."""
    middles: Floats = (between[1:] + between[:-1] - 1) / 2
    return middles


def _along(between: Floats, values: Floats) -> Floats:
    """Return (steps, 3, ...): to the right (nothing), forward and up."""
    known = station_values(_middles(between), values[STEP_ROWS])
    return np.concatenate([np.zeros_like(known[:, :1]), known], axis=1)


def _spread(between: Floats, statistics: Statistics) -> Floats:
    spread = _along(between, statistics.noise)
    spread[:, 0] = station_values(_middles(between), statistics.sideways)
    total: Floats = np.sqrt((spread**2).sum(axis=0))
    return total


def _log_chance(between: Floats, statistics: Statistics) -> float:
    stops = statistics.stops[np.rint(between[:-1]).astype(int)]
    passed_over = len(between) - 2
    missed = np.log(statistics.missed) + statistics.weights.missed
    return float(np.log(1 - stops).sum() + passed_over * missed)
