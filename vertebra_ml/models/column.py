"""One consistent column from what a network says of each level alone.

Levels follow each other at the gaps of real spines. Every level is above the scan, at one of its
rows, or below it, in this order down the column; forward and backward sums over these states give
each level's distribution in the light of all others. Variants (T13, L6, T12 absent) are columns of
their own, mixed by how well each explains what was seen.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

import numpy as np
from scipy.special import erfc

from vertebra_ml.anatomy import GAP_MM, LEVELS, RANK, VARIANTS
from vertebra_ml.targets import Floats

NECK_GAPS_MM: Final = {("C1", "C2"): (14.0, 4.0), ("C2", "C3"): (20.0, 4.0)}
"""C2's point lies high, towards the dens, and the data set names no C1: wide guesses."""

UPRIGHT: Final = 0.96
"""Part of a gap that shows in height: the column leans by up to 30 degrees."""

PERSON: Final = 0.12
"""Spread of gaps between persons and by lean, as a part of the gap."""

OUTSIDE_MM: Final = 500.0
"""Height of column taken to lie beyond each edge, before anything is seen."""

SHARING: Final = 0.6
"""Exponent on each level's own word: neighbours of one network err together."""

DOUBT: Final = 1e-3
"""Chance that a network's word on one level is worth nothing."""

VARIANT_RATES: Final = {"T13": 0.01, "L6": 0.023, "T12": 0.004}
"""How often T13 and L6 are there and T12 is not: L6 in 48 of 2,116 and T12 absent in 8 (ImFusion
VID, see ``anatomy``); T13 as assumed for the phantoms."""


@dataclass(frozen=True, eq=False)
class _Gap:
    """How far the next level lies: ``kernel[d]`` for d rows, ``beyond[d]`` for more than d rows."""

    kernel: Floats
    beyond: Floats
    mean: float


def consistent(own: Floats, levels: Sequence[str], row_mm: float) -> Floats:
    """Return (levels, rows + 1): each level's distribution given those of all others.

    ``own`` is (levels, rows + 1), each level read alone; ``levels`` run from head to foot.
    """
    mixed, weights = np.zeros_like(own, dtype=np.float64), []
    columns = []
    for members, rate in _columns(levels):
        names = [levels[i] for i in members]
        lacking = VARIANTS | {level for level in levels if level not in names}
        gaps = _gaps(names, lacking, own.shape[1] - 1, row_mm)
        table, evidence = _forward_backward(own[members], gaps, OUTSIDE_MM / row_mm)
        whole = np.zeros_like(mixed)
        whole[:, -1] = 1.0
        whole[members] = table
        skipped = [i for i in range(len(levels)) if i not in members]
        evidence += float(_words(own[skipped], OUTSIDE_MM / row_mm)[:, -1].sum())
        columns.append(whole)
        weights.append(evidence + np.log(rate))
    shares = np.exp(np.array(weights) - max(weights))
    for share, whole in zip(shares / shares.sum(), columns, strict=True):
        mixed += share * whole
    return mixed


def _columns(levels: Sequence[str]) -> Iterator[tuple[list[int], float]]:
    """Give each possible column: the indices of its members in ``levels``, and how usual it is."""
    choices = []
    for variant, rate in VARIANT_RATES.items():
        if variant in levels and (variant != "T12" or {"T11", "L1"} <= set(levels)):
            without = 1 - rate if variant != "T12" else rate
            choices.append([(None, 1 - without), (variant, without)])
    for choice in product(*choices):
        left_out = {variant for variant, _ in choice if variant}
        if "T12" in left_out and "T13" in levels and "T13" not in left_out:
            continue
        members = [i for i, level in enumerate(levels) if level not in left_out]
        yield members, float(np.prod([rate for _, rate in choice]))


def _words(own: Floats, outside: float) -> Floats:
    """Give what each level alone says for and against each state, as logarithms of likelihoods.

    A network's answer holds what is usual; it is divided out here and put back by the column.
    """
    rows = own.shape[1] - 1
    prior = np.concatenate([np.ones(rows), [2 * outside]]) / (rows + 2 * outside)
    result: Floats = SHARING * np.log(own / prior + DOUBT)
    return result


