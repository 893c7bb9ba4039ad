"""What the candidates say for each place: logarithms of likelihoods, by kind of person.

A kind of person is how the column is built and a hidden number (size) that shifts all steps and
shapes of one column together. They are summed over, since the column's own are not known.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from scipy.special import gammaln

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.chain.arcs import NEVER, Arcs, arcs, station_values
from vertebra_ml.chain.builds import BUILDS
from vertebra_ml.chain.candidates import Candidates, Floats, Ints, shapes
from vertebra_ml.chain.statistics import FEW_BELOW, LOW, SHAPE_ROWS, Statistics, segment_cells

SIZES: Final = np.array([-1.5, 0.0, 1.5])
"""Values of the hidden number of a person, in SD."""
FREEDOM: Final = 8.0
"""Degrees of freedom of Student's t: heavy tails, for fractures, implants and slips."""
ROOM_MM3: Final = 400.0 * 300.0 * 600.0
"""Where a candidate that is no vertebra may lie."""
SHAPE_ROOM_MM3: Final = 60.0**3
"""Where the pedicles of a candidate that is no vertebra may lie against it."""
NEAR: Final = 16.0
"""Squared SDs, of three measures, that a step of the right vertebra seldom exceeds."""
COPY_MM: Final = 6.0
"""How far a second candidate for the same vertebra lies from the first."""
COPIES: Final = 0.1
"""Part of the surplus candidates that are second ones."""
REACH_MM: Final = 150.0
"""Farthest step from one candidate to the next: three lumbar gaps of a tall person."""
BETWEEN_MAX: Final = 5
"""Surplus candidates in a row within a column."""
DOUBT: Final = 1e-4
"""Chance that a level's score is worth nothing."""


@dataclass(frozen=True, eq=False)
class Persons:
    """``K`` kinds of person, by build and then by size; what each expects.

    Parameters
    ----------
    build : (K,) which of ``BUILDS``.
    starts, stops : (P, K) logarithm of the chance that the column begins there, with the kind's
        own chance; that it ends where it is. ``NEVER`` where the build has no such place.
    ways, way_chance : the arcs and their chances, (A, K).
    step_mean, spread : (A, K, 3) mm.
    shape_mean, shape_noise : (P, K, 3) mm.
    pedicles : (P, K) log of how much likelier both pedicles are seen, and not, than on a
        candidate that is no vertebra: [0] not seen, [1] seen.
    """

    build: Ints
    starts: Floats
    stops: Floats
    ways: Arcs
    way_chance: Floats
    step_mean: Floats
    spread: Floats
    shape_mean: Floats
    shape_noise: Floats
    pedicles: Floats


@cache
def persons(statistics: Statistics) -> Persons:
    """Return what ``statistics`` expect of each kind of person."""
    build = np.repeat(np.arange(len(BUILDS)), len(SIZES))
    size = np.tile(SIZES, len(BUILDS))
    log_chance = np.log([statistics.builds[b.name] for b in BUILDS])[build] - 0.5 * size**2
    log_chance -= np.log(np.exp(-0.5 * SIZES**2).sum())
    stations = _stations()[:, build]
    lies, there = np.nan_to_num(stations), np.isfinite(stations)
    whole = np.rint(lies).astype(int)
    starts = np.log(statistics.starts[whole]) + log_chance
    stops = np.log(statistics.stops[whole])
    ways = arcs(statistics)
    shifts = np.einsum("akcf,k->akc", ways.loadings[:, build], size)
    shape_shifts = station_values(lies, statistics.loadings[SHAPE_ROWS])[..., 0] * size[:, None]
    widened = np.where(lies > LOW, statistics.weights.shape_low, statistics.weights.shape)
    seen = station_values(lies, statistics.pedicles[:-1])
    none = statistics.pedicles[-1]
    return Persons(
        build,
        np.where(there, starts, NEVER),
        np.where(there, stops, NEVER),
        ways,
        ways.log_chance[:, build],
        ways.mean[:, build] + shifts,
        ways.spread[:, build],
        station_values(lies, statistics.mean[SHAPE_ROWS]) + shape_shifts,
        station_values(lies, statistics.noise[SHAPE_ROWS]) * widened[..., None],
        np.log([(1 - seen) / (1 - none), seen / none]),
    )


def _stations() -> Floats:
    """Return (P, B): where a build's places lie, NaN where it has no such place."""
    stations = np.full((len(LEVELS), len(BUILDS)), np.nan)
    for number, build in enumerate(BUILDS):
        stations[[RANK[level] for level in build.levels], number] = build.stations
    return stations


