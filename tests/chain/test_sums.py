"""A slow second opinion: every labelling of tiny columns, one by one."""

from collections.abc import Iterator
from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml.chain.arcs import NEVER
from vertebra_ml.chain.sums import Column, best_labelling, posteriors

PLACES, KINDS = 4, 2


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """Draw a column of up to four candidates, four places, two kinds, any arcs."""
    count = draw(st.integers(0, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ends = [(a, b) for a in range(PLACES) for b in range(a + 1, PLACES) if draw(st.booleans())]
    above, below = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    every = [(i, j) for i in range(count) for j in range(i + 1, count)]
    pairs = np.array([p for p in every if draw(st.booleans())], dtype=np.int64).reshape(-1, 2)
    scale = draw(st.sampled_from([1.0, 5.0, 40.0]))

    def logs(*shape: int) -> np.ndarray:
        values = scale * random.standard_normal(shape)
        return np.where(random.random(shape) < 0.1, NEVER, values)

    return Column(
        logs(count, PLACES, KINDS),
        logs(len(pairs), len(ends), KINDS),
        pairs,
        above,
        below,
        logs(PLACES, KINDS),
        logs(PLACES, KINDS),
    )


def _weights(column: Column, labelling: tuple[int, ...]) -> Iterator[float]:
    """Give the log weight of a labelling (-1: none) for each kind; none for an impossible one."""
    used = [(j, place) for j, place in enumerate(labelling) if place >= 0]
    pairs = {tuple(pair): number for number, pair in enumerate(column.pairs.tolist())}
    arcs = {ends: a for a, ends in enumerate(zip(column.above, column.below, strict=True))}
    for kind in range(KINDS):
        total = column.starts[used[0][1], kind] + column.stops[used[-1][1], kind]
        total += sum(column.own[j, place, kind] for j, place in used)
        for (i, p), (j, q) in pairwise(used):
            if (i, j) not in pairs or (p, q) not in arcs:
                return
            total += column.steps[pairs[i, j], arcs[p, q], kind]
        yield total


@given(columns())
@settings(max_examples=150)
def test_sums_agree_with_every_labelling_counted(column: Column) -> None:
    count = len(column.own)
    shares, total = np.zeros((count, PLACES)), np.float64(1.0)
    every = list(product(range(-1, PLACES), repeat=count))
    logs = {
        labelling: list(_weights(column, labelling)) if max(labelling, default=-1) >= 0 else [0.0]
        for labelling in every
    }
    top = max(max(found, default=NEVER) for found in logs.values())
    total = sum(np.exp(value - top) for found in logs.values() for value in found)
    for labelling, found in logs.items():
        for j, place in enumerate(labelling):
            if place >= 0:
                shares[j, place] += sum(np.exp(value - top) for value in found)
    chances, evidence = posteriors(column)
    np.testing.assert_allclose(chances, shares / total, atol=1e-9)
    np.testing.assert_allclose(evidence, np.log(total) + top, rtol=1e-9, atol=1e-9)


@given(columns())
@settings(max_examples=150)
def test_the_labelling_has_most_names_right_of_all_consistent_ones(column: Column) -> None:
    chances = posteriors(column)[0]
    found = best_labelling(chances, column.above, column.below)
    arcs = set(zip(column.above.tolist(), column.below.tolist(), strict=True))
    none = 1 - chances.sum(axis=1)

    def right(labelling: tuple[int, ...]) -> float:
        return sum(none[j] if p < 0 else chances[j, p] for j, p in enumerate(labelling))

    def consistent(labelling: tuple[int, ...]) -> bool:
        used = [p for p in labelling if p >= 0]
        return all(pair in arcs for pair in pairwise(used))

    every = filter(consistent, product(range(-1, PLACES), repeat=len(chances)))
    assert consistent(tuple(found))
    assert right(tuple(found)) >= max(map(right, every)) - 1e-9
