"""What is taught of a name, and what the names of one column weigh together."""

import numpy as np
import pytest

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.two_stage.compact.identification import ANY, NEXT, _softened, tempered


def test_a_name_is_taught_with_a_little_doubt() -> None:
    table = _softened()
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-6)
    row = table[RANK["T5"]]
    assert row.argmax() == RANK["T5"]
    assert row[RANK["T4"]] == row[RANK["T6"]] == pytest.approx(NEXT + ANY / len(LEVELS))
    assert row[RANK["L3"]] == pytest.approx(ANY / len(LEVELS))


def names(count: int) -> np.ndarray:
    """Log probabilities of a network that holds each vertebra for T5 rather than T6 by 3 nats."""
    logs = np.full((count, len(LEVELS)), -8.0)
    logs[:, RANK["T5"]], logs[:, RANK["T6"]] = -0.05, -3.05
    return logs


def margin(scores: np.ndarray) -> float:
    return float((np.log(scores[:, RANK["T5"]]) - np.log(scores[:, RANK["T6"]])).sum())


def test_one_name_counts_as_it_is_and_many_as_a_few() -> None:
    for count, nats in ((1, 3.0), (3, 4.5), (5, 6.0), (17, 15.0), (24, 15.0)):
        scores = tempered(names(count), 1.0)
        np.testing.assert_allclose(scores.sum(axis=1), 1)
        assert margin(scores) == pytest.approx(nats)
    assert margin(tempered(names(24), 0.5)) == pytest.approx(7.5)


def test_no_names_are_no_scores() -> None:
    assert tempered(np.empty((0, len(LEVELS))), 1.0).shape == (0, len(LEVELS))
