"""The rivals of an answer: the same candidates as another whole column, and the chain's weights."""

import itertools
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.chain import Candidates, Labelling, Statistics
from vertebra_ml.chain.arcs import arcs
from vertebra_ml.chain.builds import BUILDS
from vertebra_ml.chain.candidates import Floats, Ints, head_to_foot
from vertebra_ml.chain.evidence import SIZES
from vertebra_ml.chain.labelling import weighed
from vertebra_ml.chain.sums import Column

RIVALS_MAX: Final = 20
LIGHTEST: Final = 25.0
"""A rival whose logarithm lies this far below the greatest is none."""
LEAST: Final = 1e-12
"""No rival is held to be less likely."""
SHORT_MM: Final = 45.0
"""A step from T11 to L1 below this passes over no vertebra: T12 is absent, not unseen."""


@dataclass(frozen=True, eq=False)
class Rivals:
    """``k`` ways to name the ``m`` candidates that an answer takes for vertebrae.

    Parameters
    ----------
    used : (m,) these candidates, head to foot.
    gaps : (m,) vertebrae from the candidate above to this one, 0 for the first.
    levels : (k, m) indices of ``anatomy.LEVELS``, each row strictly down the column.
    stations : (k, m) where they lie between skull and sacrum, see ``chain.statistics``.
    builds : (k,) which of ``chain.builds.BUILDS``.
    log_weights : (k,) the chain's, the greatest 0, in falling order.
    """

    used: Ints
    gaps: Ints
    levels: Ints
    stations: Ints
    builds: Ints
    log_weights: Floats


def rivals(candidates: Candidates, answer: Labelling, statistics: Statistics) -> Rivals | None:
    """Return the rivals of the chain's ``answer``, itself among them; None where it names none."""
    order = head_to_foot(candidates)
    rows = np.array([row for row, i in enumerate(order) if answer.levels[i]], dtype=np.int64)
    if not len(rows):
        return None
    used = order[rows]
    gaps = _gaps([answer.levels[i] for i in used], candidates.points_mm[used])
    below = gaps.cumsum()
    ways = []
    for build, named in enumerate(BUILDS):
        firsts = np.arange(max(0, len(named.levels) - int(below[-1])))
        places = firsts[:, None] + below
        ways.append((_ranks()[build][places], _stations()[build][places],
                     np.full(len(firsts), build)))  # fmt: skip
    levels, stations, builds = (np.concatenate(parts) for parts in zip(*ways, strict=True))
    heard = _log_weights(weighed(candidates, statistics), rows, levels, builds, statistics)
    heaviest = np.argsort(-heard, kind="stable")[:RIVALS_MAX]
    kept = heaviest[heard[heaviest] > heard.max() - LIGHTEST]
    chosen = (levels[kept], stations[kept], builds[kept])
    return Rivals(used, gaps, *chosen, heard[kept] - heard.max())


def decided(found: Rivals, chances: Floats) -> Ints:
    """Return (m,) levels of the rival with most names right on average; (k,) ``chances``."""
    shares, places = shares_of(found, chances), np.arange(len(found.used))
    result: Ints = found.levels[int(shares[places, found.levels].sum(axis=1).argmax())]
    return result


def shares_of(found: Rivals, chances: Floats) -> Floats:
    """Return (m, 26) the chance of each level for each candidate, from (k,) the rivals'."""
    places = np.arange(len(found.used))
    shares = np.zeros((len(places), len(LEVELS)))
    for row, chance in zip(found.levels, chances, strict=True):
        shares[places, row] += chance
    return shares


def cooled(chances: Floats, temperature: float) -> Floats:
    """Return (k,) chances as sure as they proved to be: their logarithms by ``temperature``.

    Guo et al. 2017, arXiv 1706.04599.
    """
    plain = np.clip(chances, LEAST, 1) ** (1 / temperature)
    result: Floats = plain / plain.sum()
    return result


@cache
def _ranks() -> tuple[Ints, ...]:
    """Return for each build the indices of its levels, head to foot."""
    return tuple(np.array([RANK[level] for level in build.levels]) for build in BUILDS)


@cache
def _stations() -> tuple[Ints, ...]:
    return tuple(np.rint(build.stations).astype(np.int64) for build in BUILDS)


def _gaps(levels: list[str], points: Floats) -> Ints:
    """Return (m,) vertebrae from each candidate to the next below, T13 and an absent T12 minded."""
    gaps = [0]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    for upper, lower, step in zip(levels, levels[1:], steps, strict=False):
        gap = RANK[lower] - RANK[upper]
        if RANK[upper] < RANK["T13"] < RANK[lower]:
            gap = 1 if (upper, lower) == ("T11", "L1") and step < SHORT_MM else gap - 1
        gaps.append(gap)
    return np.array(gaps)


@cache
def _arc_numbers(statistics: Statistics) -> Ints:
    """Return (26, 26): the number of the arc from a level to another, -1 where there is none."""
    ways = arcs(statistics)
    numbers = np.full((len(LEVELS), len(LEVELS)), -1)
    numbers[ways.above, ways.below] = np.arange(len(ways.above))
    return numbers


def _log_weights(
    column: Column, rows: Ints, levels: Ints, builds: Ints, statistics: Statistics
) -> Floats:
    """Return (k,) the logarithm of what the chain's sums give each rival, persons summed over."""
    size = len(SIZES)
    kinds = builds[:, None] * size + np.arange(size)  # (k, sizes)
    total = column.starts[levels[:, :1], kinds] + column.stops[levels[:, -1:], kinds]
    total = total + column.own[rows[:, None], levels[:, :, None], kinds[:, None]].sum(axis=1)
    known = {(int(i), int(j)): number for number, (i, j) in enumerate(column.pairs)}
    pairs = [known[int(i), int(j)] for i, j in itertools.pairwise(rows)]
    ways = _arc_numbers(statistics)[levels[:, :-1], levels[:, 1:]]
    steps = column.steps[np.array(pairs, dtype=np.int64)[:, None], ways[:, :, None], kinds[:, None]]
    total = total + np.where(ways[:, :, None] >= 0, steps, -np.inf).sum(axis=1)
    top = total.max(axis=1)
    result: Floats = top + np.log(np.exp(total - top[:, None]).sum(axis=1))
    return result
