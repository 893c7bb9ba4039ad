"""Numbers of an evaluation, held against a naive loop over rows."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml import intervals, metrics
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth
from vertebra_ml.volume import Source

STRAIGHT = Source(np.diag([1.0, 1.0, 2.5, 1.0]), (100, 100, 200))  # slices of 2.5 mm, upright
TRUTH = Truth(
    Landmarks.of({"T11": (50, 50, 330), "T12": (50, 50, 300), "L1": (50, 50, 268)}),
    visible=("T10", "T11", "T12", "L1", "L2"),
)


def predicted(points: dict[str, tuple[float, float, float]], missing=(), absent=()) -> Prediction:
    marks = Landmarks.of(points)
    marks = Landmarks(marks.labels, marks.points_mm, np.full(len(marks), 0.9))
    nowhere = (None,) * len(marks)
    return Prediction("a", marks, missing, nowhere, ModelIdentity("test"), 0.1, (), absent)


def row_of(points, missing=(), truth=TRUTH, source=STRAIGHT) -> dict[str, object]:
    (row,) = metrics.score(
        "a", "test", truth, predicted(points, missing, (0.8,) * len(missing)), source
    )
    return row


NAN = math.nan
ERRORS = [
    # answer, level, expected error_mm, dz_mm, error_slices, levels_off
    ((50, 50, 305), "T12", 5.0, 5.0, 2.0, 0.0),
    ((NAN, NAN, 297.5), "T12", 2.5, -2.5, 1.0, 0.0),  # height only
    ((53, 54, 300), "T12", 5.0, 0.0, 0.0, 0.0),  # 3-4-5 within the slice
    ((50, 50, 329), "T12", 29.0, 29.0, 11.6, -1.0),  # sits on T11
    ((NAN, NAN, 270), "T12", 30.0, -30.0, 12.0, 1.0),  # sits on L1
    ((50, 50, 236), "L1", 32.0, -32.0, 12.8, 1.0),  # L2 has no label: as far as T12, 32 mm
    ((50, 50, 258), "L1", 10.0, -10.0, 4.0, 0.0),
    ((50, 50, 269), "T11", 61.0, -61.0, 24.4, 2.0),
]


@pytest.mark.parametrize(("point", "level", "mm", "dz", "slices", "off"), ERRORS)
def test_errors_of_a_present_level(point, level, mm, dz, slices, off):
    row = row_of({level: point})
    assert (row["present"], row["found"]) == (True, True)
    found = [row[name] for name in ("error_mm", "dz_mm", "error_slices", "levels_off")]
    assert found == pytest.approx([mm, dz, slices, off])
    assert row["score"] == 0.9
    assert row["slice_spacing_mm"] == 2.5


PRESENCE = [
    # level, answered, expected present, found
    ("T12", True, True, True),
    ("T12", False, True, False),
    ("L4", True, False, True),
    ("L4", False, False, False),
    ("L2", True, None, True),  # in the scan, not labelled: neither right nor wrong
    ("L2", False, None, False),
]


@pytest.mark.parametrize(("level", "answered", "present", "found"), PRESENCE)
def test_presence_has_three_states(level, answered, present, found):
    row = row_of({level: (50, 50, 300)}) if answered else row_of({}, (level,))
    assert row["present"] is present
    assert row["found"] is found
    assert (row["error_mm"] is not None) == (present is True and found)
    assert row["score"] == (0.9 if answered else 0.8)


def test_only_levels_asked_for_have_rows():
    rows = metrics.score("a", "g", TRUTH, predicted({"L1": (0, 0, 0)}, ("T12",), (1,)), STRAIGHT)
    assert [row["level"] for row in rows] == ["T12", "L1"]


def test_slices_of_a_tilted_grid_count_along_its_own_axis():
    tilt = math.radians(30)
    affine = np.eye(4)
    affine[:3, :3] = [
        [1, 0, 0],
        [0, math.cos(tilt), -math.sin(tilt) * 5],
        [0, math.sin(tilt), math.cos(tilt) * 5],
    ]
    source = Source(affine, (50, 50, 50))
    row = row_of({"T12": (50, 60, 310)}, source=source)
    positions = [source.slice_position(np.array(p)) for p in ((50, 60, 310), (50, 50, 300))]
    assert row["error_slices"] == pytest.approx(abs(positions[0] - positions[1]))


def test_without_labelled_neighbours_the_level_is_not_judged():
    lone = Truth(Landmarks.of({"L3": (0, 0, 0)}), ("L2", "L3", "L4"))
    assert row_of({"L3": (0, 0, 36)}, truth=lone)["levels_off"] is None


# One row each: case, group, level, present, found, error mm, slices, score, levels off.
SMALL = [
    ("a", "x", "L3", True, True, 1.0, 0.5, 0.9, 0),
    ("a", "x", "T12", True, True, 30.0, 15.0, 0.8, 1),
    ("b", "x", "L3", True, False, None, None, 0.7, None),
    ("b", "x", "T12", False, True, None, None, 0.6, None),
    ("c", "y", "L3", None, True, None, None, 0.5, None),
    ("c", "y", "T12", False, False, None, None, 0.99, None),
    ("d", "y", "L3", True, True, 3.0, 1.0, None, 0),
]
SHORT = (
    "case", "group", "level", "present", "found", "error_mm", "error_slices", "score", "levels_off",
)  # fmt: skip


def table_of(rows) -> pd.DataFrame:
    return metrics.as_table([dict(zip(SHORT, row, strict=True)) for row in rows])


def test_numbers_of_a_small_table_by_hand():
    whole = metrics.summarise(table_of(SMALL), gross_mm=20, bootstrap=50, seed=1)["overall"]
    assert {k: whole[k] for k in ("cases", "present", "absent", "n", "gross", "missed")} == {
        "cases": 4, "present": 4, "absent": 2, "n": 3, "gross": 1, "missed": 1,
    }  # fmt: skip
    assert whole["invented"] == 1
    assert whole["median_mm"] == 3
    assert whole["mean_mm"] == pytest.approx(34 / 3)
    assert whole["gross_rate"] == pytest.approx(1 / 3)
    assert whole["off_by_one_rate"] == pytest.approx(1 / 3)
    assert whole["presence_right"] == pytest.approx(4 / 6)  # a a d found, c's T12 absent


def test_a_level_that_is_visible_without_a_label_changes_nothing():
    with_it, without = (
        metrics.numbers(table_of(rows), gross_mm=20, bootstrap=0, seed=1)
        for rows in (SMALL, [row for row in SMALL if row[3] is not None])
    )
    assert with_it == without


@st.composite
def tables(draw) -> pd.DataFrame:
    rows = []
    for case in range(draw(st.integers(1, 8))):
        for level in draw(st.sets(st.sampled_from(["T12", "L3", "L4"]))):
            present = draw(st.sampled_from([True, False, None]))
            found = draw(st.booleans())
            error = draw(st.floats(0, 90)) if present and found else None
            off = draw(st.sampled_from([None, 0, 1, -1, 2])) if error is not None else None
            size = None if error is None else error / 2.5
            group = "odd" if case % 2 else "even"
            rows.append((f"c{case}", group, level, present, found, error, size, 0.5, off))
    return table_of(rows)


def naive(rows: list[dict], gross_mm: float) -> dict[str, float | None]:
    """Say the same numbers with a loop."""
    mm, slices, gross, off, presence = [], [], [], [], []
    for row in rows:
        if row["present"] in (True, False):
            presence.append(row["present"] == row["found"])
        if row["present"] is True and row["found"]:
            mm.append(row["error_mm"])
            slices.append(row["error_slices"])
            gross.append(row["error_mm"] > gross_mm)
            if not math.isnan(row["levels_off"]):
                off.append(row["levels_off"] in (1, -1))
    answer = {}
    for unit, values in (("mm", mm), ("slices", slices)):
        answer[f"mean_{unit}"] = np.mean(values) if values else None
        answer[f"std_{unit}"] = np.std(values) if values else None
        answer[f"median_{unit}"] = np.median(values) if values else None
        answer[f"p90_{unit}"] = np.percentile(values, 90) if values else None
    for name, values in (("gross_rate", gross), ("off_by_one_rate", off)):
        answer[name] = np.mean(values) if values else None
    return answer | {"presence_right": np.mean(presence) if presence else None}


@settings(derandomize=True, max_examples=60)
@given(tables())
def test_numbers_agree_with_a_naive_loop(table):
    summary = metrics.summarise(table, gross_mm=20, bootstrap=4, seed=3)
    rows = [
        {**row, "present": None if pd.isna(row["present"]) else bool(row["present"])}
        for row in table.to_dict("records")
    ]
    for found, chosen in (
        (summary["overall"], rows),
        *((part, [r for r in rows if r["level"] == k]) for k, part in summary["levels"].items()),
        *((part, [r for r in rows if r["group"] == k]) for k, part in summary["groups"].items()),
    ):
        for name, expected in naive(chosen, 20).items():
            assert found[name] == (None if expected is None else pytest.approx(expected, abs=1e-6))


@settings(derandomize=True, max_examples=30)
@given(tables(), st.integers(0, 5))
def test_bootstrap_agrees_with_resampling_cases_by_hand(table, seed):
    draws = 40
    found = metrics.numbers(table, gross_mm=20, bootstrap=draws, seed=seed)
    names = list(dict.fromkeys(sorted(zip(table["group"], table["case"], strict=True))))
    if len(names) < 2:
        assert found["mean_mm_low"] is None
        return
    rng = np.random.default_rng([seed])
    results = {"mean_mm": [], "median_mm": [], "p90_mm": [], "std_mm": []}
    for counts in rng.multinomial(len(names), [1 / len(names)] * len(names), size=draws):
        errors = [
            error
            for (_, case), count in zip(names, counts, strict=True)
            for error in list(table.loc[table["case"] == case, "error_mm"].dropna()) * count
        ]
        if errors:
            results["mean_mm"].append(np.mean(errors))
            results["median_mm"].append(np.median(errors))
            results["p90_mm"].append(np.percentile(errors, 90))
            results["std_mm"].append(np.std(errors))
    with_errors = table.loc[table["error_mm"].notna(), "case"].nunique()
    for name, values in results.items():
        if with_errors < 2:
            assert found[f"{name}_low"] is None
        else:
            expected = np.percentile(values, [2.5, 97.5])
            got = [found[f"{name}_low"], found[f"{name}_high"]]
            assert got == pytest.approx(list(expected), abs=1e-5)


def test_summary_is_valid_json_where_nothing_is_known():
    empty = metrics.summarise(metrics.as_table([]), gross_mm=20, bootstrap=10, seed=1)
    assert empty["overall"]["n"] == 0
    assert empty["overall"]["median_mm"] is None
    assert empty["levels"] == {}
    blank = metrics.summarise(table_of([SMALL[2]]), gross_mm=20, bootstrap=10, seed=1)
    assert blank["overall"]["presence_right"] == 0
    json.dumps([empty, blank], allow_nan=False)


def test_the_seed_decides_the_interval():
    rows = [(f"c{i}", "x", "L3", True, True, i**1.5, 0.5, 0.9, 0) for i in range(9)]

    def low(seed):
        return metrics.numbers(table_of(rows), gross_mm=20, bootstrap=30, seed=seed)["mean_mm_low"]

    assert low(5) == low(5)
    assert low(5) != low(6)


def test_a_rate_of_none_in_many_keeps_an_open_end():
    # Rule of three: none in 100 allows up to about 3 in 100.
    rows = [(f"c{i}", "x", "L3", True, True, 1.0, 0.5, 0.9, 0) for i in range(100)]
    found = metrics.numbers(table_of(rows), gross_mm=20, bootstrap=50, seed=1)
    assert (found["gross_rate_low"], found["gross_rate_high"]) == (
        0,
        pytest.approx(0.0295, abs=1e-3),
    )
    assert (found["presence_right_low"], found["presence_right_high"]) == (
        pytest.approx(0.9705, abs=1e-3),
        1,
    )


def test_equal_case_names_of_two_groups_are_two_cases():
    rows = [("a", group, "L3", True, True, 1.0, 0.5, 0.9, 0) for group in ("x", "y")]
    found = metrics.numbers(table_of(rows), gross_mm=20, bootstrap=5, seed=1)
    assert found["cases"] == 2
    assert found["mean_mm_low"] == 1  # one case has no interval


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        values = rng.normal(10, 2, size=40)
        weights = intervals.draw_cases(40, 200, trial)
        low, high = intervals.percentile_interval(intervals.mean(values, weights), 40)
        hits += low <= 10 <= high
    assert 180 <= hits <= 199  # 95 % of 200 is 190; a percentile interval of 40 is a bit narrow


def test_reliability_counts_right_answers_by_score():
    table = metrics.reliability(table_of(SMALL), 4, right_mm=20)
    # scores .9 right, .8 gross, .99 rightly absent | .7 wrongly absent, .6 invented
    assert list(table["n"]) == [0, 0, 2, 3]
    assert list(table["right"])[2:] == [0, pytest.approx(2 / 3)]
    assert math.isnan(table["right"][0])
    assert table["score"][3] == pytest.approx((0.9 + 0.8 + 0.99) / 3)
    assert metrics.reliability(metrics.as_table([]), 3, right_mm=20)["n"].sum() == 0


def test_worst_names_wrong_presence_then_the_largest_errors():
    chosen = metrics.worst(table_of(SMALL), 3)
    assert list(zip(chosen["case"], chosen["level"], strict=True)) == [
        ("b", "L3"), ("b", "T12"), ("a", "T12"),
    ]  # fmt: skip
    assert len(metrics.worst(table_of(SMALL), 99)) == 5  # the unlabelled and the absent are not bad


def test_what_is_not_told_is_there_and_has_no_place():
    answer = replace(predicted({}, ("L4",), (0.8,)), untold={"T12": 0.25, "L5": 0.2})
    rows = metrics.score("a", "test", TRUTH, answer, STRAIGHT)
    said = [(row["level"], row["present"], row["found"], row["score"]) for row in rows]
    assert said == [("T12", True, None, 0.25), ("L4", False, False, 0.8), ("L5", False, None, 0.2)]
    table = metrics.as_table(rows)
    numbers = metrics.numbers(table, gross_mm=20, bootstrap=0, seed=1)
    counts = {name: numbers[name] for name in ("n", "missed", "untold", "invented")}
    assert counts == {"n": 0, "missed": 1, "untold": 2, "invented": 0}
    assert numbers["presence_right"] == pytest.approx(2 / 3)  # L5 is not there
    assert metrics.reliability(table, 1, right_mm=20)["n"].sum() == 1  # the absent L4
    assert list(metrics.worst(table, 9)["level"]) == ["L5"]
