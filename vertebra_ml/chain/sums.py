"""Sums over every labelling of a column at once: forwards and backwards, by kind of person.

A labelling gives some of the candidates, head to foot, places that go down by an arc each; the
others are no vertebrae. ``X[i, j, a, k]`` is the step's weight, ``R[j, p, k]`` the candidate's own.
"""

from dataclasses import dataclass

import numpy as np

from vertebra_ml.chain.arcs import NEVER
from vertebra_ml.chain.candidates import Floats, Ints


@dataclass(frozen=True, eq=False)
class Column:
    """All that the sums need, as logarithms; ``n`` candidates head to foot.

    Parameters
    ----------
    own : (n, P, K) a candidate as a vertebra, against it as none.
    steps, pairs : (pairs, A, K) and (pairs, 2), see ``evidence.step_words``.
    above, below : (A,) the places that an arc joins.
    starts, stops : (P, K).
    """

    own: Floats
    steps: Floats
    pairs: Ints
    above: Ints
    below: Ints
    starts: Floats
    stops: Floats


def posteriors(column: Column) -> tuple[Floats, float]:
    """Return (n, P) each candidate's chance of each place, and the log of the sum of all.

    The labelling without any vertebra weighs 1. What is missing from 1 in a row is the chance
    that the candidate is no vertebra.
    """
    weights = _Weights.of(column)
    ahead = _forward(column, weights)
    behind = _backward(column, weights)
    joint = ahead + behind
    top = max(0.0, float(joint.max(initial=-np.inf)))
    ends = ahead + column.stops
    total = np.exp(-top) + np.exp(ends - top).sum()
    result: Floats = np.exp(joint - top).sum(axis=2) / total
    return result, float(np.log(total) + top)


@dataclass(frozen=True, eq=False)
class _Weights:
    """Steps as plain numbers, each pair's scaled by its largest; arcs to places by matrices."""

    steps: Floats
    scales: Floats
    gather: Floats
    scatter: Floats

    @classmethod
    def of(cls, column: Column) -> "_Weights":
        scales = column.steps.max(axis=(1, 2), initial=NEVER)
        places = np.arange(column.own.shape[1])
        return cls(
            np.exp(column.steps - scales[:, None, None]),
            scales,
            (column.above == places[:, None]).astype(np.float64),
            (column.below == places[:, None]).astype(np.float64),
        )


def _forward(column: Column, weights: _Weights) -> Floats:
    """Return (n, P, K): log of all columns that come down to a candidate at a place."""
    ahead = np.empty_like(column.own)
    for j in range(len(column.own)):
        into = np.flatnonzero(column.pairs[:, 1] == j)
        state = column.starts
        if len(into):
            before = ahead[column.pairs[into, 0]] + weights.scales[into, None, None]
            came = _combined(before, column.above, weights.steps[into], weights.scatter)
            state = np.logaddexp(state, came)
        ahead[j] = column.own[j] + state
    return ahead


def _backward(column: Column, weights: _Weights) -> Floats:
    """Return (n, P, K): log of all ways to go on below a candidate at a place."""
    behind = np.empty_like(column.own)
    for i in reversed(range(len(column.own))):
        out = np.flatnonzero(column.pairs[:, 0] == i)
        state = column.stops
        if len(out):
            lower = column.pairs[out, 1]
            after = behind[lower] + column.own[lower] + weights.scales[out, None, None]
            state = np.logaddexp(
                state, _combined(after, column.below, weights.steps[out], weights.gather)
            )
        behind[i] = state
    return behind


def _combined(states: Floats, ends: Ints, steps: Floats, onto: Floats) -> Floats:
    """Sum ``states`` (m, P, K), seen through arcs of weight ``steps`` (m, A, K), onto (P, K)."""
    top = states.max(axis=(0, 1))
    plain = np.exp(states - top)
    through = np.einsum("mak,mak->ak", plain[:, ends], steps)
    with np.errstate(divide="ignore"):  # a place that nothing leads to
        result: Floats = np.log(onto @ through) + top
    return result


def best_labelling(chances: Floats, above: Ints, below: Ints) -> Ints:
    """Return (n,) places, -1 for none: the consistent labelling with most names right on average.

    ``chances`` is (n, P) as `posteriors` gives them, head to foot; exact, by dynamic programming.
    """
    count, places = chances.shape
    gain = chances - (1 - chances.sum(axis=1, keepdims=True))
    best, source = np.empty_like(gain), np.full((count, places, 2), -1)
    reached = np.zeros(places)  # the best that ends above at this place, and where it ends
    holder = np.full(places, -1)
    for j in range(count):
        best[j] = gain[j]
        for upper, lower in zip(above, below, strict=True):
            if holder[upper] >= 0 and reached[upper] + gain[j, lower] > best[j, lower]:
                best[j, lower] = reached[upper] + gain[j, lower]
                source[j, lower] = holder[upper], upper
        better = (best[j] > reached) | (holder < 0)
        reached, holder = np.where(better, best[j], reached), np.where(better, j, holder)
    return _followed(best, source)


def _followed(best: Floats, source: Ints) -> Ints:
    labelling = np.full(len(best), -1)
    if not best.size or best.max() <= 0:
        return labelling
    j, place = np.unravel_index(int(best.argmax()), best.shape)
    while j >= 0:
        labelling[j] = place
        j, place = source[j, place]
    return labelling
