"""The answer: consistent, the same wherever the column stands, the chain's where nothing is known.

Golden numbers hold for the shipped networks; they change when `rivals.fit` writes others.
"""

from dataclasses import replace

import numpy as np
import pytest

from tests.chain.columns import candidates, with_more
from vertebra_ml.anatomy import LEVELS, RANK, USUAL
from vertebra_ml.chain import Candidates, Labelling
from vertebra_ml.chain import label as chain_label
from vertebra_ml.chain import shipped as chain_shipped
from vertebra_ml.rivals import label
from vertebra_ml.rivals.columns import rivals
from vertebra_ml.rivals.labelling import chances_of, renamed
from vertebra_ml.rivals.weights import shipped

ASIDE_MM = np.array([31.0, -500.0, 77.0])
GOLDEN = 0.756
"""The median probability of `doubtful`."""
COLUMN, NAMES = candidates(USUAL[USUAL.index("T8") :])


def same(one: Labelling, other: Labelling, tolerance: float = 0.0) -> None:
    assert one.levels == other.levels
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=tolerance)
    np.testing.assert_allclose(one.chances, other.chances, atol=tolerance)


def doubtful() -> Candidates:
    """Return ribs that end a level too low for the sacrum, a step missing and one point more."""
    column, _ = candidates(USUAL[USUAL.index("T6") :], missing=["T9"])
    assert column.segments is not None
    shown = column.segments.copy()
    shown[[6]] = 0.3, 0.6, 0.4
    return with_more(replace(column, segments=shown), [[60.0, -40.0, 700.0]])


def test_a_plain_column_is_named() -> None:
    found = label(COLUMN)
    assert list(found.levels) == NAMES
    assert found.can_tell


@pytest.mark.parametrize("column", [COLUMN, doubtful()], ids=["plain", "doubtful"])
def test_the_answer_is_consistent(column: Candidates) -> None:
    found = label(column)
    order = np.argsort(-column.points_mm[:, 2])
    named = [RANK[found.levels[i]] for i in order if found.levels[i]]
    assert named == sorted(set(named))
    assert len(named) >= len(column) - 1
    assert (found.chances >= 0).all()
    assert (found.chances.sum(axis=1) <= 1 + 1e-9).all()
    for candidate, level in enumerate(found.levels):
        if level:
            own = found.chances[candidate, RANK[level]]
            assert found.probabilities[candidate] == pytest.approx(own)


@pytest.mark.parametrize("column", [COLUMN, doubtful()], ids=["plain", "doubtful"])
def test_it_is_the_same_elsewhere_and_in_another_order(column: Candidates) -> None:
    found = label(column)
    same(label(replace(column, points_mm=column.points_mm + ASIDE_MM)), found, 1e-6)
    assert column.segments is not None
    turn = np.random.default_rng(5).permutation(len(column))
    turned = Candidates(column.points_mm[turn], segments=column.segments[turn])
    back = np.argsort(turn)
    again = label(turned)
    assert tuple(again.levels[i] for i in back) == found.levels
    np.testing.assert_allclose(again.chances[back], found.chances, atol=1e-9)


def test_without_segments_the_chain_answers() -> None:
    bare = Candidates(COLUMN.points_mm)
    same(label(bare), chain_label(bare))
    assert label(bare).sure == chain_label(bare).sure


def test_with_scores_of_levels_the_chain_answers() -> None:
    scores = np.full((len(COLUMN), len(LEVELS)), 1 / len(LEVELS))
    scored = replace(COLUMN, level_scores=scores)
    same(label(scored), chain_label(scored))


@pytest.mark.parametrize("count", [0, 1])
def test_few_candidates(count: int) -> None:
    few = Candidates(COLUMN.points_mm[:count], segments=np.full((count, 3), 0.3))
    assert len(label(few).levels) == count


def test_a_temperature_changes_what_is_told_and_not_what_is_chosen() -> None:
    column, answer = doubtful(), chain_label(doubtful())
    found = rivals(column, answer, chain_shipped())
    assert found is not None
    chances = chances_of(column, found, shipped().seeds)
    hot, plain = (renamed(answer, found, chances, heat) for heat in (2.0, 1.0))
    assert hot.levels == plain.levels
    assert hot.confidence < plain.confidence


def test_golden_numbers() -> None:
    found = label(doubtful())
    alone = chain_label(doubtful())
    assert found.levels[:4] == ("T6", "T7", "T8", "T10")  # as it was made
    assert alone.levels[:4] == ("T5", "T6", "T7", "T9")  # what only the networks know
    assert found.confidence == pytest.approx(GOLDEN, abs=2e-3)
