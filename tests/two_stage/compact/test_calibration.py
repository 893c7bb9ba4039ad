"""Numbers that make the words of identification true, from validation columns as it reads them."""

from typing import Any

import numpy as np
import pytest

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.two_stage.compact import calibration
from vertebra_ml.two_stage.compact.calibration import HELD, NAME_WEIGHTS, Read, thresholds
from vertebra_ml.two_stage.compact.identification import Sightings

SURE = np.log(np.where(np.arange(len(LEVELS)) == RANK["T5"], 0.95, 0.05 / (len(LEVELS) - 1)))
"""Log probabilities of a network that is 95 % sure of T5."""


def column(right: int, wrong: int, missed: int = 0) -> Read:
    """A column whose every vertebra is called T5, rightly or not; the k-th is k mm off."""
    count = right + wrong
    seen = Sightings(
        np.arange(count) * 8.0,
        np.zeros((count, 2)),
        np.ones(count),
        np.tile(SURE, (count, 1)),
        np.full(count, 2.0),
    )
    truth = np.array([RANK["T5"]] * right + [RANK["T9"]] * wrong)
    return Read(seen, np.zeros((count, 3)), truth, 1.0 + np.arange(count), missed)


def found(monkeypatch: pytest.MonkeyPatch, *columns: Read) -> dict[str, float]:
    monkeypatch.setattr(calibration, "read", lambda _network, one: one)
    samples: Any = columns
    return thresholds(None, samples)


@pytest.mark.parametrize(
    ("right", "wrong", "weight"), [(95, 5, 1.0), (75, 25, 0.7), (47, 53, 0.5), (2, 98, 0.1)]
)
def test_names_weigh_as_much_as_they_are_right(
    monkeypatch: pytest.MonkeyPatch, right: int, wrong: int, weight: float
) -> None:
    # A chance of 0.95 among 26 levels becomes 0.75 at 0.7, 0.47 at 0.5 and 0.07 at 0.1.
    answer = found(monkeypatch, column(right, wrong))
    assert answer["name_weight"] == weight
    assert weight in NAME_WEIGHTS
    assert answer["names_wrong"] == pytest.approx(wrong / 100)


def test_a_missed_vertebra_is_named_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = found(monkeypatch, column(8, 0, missed=2))
    assert answer["names_wrong"] == pytest.approx(0.2)


def test_the_stated_radius_holds_nine_in_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    scale = found(monkeypatch, column(60, 0), column(40, 0))["spread_scale"]
    errors = np.concatenate([1.0 + np.arange(60), 1.0 + np.arange(40)])
    assert (errors <= 2.0 * scale).mean() == pytest.approx(HELD, abs=0.011)


def test_nothing_seen_is_no_certainty(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = found(monkeypatch, column(0, 0, missed=3))
    assert answer["name_weight"] == min(NAME_WEIGHTS)
    assert answer["spread_scale"] == 1.0
