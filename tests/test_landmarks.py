"""Landmarks, truth and predictions: order, lookup, rows, and what cannot be built."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import (
    ROW_COLUMNS,
    Landmarks,
    ModelIdentity,
    Prediction,
    SliceReference,
    Truth,
)

NAN = float("nan")


@settings(derandomize=True)
@given(st.lists(st.sampled_from(LEVELS), unique=True))
def test_any_order_in_is_head_to_foot_out(labels: list[str]) -> None:
    ranks = np.array([RANK[label] for label in labels], dtype=float)
    points = np.stack([ranks, -ranks, 2 * ranks], axis=-1)
    marks = Landmarks(tuple(labels), points, ranks / 100)
    assert list(marks.labels) == sorted(labels, key=RANK.__getitem__)
    for label in labels:
        assert marks[label].tolist() == [RANK[label], -RANK[label], 2 * RANK[label]]
        assert marks.scores[marks.labels.index(label)] == RANK[label] / 100
    assert len(marks) == len(labels)


def test_lookup_selection_and_repr() -> None:
    marks = Landmarks.of({"L3": (1, 2, 3), "T12": (4, 5, 6)})
    assert repr(marks) == "Landmarks(2: T12 L3)"
    assert repr(Landmarks.empty()) == "Landmarks(0: none)"
    assert ("L3" in marks, "L4" in marks) == (True, False)
    assert marks.select(["L4", "L3"]).labels == ("L3",)
    assert np.isnan(marks.scores).all()
    with pytest.raises(KeyError):
        marks["L4"]
    with pytest.raises(ValueError, match="read-only"):
        marks.points_mm[0, 0] = 9


def test_a_height_alone_is_a_landmark() -> None:
    assert Landmarks.of({"L3": (NAN, NAN, -30.5)})["L3"][2] == -30.5


BAD = {
    "unknown level": ({"L7": (0, 0, 0)}, r"unknown levels \['L7'\]"),
    "lower case": ({"l3": (0, 0, 0)}, "unknown levels"),
    "no height": ({"L3": (0, 0, NAN)}, "L3 at"),
    "half a place": ({"L3": (0, NAN, 1)}, "both NaN for a height alone"),
    "infinite": ({"L3": (np.inf, 0, 1)}, "finite mm"),
    "two numbers": ({"L3": (0, 0)}, r"points_mm of shape \(1, 2\)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_points_are_refused(kind: str) -> None:
    points, message = BAD[kind]
    with pytest.raises(DatasetError, match=message):
        Landmarks.of(points)


def test_a_level_given_twice_and_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"given twice \['L3'\]"):
        Landmarks(("L3", "L3"), np.zeros((2, 3)))
    with pytest.raises(DatasetError, match=r"scores of shape \(2,\)"):
        Landmarks(("L3",), np.zeros((1, 3)), np.zeros(2))


def test_truth_counts_what_is_labelled_as_visible() -> None:
    truth = Truth(Landmarks.of({"L3": (0, 0, 0)}), ("L4", "L2"))
    assert truth.visible == ("L2", "L3", "L4")
    with pytest.raises(DatasetError, match="unknown levels"):
        Truth(Landmarks.empty(), ("S1",))


def predicted() -> Prediction:
    marks = Landmarks(
        ("L3", "L4"),
        np.array([[NAN, NAN, -30.12349], [1.0, 2.0, -66.0]]),
        np.array([0.91236, NAN]),
        np.array([4.0, NAN]),
    )
    places = (SliceReference(41, 12, "1.2.3"), None)
    model = ModelIdentity("slice_spotter", "3")
    return Prediction("p1", marks, ("T12",), places, model, 0.5, ("low score",), (0.2,))


def test_rows_hold_every_level_head_to_foot_in_the_stated_columns() -> None:
    rows = predicted().rows()
    assert [row["level"] for row in rows] == ["T12", "L3", "L4"]
    assert all(tuple(row) == ROW_COLUMNS for row in rows)
    absent, found, outside = rows
    assert absent == {
        **dict.fromkeys(ROW_COLUMNS), "case": "p1", "level": "T12", "found": False, "score": 0.2,
        "model": "slice_spotter", "model_version": "3", "warning": "low score",
    }  # fmt: skip
    assert found["z_mm"] == -30.123
    assert (found["x_mm"], found["y_mm"]) == (None, None)
    assert (found["slice_index"], found["slice_number"]) == (41, 42)
    assert (found["instance_number"], found["sop_instance_uid"]) == (12, "1.2.3")
    assert (found["score"], found["spread_mm"]) == (0.912, 4.0)
    assert (outside["found"], outside["slice_index"], outside["score"]) == (True, None, None)


def test_a_prediction_needs_a_slice_for_each_landmark() -> None:
    with pytest.raises(DatasetError, match="1 slices for 0 landmarks"):
        Prediction("p", Landmarks.empty(), (), (None,), ModelIdentity("m"), 0.0)


def test_a_level_that_is_not_told_has_a_row_without_a_place() -> None:
    who = ModelIdentity("m")
    held = Prediction("p", Landmarks.empty(), ("L3",), (), who, 0.0, untold={"T12": 0.25})
    first, second = held.rows()
    assert (first["level"], first["found"], first["score"], first["z_mm"]) == (
        "T12", None, 0.25, None,
    )  # fmt: skip
    assert (second["level"], second["found"]) == ("L3", False)
    with pytest.raises(DatasetError, match="given twice"):
        Prediction("p", Landmarks.empty(), ("L3",), (), who, 0.0, untold={"L3": 0.25})
