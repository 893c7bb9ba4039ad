"""Names of whole columns: usual ones, variants, parts, missing and surplus candidates."""

from dataclasses import replace

import numpy as np
import pytest

from tests.chain.columns import build, candidates, with_more
from vertebra_ml.anatomy import LEVELS, RANK, USUAL
from vertebra_ml.chain import Candidates, label, shipped
from vertebra_ml.errors import GeometryError


def scores(names: list[str], sure: float = 0.9) -> np.ndarray:
    """Return (n, 26) level scores that name each candidate rightly."""
    table = np.full((len(names), len(LEVELS)), 0.02)
    table[np.arange(len(names)), [RANK[name] for name in names]] = sure
    return table


@pytest.mark.parametrize(
    ("first", "last"), [("C1", "L5"), ("C3", "T4"), ("T9", "L5"), ("C7", "L5"), ("T10", "L5")]
)
def test_a_usual_column_is_named(first: str, last: str) -> None:
    levels = USUAL[USUAL.index(first) : USUAL.index(last) + 1]
    column, names = candidates(levels)
    labelling = label(column)
    assert list(labelling.levels) == names
    assert labelling.can_tell
    assert labelling.probabilities.min() > 0.5


def test_any_order_of_candidates_gives_the_same_names() -> None:
    column, names = candidates(USUAL[14:24])
    turn = np.random.default_rng(3).permutation(len(names))
    assert column.segments is not None
    turned = Candidates(column.points_mm[turn], segments=column.segments[turn])
    assert list(label(turned).levels) == [names[i] for i in turn]
    np.testing.assert_allclose(label(turned).chances, label(column).chances[turn], atol=1e-9)


@pytest.mark.parametrize("of", ["L6", "no L5", "T13", "no T12", "no T12, L6"])
def test_a_variant_is_named_where_each_level_says_what_it_is(of: str) -> None:
    levels = build(of).levels[6:]
    column, names = candidates(levels, of)
    told = Candidates(column.points_mm, level_scores=scores(names))
    assert list(label(told).levels) == names


def test_level_scores_count_as_far_as_their_network_is_believed() -> None:
    column, names = candidates(USUAL[14:24])
    wrong = Candidates(column.points_mm, level_scores=scores(names[1:] + names[:1]))
    weights = replace(shipped().weights, level=0.0)
    deaf = label(wrong, replace(shipped(), weights=weights))
    np.testing.assert_allclose(deaf.chances, label(Candidates(column.points_mm)).chances)
    assert deaf.levels != label(wrong).levels


def test_six_lumbar_vertebrae_below_a_clear_rib_are_l1_to_l6() -> None:
    column, names = candidates(build("L6").levels[10:], "L6")
    assert list(label(column).levels) == names


@pytest.mark.parametrize("lost", ["T11", "L2", "L4"])
def test_a_missing_vertebra_leaves_a_gap_in_the_names(lost: str) -> None:
    column, names = candidates(USUAL[14:24], missing=[lost])
    assert list(label(column).levels) == names


def test_surplus_candidates_get_no_name() -> None:
    column, names = candidates(USUAL[14:24])
    rib, copy = column.points_mm[3] + [130.0, 20.0, 8.0], column.points_mm[5] + [4.0, -3.0, 2.0]
    found = label(with_more(column, [rib, copy])).levels
    assert list(found[:5]) == names[:5]
    assert found[len(names)] == ""
    assert sorted([found[5], found[-1]]) == ["", names[5]]


def test_a_middle_of_the_chest_cannot_be_told() -> None:
    column, _ = candidates(USUAL[11:16])
    labelling = label(column)
    assert not labelling.can_tell
    assert labelling.doubt().startswith("cannot tell which vertebrae these are: candidate 2 is T")
    assert all(level.startswith("T") for level in labelling.levels)
    told = [LEVELS.index(level) for level in labelling.levels]
    assert np.diff(told).tolist() == [1, 1, 1, 1]


def test_chances_add_up_and_the_probability_is_that_of_the_name() -> None:
    column, _ = candidates(USUAL[14:24])
    labelling = label(with_more(column, [[200.0, 0.0, 700.0]]))
    assert (labelling.chances.sum(axis=1) <= 1 + 1e-9).all()
    for number, level in enumerate(labelling.levels):
        chances = labelling.chances[number]
        expected = chances[RANK[level]] if level else 1 - chances.sum()
        assert labelling.probabilities[number] == pytest.approx(expected, abs=1e-9)


def test_positions_alone_are_enough_to_go_on() -> None:
    column, names = candidates(USUAL, segments=False)
    found = label(column).levels
    assert list(found) == names


def test_no_candidate_and_one() -> None:
    empty = label(Candidates(np.empty((0, 3))))
    assert (empty.levels, len(empty.probabilities), empty.can_tell) == ((), 0, True)
    assert empty.doubt() == ""
    assert len(label(Candidates(np.zeros((1, 3)))).levels) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"points_mm": np.zeros((2, 2))},
        {"points_mm": np.full((1, 3), np.nan)},
        {"points_mm": np.zeros((2, 3)), "segments": np.zeros((1, 3))},
        {"points_mm": np.zeros((1, 3)), "level_scores": np.zeros((1, 24))},
    ],
)
def test_unfit_candidates_are_refused(given: dict[str, np.ndarray]) -> None:
    with pytest.raises(GeometryError, match="candidates"):
        Candidates(**given)