def own_words(candidates: Candidates, order: Ints, statistics: Statistics) -> Floats:
    """Return (n, P, K): log of how much likelier each candidate is as this vertebra than as none.

    Rows are in ``order``, head to foot.
    """
    weights, known = statistics.weights, persons(statistics)
    words = np.zeros((len(order), *known.starts.shape))
    if len(candidates.left_mm) and len(candidates.right_mm):  # else nobody looked for pedicles
        words += _shape_words(shapes(candidates)[order], known)
    if candidates.segments is not None:
        words += weights.segment * _segment_words(candidates.segments[order], statistics)
    if candidates.level_scores is not None:
        level = weights.level * _level_words(candidates.level_scores[order])
        words[:, : len(LEVELS)] += level[:, :, None]
    return words - _surplus(candidates.points_mm[order], statistics)[:, None, None]


def _segment_words(segments: Floats, statistics: Statistics) -> Floats:
    """Return (n, P, K) of (n, 3) segment probabilities, head to foot."""
    few = (np.arange(len(segments))[::-1] < FEW_BELOW).astype(int)
    lumbar = np.array([(5, 6, 4).index(build.lumbar) for build in BUILDS])
    lumbar = lumbar[persons(statistics).build]
    chance = statistics.segments[few[:, None], lumbar, :, segment_cells(segments)[:, None]]
    words: Floats = np.log(chance[:, :, :-1] / chance[:, :, -1:]).transpose(0, 2, 1)
    return words


def _level_words(scores: Floats) -> Floats:
    words: Floats = np.log(np.clip(scores, 0, 1) * len(LEVELS) + DOUBT)
    return words


def _shape_words(measured: Floats, known: Persons) -> Floats:
    """Return (n, P, K): pedicles seen or not, and where they lie."""
    seen = np.asarray(np.isfinite(measured).all(axis=1))
    words = known.pedicles[seen.astype(int)]
    apart = (np.nan_to_num(measured)[:, None, None] - known.shape_mean) / known.shape_noise
    density = _student((apart**2).sum(axis=-1), 3) - np.log(known.shape_noise).sum(axis=-1)
    result: Floats = words + np.where(seen[:, None, None], density + np.log(SHAPE_ROOM_MM3), 0.0)
    return result


def _surplus(points: Floats, statistics: Statistics) -> Floats:
    """Return (n,): log density, per mm3, of candidates that are no vertebra."""
    density = np.full(len(points), (1 - COPIES) / ROOM_MM3)
    if len(points) > 1:
        squared = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
        np.fill_diagonal(squared, np.inf)
        nearest = squared.min(axis=1)
        density += COPIES * np.exp(-0.5 * nearest / COPY_MM**2) / (2.5066 * COPY_MM) ** 3
    rate = np.log(statistics.surplus) + statistics.weights.surplus
    result: Floats = rate + np.log(density)
    return result


def step_words(points: Floats, statistics: Statistics) -> tuple[Floats, Ints]:
    """Return log densities, per mm3, of steps, and which candidates are near enough.

    ``points`` are (n, 3) head to foot. The first is (pairs, A, K), of the pairs i < j in the order
    of the second, (pairs, 2).
    """
    known = persons(statistics)
    upper, lower = np.triu_indices(len(points), k=1)
    step = points[lower] - points[upper]
    near = (np.linalg.norm(step, axis=1) <= REACH_MM) & (lower - upper <= BETWEEN_MAX + 1)
    pairs, step = np.stack([upper, lower], axis=1)[near], step[near]
    inverse = known.spread**-2
    shape = (len(pairs), *inverse.shape[:2])
    squared = (step**2 @ inverse.reshape(-1, 3).T).reshape(shape)
    crossed = (step @ (known.step_mean * inverse).reshape(-1, 3).T).reshape(shape)
    distance = squared - 2 * crossed + (known.step_mean**2 * inverse).sum(axis=-1)
    density = _student(_believed(np.maximum(distance, 0.0), statistics.weights.step), 3)
    density += known.way_chance - np.log(known.spread.prod(axis=-1))
    return density, pairs


def _believed(squared: Floats, share: float) -> Floats:
    """Return squared distances, in SD, of which the part below ``NEAR`` counts ``share``.

    Neighbouring steps of a person err together, so that small misfits must not add up; a large one
    is a vertebra passed over.
    """
    result: Floats = squared - (1 - share) * np.minimum(squared, NEAR)
    return result


def _student(squared: Floats, size: int) -> Floats:
    """Return the log density of a Student t of ``size`` dimensions whose SD is 1 in each."""
    scale = FREEDOM - 2
    constant = gammaln((FREEDOM + size) / 2) - gammaln(FREEDOM / 2)
    constant -= 0.5 * size * np.log(scale * np.pi)
    result: Floats = constant - 0.5 * (FREEDOM + size) * np.log1p(squared / scale)
    return result
