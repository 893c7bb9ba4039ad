"""The score of a name: what networks say of it and its neighbours, and how sure its place is."""

import numpy as np
import pytest

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.two_stage.scores import MOST, recognition, recognition_of, scores

COLUMN = ("T4", "T5", "T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3")


def words(levels: tuple[str, ...], sure: float) -> np.ndarray:
    said = np.full((len(levels), len(LEVELS)), (1 - sure) / (len(LEVELS) - 1))
    said[np.arange(len(levels)), [RANK[level] for level in levels]] = sure
    return said


def test_what_all_networks_say_everywhere_is_recognised_as_surely() -> None:
    np.testing.assert_allclose(recognition(COLUMN, [words(COLUMN, 0.8)] * 2), 0.8)
    np.testing.assert_allclose(recognition(COLUMN, [words(COLUMN, 0.8), words(COLUMN, 0.4)]), 0.6)
    np.testing.assert_allclose(recognition(("L3",), [words(("L3",), 0.7)]), 0.7)
    assert recognition((), [np.empty((0, len(LEVELS)))]).shape == (0,)


def test_an_end_that_is_a_level_off_is_doubted_and_the_other_end_is_not() -> None:
    truly = ("T5", "T6", "T7", "T8", *COLUMN[4:])  # four names are a level off
    said = scores(recognition(COLUMN, [words(truly, 0.85)] * 2), np.full(12, 3.0))
    assert said[:2].max() < 0.5
    assert said[-3:].min() > 0.95
    assert (np.diff(said) > 0).all()


def test_a_single_odd_word_is_carried_by_its_neighbours() -> None:
    odd = words(COLUMN, 0.85)
    odd[6] = words(("L2",), 0.85)[0]
    said = scores(recognition(COLUMN, [odd] * 2), np.full(12, 3.0))
    assert said[6] > 0.85


def test_a_place_that_is_not_sure_takes_from_the_score() -> None:
    near, far = scores(np.full(2, 0.6), np.array([3.0, 20.0]))
    assert near > far + 0.1


def test_nothing_is_certain() -> None:
    assert scores(np.ones(1), np.array([1e-3])) == MOST


@pytest.mark.parametrize("recognised", [0.05, 0.4, 0.8])
def test_the_recognition_can_be_had_back_from_a_score(recognised: float) -> None:
    spread = np.array([4.0])
    said = scores(np.array([recognised]), spread)
    np.testing.assert_allclose(recognition_of(said, spread), recognised)
