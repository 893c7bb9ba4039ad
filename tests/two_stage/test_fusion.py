"""Two networks name one column: together when they agree, in doubt when they do not."""

from itertools import pairwise

import numpy as np
import pytest

from vertebra_ml.anatomy import GAP_MM, LEVELS, RANK
from vertebra_ml.two_stage.compact.identification import Sightings
from vertebra_ml.two_stage.fusion import READ, fused, opinions, recognised
from vertebra_ml.two_stage.readers.compact import named

SEEN = ("T4", "T5", "T6", "T7", "T8", "T9", "T10")
BELOW = ("T5", "T6", "T7", "T8", "T9", "T10", "T11")


def column(levels: tuple[str, ...]) -> np.ndarray:
    gaps = [GAP_MM[pair][0] for pair in pairwise(levels)]
    z_mm = -np.concatenate([[0.0], np.cumsum(gaps)])
    return np.column_stack([np.zeros_like(z_mm), np.zeros_like(z_mm), z_mm])


def word(levels: tuple[str, ...], sure: float) -> np.ndarray:
    """Say a level of each candidate, and a little of its neighbours."""
    chances = np.full((len(levels), len(LEVELS)), 0.0)
    for row, level in zip(chances, levels, strict=True):
        row[RANK[level]] = sure
        row[[RANK[level] - 1, RANK[level] + 1]] = (1 - sure) / 2
    return chances


def test_networks_that_agree_are_believed() -> None:
    both = fused(column(SEEN), (word(SEEN, 0.9), word(SEEN, 0.8)))
    assert both.together.levels == SEEN
    assert both.together.confidence > 0.98
    assert not both.contradiction
    assert both.warnings() == ()


def test_networks_that_contradict_each_other_leave_a_doubt() -> None:
    for one, other in ((SEEN, BELOW), (BELOW, SEEN)):
        both = fused(column(SEEN), (word(one, 0.9), word(other, 0.9)))
        assert both.contradiction
        assert [each.levels for each in both.alone] == [one, other]
        assert not both.can_tell
        assert (both.together.probabilities < 0.9).all()
        disagreement, doubt = both.warnings()
        assert disagreement == (
            f"the two networks disagree: {one[0]} to {one[-1]} in one, "
            f"{other[0]} to {other[-1]} in the other"
        )
        assert "cannot tell" in doubt
        assert "T7" in doubt
        assert "T8" in doubt


def test_of_two_that_are_as_sure_the_more_reliable_is_answered() -> None:
    words = word(SEEN, 0.9), word(BELOW, 0.9)
    for odds, levels in (((0.2, 0.02), BELOW), ((0.02, 0.2), SEEN)):
        both = fused(column(SEEN), words, odds)
        assert both.together.levels == levels
        assert not both.can_tell


def test_the_surer_of_two_is_answered_and_not_trusted() -> None:
    for one, other in ((SEEN, BELOW), (BELOW, SEEN)):
        both = fused(column(SEEN), (word(one, 0.99), word(other, 0.6)))
        assert both.contradiction
        assert both.together.levels == one
        assert not both.can_tell


def test_one_that_knows_nothing_contradicts_nobody() -> None:
    silent = np.full((len(SEEN), len(LEVELS)), 1 / len(LEVELS))
    for words in ((word(SEEN, 0.9), silent), (silent, word(SEEN, 0.9))):
        both = fused(column(SEEN), words)
        assert both.together.levels == SEEN
        assert both.can_tell
        assert not both.contradiction


def test_names_that_no_network_recognises_are_believed_in_part() -> None:
    """A whole lumbar column to its end, of which distances alone are sure."""
    levels = ("T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
    faint = word(levels, 0.6) * 0.4
    faint += (1 - faint.sum(axis=1, keepdims=True)) / len(LEVELS)
    both = fused(column(levels), (faint, faint))
    trust = recognised(both.together.levels, (faint, faint)) / READ
    assert both.together.levels == levels
    assert 0.4 < trust < 0.6
    assert (both.together.probabilities < trust + 0.05).all()
    assert both.together.chances.min() == pytest.approx((1 - trust) / len(LEVELS), rel=1e-3)
    loud = fused(column(levels), (faint, word(levels, 0.9)))
    assert (loud.together.probabilities > 0.95).all()  # one that recognises them is enough


def test_what_a_network_recognises_is_counted_over_the_names_alone() -> None:
    words = word(SEEN, 0.9), word(SEEN, 0.5)
    assert recognised(SEEN, words) == pytest.approx(0.9)
    assert recognised(("", *SEEN[1:]), words) == pytest.approx(0.9)
    assert recognised(BELOW, words) == pytest.approx(0.25)
    assert recognised(("",) * len(SEEN), words) == 1


def test_a_single_wrong_word_does_not_carry_the_column() -> None:
    slip = word(SEEN, 0.9)
    slip[3] = word(("L2",), 0.99)[0]
    both = fused(column(SEEN), (slip, word(SEEN, 0.8)))
    assert both.together.levels == SEEN
    assert not both.contradiction


def test_points_may_come_in_any_order() -> None:
    order = np.random.default_rng(3).permutation(len(SEEN))
    words = word(SEEN, 0.9)[order], word(SEEN, 0.8)[order]
    both = fused(column(SEEN)[order], words)
    assert both.together.levels == tuple(SEEN[i] for i in order)


@pytest.mark.parametrize(("count", "worth"), [(1, 1.0), (3, 1.5), (5, 2.0), (17, 5.0), (24, 5.0)])
def test_a_column_counts_as_a_few_opinions_at_most(count: int, worth: float) -> None:
    words = word(("T8",) * count, 0.9)
    total = opinions(words)[:, RANK["T8"]].sum()
    assert total == pytest.approx(worth * opinions(words[:1])[0, RANK["T8"]])


def test_no_word_rules_a_level_out() -> None:
    said = opinions(word(("T8",), 1.0))[0]
    assert said[RANK["T8"]] > 2.5
    assert said.min() > -1.5
    np.testing.assert_allclose(opinions(np.zeros((1, len(LEVELS)))), 0, atol=1e-12)


def test_the_reader_passes_names_and_doubts_on() -> None:
    names = np.log(word(SEEN, 0.9) + 1e-6)
    count = len(SEEN)
    seen = Sightings(np.arange(count), np.zeros((count, 2)), np.ones(count), names, np.ones(count))
    numbers = {"name_weight": 1.0, "spread_scale": 2.0}
    agreed = named(seen, column(SEEN), numbers, word(SEEN, 0.9))
    assert agreed.levels == SEEN
    assert agreed.warnings == ()
    torn = named(seen, column(SEEN), numbers, word(BELOW, 0.9))
    assert torn.warnings[0].startswith("the two networks disagree: T4 to T10 in one, T5 to T11")
    assert (torn.scores < agreed.scores).all()


@pytest.mark.parametrize("wrong", ["names_wrong", "second_wrong"])
def test_the_reader_believes_whom_validation_found_right(wrong: str) -> None:
    names = np.log(word(SEEN, 0.9) + 1e-6)
    count = len(SEEN)
    seen = Sightings(np.arange(count), np.zeros((count, 2)), np.ones(count), names, np.ones(count))
    numbers = {"name_weight": 1.0, "spread_scale": 2.0, "names_wrong": 0.02, "second_wrong": 0.02}
    answer = named(seen, column(SEEN), {**numbers, wrong: 0.5}, word(BELOW, 0.9))
    assert answer.levels == (BELOW if wrong == "names_wrong" else SEEN)
