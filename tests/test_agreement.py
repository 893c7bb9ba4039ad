"""What two models say of the same vertebrae, held against each other."""

import pytest

from tests.answers import height
from vertebra_ml.agreement import disagreements, subject
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction

NAN = float("nan")


def said(points: dict[str, tuple[float, float, float]], *missing: str, kind="a") -> Prediction:
    marks = Landmarks.of(points)
    return Prediction("c", marks, missing, (None,) * len(marks), ModelIdentity(kind, "7"), 0.5)


L3 = (1.0, 2.0, 3.0)
CASES = {
    "the same": (said({"L3": L3}), said({"L3": L3}), ()),
    "at the limit": (said({"L3": L3}), said({"L3": (1, 2, 13)}), ()),
    "beyond it": (
        said({"L3": L3}), said({"L3": (1, 2, 13.2)}, kind="b"),
        ("L3: b 7 puts it 10.2 mm away, 10.2 mm higher",),
    ),
    "to the side alone": (
        said({"L3": L3}), said({"L3": (13, 2, 3)}), ("L3: a 7 puts it 12.0 mm away",)
    ),
    "all three axes count": (
        said({"L3": L3}), said({"L3": (9, 10, -5)}), ("L3: a 7 puts it 13.9 mm away, 8.0 mm lower",)
    ),
    "heights alone against a point": (
        said({"L3": height(3)}), said({"L3": (90, 90, -20.1)}), ("L3: a 7 puts it 23.1 mm lower",)
    ),
    "heights alone that agree": (said({"L3": (90, 90, 4)}), said({"L3": height(3)}), ()),
    "the second does not find it": (
        said({"L3": L3}), said({}, "L3"), ("L3: a 7 does not find it in this scan",)
    ),
    "the second alone finds it": (
        said({}, "L3"), said({"L3": (1, 2, -3)}), ("L3: a 7 finds it, at z −3.0 mm",)
    ),
    "neither finds it": (said({}, "L3"), said({}, "L3"), ()),
    "one of them was not asked": (said({"L3": L3}), said({"T12": L3}, "L1"), ()),
    "head to foot": (
        said({"L3": L3, "T12": (0, 0, 90)}), said({}, "L3", "T12"),
        tuple(f"{level}: a 7 does not find it in this scan" for level in ("T12", "L3")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_line_for_each_level_that_differs(name: str) -> None:
    first, second, lines = CASES[name]
    assert disagreements(first, second) == lines


def test_the_limit_is_given() -> None:
    first, second = said({"L3": L3}), said({"L3": (1, 2, 5)})
    assert disagreements(first, second, 2.0) == ()
    assert disagreements(first, second, 1.9) == ("L3: a 7 puts it 2.0 mm away, 2.0 mm higher",)


def test_the_subject_of_a_warning() -> None:
    assert subject("L3: score 0.2") == "L3"
    assert subject("L3 follows T11") == ""
    assert subject("a gap: no vertebra") == ""
