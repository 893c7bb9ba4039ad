"""Some levels of a model, and two models at once."""

import logging
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.answers import grid, height
from vertebra_ml.asking import Beside, Only
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.mip import MipPair
from vertebra_ml.volume import Source, Volume

PAIR: MipPair = None  # type: ignore[assignment]  # the models below look at nothing


@dataclass
class Told:
    """A model that answers what it was told to, with spread 1, 2, ... head to foot."""

    points: dict[str, tuple[float, float, float]]
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    kind: str = "told"
    mips: bool = True
    identity: ModelIdentity = field(default_factory=lambda: ModelIdentity("told", "3", "r", "h"))

    @property
    def levels(self) -> tuple[str, ...]:
        return (*self.points, *self.missing)

    def locate(self, volume: Volume, case: str) -> Prediction:
        return self._answer(volume.origin, case)

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        if not self.mips:
            raise ModelError(case, found="a MIP archive", expected="a CT", fix="give it")
        return self._answer(source, case)

    def _answer(self, source: Source, case: str) -> Prediction:
        marks = Landmarks.of(self.points)
        n = len(marks)
        marks = Landmarks(marks.labels, marks.points_mm, np.full(n, 0.5), np.arange(1.0, n + 1))
        places = tuple(source.slice_at(np.nan_to_num(point)) for point in marks.points_mm)
        scores = tuple(0.1 * (number + 1) for number in range(len(self.missing)))
        return Prediction(
            case, marks, self.missing, places, self.identity, 0.25, self.warnings, scores
        )


COLUMN = {"T11": (0, 0, 15), "T12": (1, 2, 9), "L3": (3, 4, -9), "L4": (5, 6, -18)}


def test_only_keeps_what_belongs_to_a_level_together() -> None:
    warnings = ("L3: look", "T11: look", "a gap", "scores below 0.5 (T11 0.40)")
    whole = Told(COLUMN, ("L5", "L6"), warnings)
    model = Only(whole, ("L6", "L3", "T12"))
    assert model.levels == ("T12", "L3", "L6")
    assert (model.kind, model.identity) == (whole.kind, whole.identity)
    for answer in (model.locate(grid(), "c"), model.locate_mips(PAIR, grid().origin, "c")):
        every = {str(row["level"]): row for row in whole.locate(grid(), "c").rows()}
        for row in answer.rows():
            row["warning"] = every[str(row["level"])]["warning"]
            assert row == every[str(row["level"])]
        assert len(answer.rows()) == 3
        assert answer.warnings == ("L3: look", "a gap", "scores below 0.5 (T11 0.40)")


@pytest.mark.parametrize("levels", [("L3", "C1"), ("T13",), ()])
def test_only_refuses_in_one_line_what_the_model_does_not_answer(levels: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as refusal:
        Only(Told(COLUMN, ("L5",)), levels)
    line = str(refusal.value)
    assert line.startswith("told 3: found ")
    assert "T11, T12, L3, L4, L5" in line
    assert all(level in line for level in levels if level not in COLUMN)
    assert "\n" not in line


def test_a_second_model_adds_what_it_differs_on_and_changes_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = Told({"T12": height(9), "L3": height(-9)}, warnings=("own",))
    second = Told({**COLUMN, "L3": (3, 4, -20)}, kind="two", identity=ModelIdentity("two"))
    model = Beside(first, second)
    assert (model.levels, model.kind, model.identity) == (first.levels, "told", first.identity)
    for answer in (model.locate(grid(), "c"), model.locate_mips(PAIR, grid().origin, "c")):
        line = "L3: two puts it 11.0 mm lower"
        assert answer.warnings == ("own", line)
        assert answer.seconds == 0.5
        plain = first.locate(grid(), "c").rows()
        assert [{**row, "warning": "own"} for row in answer.rows()] == plain
        assert all(line in str(row["warning"]) for row in answer.rows())
    assert caplog.messages == [f"c: {line}"] * 2


def test_the_limit_is_the_callers() -> None:
    first, second = Told({"L3": (3, 4, -9)}), Told({"L3": (3, 4, -7)})
    assert Beside(first, second).locate(grid(), "c").warnings == ()
    assert len(Beside(first, second, 1.0).locate(grid(), "c").warnings) == 1


def test_a_second_model_that_cannot_answer_is_a_warning() -> None:
    model = Beside(Told(COLUMN), Told(COLUMN, kind="two", mips=False))
    answer = model.locate_mips(PAIR, grid().origin, "c")
    assert answer.warnings == ("two 3 was asked too and cannot answer: found a MIP archive",)
    assert len(answer.landmarks) == 4
    with pytest.raises(ModelError, match="a MIP archive"):
        Beside(Told(COLUMN, mips=False), Told(COLUMN)).locate_mips(PAIR, grid().origin, "c")


def test_a_second_model_must_share_a_level() -> None:
    with pytest.raises(ModelError, match="a second model for L3 alone; expected one that answers"):
        Beside(Told({"T12": (1, 2, 9)}), Told({"L3": (3, 4, -9)}))


def test_nothing_is_logged_where_they_agree(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "vertebra_ml"):
        Beside(Told(COLUMN), Told(COLUMN)).locate(grid(), "c")
    assert caplog.messages == []
