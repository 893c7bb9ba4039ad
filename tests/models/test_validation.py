"""Thresholds are chosen where answers are judged: after the column is weighed."""

from types import SimpleNamespace

import numpy as np
import pytest

from vertebra_ml.models import validation
from vertebra_ml.models.decoding import JOINTS
from vertebra_ml.models.validation import Outcome
from vertebra_ml.targets import ABSENT, LABELLED, UNKNOWN

HEADS = ("T12", "L3")
ROWS = 150


def own(absent: float) -> np.ndarray:
    """Both levels where they belong, 50 rows apart, the rest of the mass on "not here"."""
    table = np.zeros((2, ROWS + 1))
    table[0, 40], table[1, 91], table[:, -1] = 1 - absent, 1 - absent, absent
    return table


@pytest.mark.parametrize("name", ["compact", "kanavati"])
def test_the_threshold_parts_what_is_there_from_what_is_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [(0.1, LABELLED), (0.3, LABELLED), (0.999, ABSENT), (0.9999, ABSENT), (0.5, UNKNOWN)]
    samples = [
        (SimpleNamespace(states=np.array([state, state])), own(absent))
        for absent, state in pictures
    ]
    monkeypatch.setattr(validation, "distributions", lambda *_: iter(samples))
    settings = SimpleNamespace(levels=HEADS, heads=HEADS, architecture=name)
    chosen = validation.best_presence_threshold(None, [], settings)  # type: ignore[arg-type]
    shape = validation.architecture(name)
    for (_, state), (_, table) in zip(pictures, samples, strict=True):
        joint = JOINTS[shape.column](table, HEADS, shape.spacing_mm)
        for row in joint:
            if state != UNKNOWN:
                assert (1 - row[-1] >= chosen) == (state == LABELLED)


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ([(0.12, 30), (0.22, 25), (0.32, 4), (0.9, 1)], 0.3),  # wrong up to 0.22
        ([(0.12, 3), (0.9, 1)], 0.1),  # all right: nothing is held back
        ([(0.12, 3), (0.22, 30), (0.41, 3), (0.43, 30), (0.9, 1)], 0.5),  # of equals the highest
        ([(0.8, 30), (0.9, 1)], 0.5),  # never above a half
    ],
)
def test_places_are_told_from_where_they_are_more_often_right(
    answers: list[tuple[float, float]], chosen: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [Outcome("L3", True, True, mm, score) for score, mm in answers]
    outcomes += [Outcome("L3", True, False, float("nan"), 0.05)] * 9  # said to be absent: no place
    monkeypatch.setattr(validation, "_outcomes", lambda *_: iter(outcomes))
    settings = SimpleNamespace(architecture="compact")
    found = validation.best_answer_threshold(None, [], None, settings)  # type: ignore[arg-type]
    assert found == pytest.approx(chosen)


def test_an_invented_level_is_a_wrong_place(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [Outcome("T12", False, True, float("nan"), 0.33), Outcome("T12", True, True, 1, 0.9)]
    monkeypatch.setattr(validation, "_outcomes", lambda *_: iter(outcomes))
    settings = SimpleNamespace(architecture="compact")
    found = validation.best_answer_threshold(None, [], None, settings)  # type: ignore[arg-type]
    assert found == pytest.approx(0.5)