def _forward_backward(own: Floats, gaps: list[_Gap], outside: float) -> tuple[Floats, float]:
    """Give (levels, rows + 1) and the logarithm of the evidence for this column."""
    logs = _words(own, outside)
    scale = logs.max(axis=1, keepdims=True)
    words = np.exp(logs - scale)
    words = np.concatenate([words[:, -1:], words], axis=1)  # above, rows, below
    ahead, evidence = _forward(words, gaps, outside)
    joint = ahead * _backward(words, gaps, outside)
    joint /= np.maximum(joint.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    table = np.concatenate([joint[:, 1:-1], joint[:, :1] + joint[:, -1:]], axis=1)
    return table, evidence + float(scale.sum())


def _forward(words: Floats, gaps: list[_Gap], outside: float) -> tuple[Floats, float]:
    start = np.ones(words.shape[1])
    start[[0, -1]] = outside
    states, evidence = [], 0.0
    state = start / start.sum()
    for i, word in enumerate(words):
        state = word * (_step_down(state, gaps[i - 1], outside) if i else state)
        total = max(float(state.sum()), np.finfo(float).tiny)
        evidence += float(np.log(total))
        state = state / total
        states.append(state)
    return np.array(states), evidence


def _backward(words: Floats, gaps: list[_Gap], outside: float) -> Floats:
    state = np.ones(words.shape[1])
    states = [state]
    for word, gap in zip(words[:0:-1], gaps[::-1], strict=True):
        state = _step_up(state * word, gap, outside)
        state = state / max(float(state.max()), np.finfo(float).tiny)
        states.append(state)
    return np.array(states[::-1])


def _step_down(state: Floats, gap: _Gap, outside: float) -> Floats:
    """Move probabilities of (above, rows, below) from one level to the next."""
    above, inner, below = state[0], state[1:-1], state[-1]
    rows = len(inner)
    result = np.empty_like(state)
    result[0] = above * max(0.0, 1 - gap.mean / outside)
    result[1:-1] = np.convolve(inner, gap.kernel)[:rows] + above * gap.beyond[:rows] / outside
    passing = max(0.0, gap.mean - rows) / outside
    result[-1] = below + float(inner @ gap.beyond[:rows][::-1]) + above * passing
    return result


def _step_up(state: Floats, gap: _Gap, outside: float) -> Floats:
    """The transpose of ``_step_down``: what the next level says of this one."""
    above, inner, below = state[0], state[1:-1], state[-1]
    rows = len(inner)
    result = np.empty_like(state)
    passing = max(0.0, gap.mean - rows) / outside
    result[0] = above * max(0.0, 1 - gap.mean / outside) + below * passing
    result[0] += float(inner @ gap.beyond[:rows]) / outside
    result[1:-1] = np.convolve(inner[::-1], gap.kernel)[:rows][::-1]
    result[1:-1] += below * gap.beyond[:rows][::-1]
    result[-1] = below
    return result


def _gaps(levels: Sequence[str], lacking: AbstractSet[str], rows: int, row_mm: float) -> list[_Gap]:
    distance = np.arange(rows + 1, dtype=np.float64)
    gaps = []
    for upper, lower in pairwise(levels):
        mean_mm, sigma_mm = gap_between(upper, lower, lacking)
        mean = UPRIGHT * mean_mm / row_mm
        sigma = float(np.hypot(sigma_mm, PERSON * mean_mm)) / row_mm
        near = distance[: int(mean + 6 * sigma) + 2]
        kernel = np.exp(-0.5 * ((near - mean) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        beyond = 0.5 * erfc((distance + 0.5 - mean) / (sigma * np.sqrt(2)))
        gaps.append(_Gap(kernel, beyond, mean))
    return gaps


def gap_between(
    upper: str, lower: str, lacking: AbstractSet[str] = VARIANTS
) -> tuple[float, float]:
    """Return mean and standard deviation, mm, of the distance between two levels of one person.

    Levels need not be neighbours; those in ``lacking`` are not there and add nothing.
    """
    known = GAP_MM | NECK_GAPS_MM
    names = [
        level
        for level in LEVELS[RANK[upper] : RANK[lower] + 1]
        if level in (upper, lower) or level not in lacking
    ]
    mean, variance = 0.0, 0.0
    for pair in pairwise(names):
        # Next to a T13, or where T12 is missing, vertebrae lie as T12 and L1 do.
        gap, sigma = known.get(pair, known["T12", "L1"])
        mean, variance = mean + gap, variance + sigma**2
    return mean, float(np.sqrt(variance))
