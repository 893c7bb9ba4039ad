"""An answer as plain rows and back makes the same files, digit for digit."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, SliceReference
from vertebra_ml.many.rows import prediction_of
from vertebra_ml.outputs import csv_text, entry

mm = st.floats(-2000, 2000)
maybe = st.one_of(st.just(math.nan), st.floats(0, 1))


@st.composite
def predictions(draw: Any) -> Prediction:
    """Any answer: heights alone or whole points, levels missing, slices unknown."""
    labels = draw(st.lists(st.sampled_from(LEVELS), unique=True, max_size=8))
    cut, end = sorted(draw(st.integers(0, len(labels))) for _ in range(2))
    found, missing, untold = labels[:cut], tuple(labels[cut:end]), labels[end:]
    points = [(draw(mm), draw(mm), draw(mm)) for _ in found]
    points = [(math.nan, math.nan, z) if draw(st.booleans()) else (x, y, z) for x, y, z in points]
    places = [
        draw(st.sampled_from([None, SliceReference(3), SliceReference(4, 9, "1.2.840")]))
        for _ in found
    ]
    return Prediction(
        case="case-1",
        landmarks=Landmarks(
            tuple(found), np.array(points).reshape(-1, 3),
            np.array([draw(maybe) for _ in found]), np.array([draw(maybe) for _ in found]),
        ),
        missing=missing,
        slices=tuple(places),
        model=ModelIdentity("fake", draw(st.sampled_from(["", "3"])), "run", "hash"),
        seconds=draw(st.floats(0, 1e4)),
        warnings=tuple(draw(st.lists(st.sampled_from(["a; b", 'of "L3", far', "é"]), max_size=2))),
        absent_scores=tuple(draw(maybe) for _ in missing),
        untold={level: draw(maybe) for level in untold},
    )  # fmt: skip


@given(predictions())
def test_there_and_back_again(prediction: Prediction) -> None:
    plain = entry(prediction)
    back = prediction_of(plain, "case-1")
    assert entry(back) == plain
    assert csv_text(back.rows()) == csv_text(prediction.rows())


def _broken(**changes: object) -> dict[str, Any]:
    level = dict.fromkeys(
        ("x_mm", "y_mm", "slice_index", "instance_number", "sop_instance_uid", "spread_mm")
    ) | {"level": "L3", "found": True, "z_mm": 1.0, "score": 0.5}
    held = {"case": "a", "model": {"kind": "k"}, "seconds": 1.0, "warnings": []}
    return held | {"levels": [level | changes]}


def test_what_is_not_broken_is_read() -> None:
    assert prediction_of(_broken(), "a").landmarks.labels == ("L3",)


@pytest.mark.parametrize(
    "plain",
    [
        {}, {"case": "a"}, _broken(level="L9"), _broken(z_mm=None), _broken(z_mm="high"),
        _broken(slice_index="first"), _broken() | {"case": "b"}, _broken() | {"model": {"x": 1}},
        _broken() | {"levels": 5}, _broken() | {"model": None},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(plain: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="an answer that does not fit") as caught:
        prediction_of(plain, "a")
    assert "\n" not in str(caught.value)
