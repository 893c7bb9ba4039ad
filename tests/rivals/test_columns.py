"""Rivals of an answer: consistent columns, the answer among them, weights as the chain's sums."""

from itertools import pairwise

import numpy as np
import pytest

from tests.chain.columns import candidates
from vertebra_ml.anatomy import LEVELS, RANK, USUAL
from vertebra_ml.chain import Candidates, label, shipped
from vertebra_ml.chain.arcs import NEVER
from vertebra_ml.chain.builds import BUILDS
from vertebra_ml.chain.evidence import SIZES
from vertebra_ml.chain.labelling import weighed
from vertebra_ml.rivals.columns import Rivals, cooled, decided, rivals, shares_of

SPANS = [("usual", "T8", "L5"), ("no T12", "T9", "L5"), ("L6", "T10", "L6"), ("T13", "T9", "L5")]


def found(of: str, first: str, last: str) -> tuple[Candidates, Rivals, list[str]]:
    places = next(build for build in BUILDS if build.name == of).levels
    column, names = candidates(places[places.index(first) : places.index(last) + 1], of)
    result = rivals(column, label(column), shipped())
    assert result is not None
    return column, result, names


@pytest.mark.parametrize(("of", "first", "last"), SPANS)
def test_all_go_down_in_one_build(of: str, first: str, last: str) -> None:
    _, result, names = found(of, first, last)
    assert result.levels.shape == (len(result.builds), len(names))
    assert (np.diff(result.levels, axis=1) > 0).all()
    for row, build in zip(result.levels, result.builds, strict=True):
        assert {LEVELS[level] for level in row} <= set(BUILDS[build].levels)
    assert (np.diff(result.log_weights) <= 0).all()
    assert result.log_weights[0] == 0
    assert [RANK[name] for name in names] in result.levels.tolist()


@pytest.mark.parametrize(("of", "first", "last"), SPANS)
def test_weights_are_those_of_a_plain_sum(of: str, first: str, last: str) -> None:
    column, result, _ = found(of, first, last)
    sums = weighed(column, shipped())
    ways = list(zip(sums.above.tolist(), sums.below.tolist(), strict=True))
    pairs = sums.pairs.tolist()
    heard = []
    for row, build in zip(result.levels.tolist(), result.builds, strict=True):
        parts = []
        for kind in range(build * len(SIZES), (build + 1) * len(SIZES)):
            total = sums.starts[row[0], kind] + sums.stops[row[-1], kind]
            total += sum(sums.own[n, level, kind] for n, level in enumerate(row))
            for n, way in enumerate(pairwise(row)):
                total += sums.steps[pairs.index([n, n + 1]), ways.index(way), kind]
            parts.append(total)
        heard.append(np.logaddexp.reduce(parts))
        assert heard[-1] > NEVER / 2
    np.testing.assert_allclose(result.log_weights, np.array(heard) - max(heard), atol=1e-9)


def some(levels: list[list[int]]) -> Rivals:
    """Return rivals of two candidates that differ in levels alone."""
    named, zeros = np.array(levels), np.zeros(len(levels), dtype=np.int64)
    return Rivals(np.arange(2), np.array([0, 1]), named, named, zeros, zeros.astype(float))


def test_builds_that_name_alike_count_as_one() -> None:
    three, chances = some([[18, 19], [17, 18], [17, 18]]), np.array([0.4, 0.3, 0.3])
    assert decided(three, chances).tolist() == [17, 18]
    shares = shares_of(three, chances)
    assert shares[0, 17] == pytest.approx(0.6)
    assert shares.sum(axis=1) == pytest.approx([1, 1])


def test_names_that_several_rivals_share_count_for_each() -> None:
    named = decided(some([[15, 16], [17, 18], [17, 20]]), np.array([0.4, 0.35, 0.25]))
    assert named.tolist() == [17, 18]  # 0.6 + 0.35 names right on average, against 0.8


@pytest.mark.parametrize("chances", [[0.9, 0.1], [1.0, 0.0], [0.2, 0.3, 0.5]])
def test_cooled_chances_keep_their_order_and_are_less_sure(chances: list[float]) -> None:
    plain = np.array(chances)
    np.testing.assert_allclose(cooled(plain, 1.0), plain, atol=1e-9)
    half = cooled(plain, 2.0)
    assert half.sum() == pytest.approx(1)
    assert half.argsort().tolist() == plain.argsort().tolist()
    assert half.max() < plain.max()
    assert cooled(np.array([0.9, 0.1]), 2.0) == pytest.approx([0.75, 0.25])  # odds of 9 to 3


def test_nothing_named_has_no_rivals() -> None:
    empty = Candidates(np.empty((0, 3)), segments=np.empty((0, 3)))
    assert rivals(empty, label(empty), shipped()) is None


def test_a_gap_is_kept_in_every_rival() -> None:
    column, _ = candidates(USUAL[14:24], missing=["L2"])
    result = rivals(column, label(column), shipped())
    assert result is not None
    assert result.gaps.tolist() == [0, 1, 1, 1, 1, 1, 2, 1, 1]
