"""Rules on one row, in plain Python: what a served request meets."""

import math

import pytest

from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.limits import MIP_RULES, RAW_RULES, Rule, bind, check_row, refuse

SETTINGS = {
    "voxels_max": 1000, "spacing_min_mm": 0.2, "spacing_max_mm": 10, "height_min_mm": 40,
    "width_min_mm": 60, "hu_low_max": -200, "hu_high_min": 200, "gap_sigmas": 6,
}  # fmt: skip
GOOD = {
    "case": "a", "patient": "p", "fault": None, "fingerprint": "00", "voxels": 900,
    "spacing": "1 1 2", "spacing_least_mm": 1.0, "spacing_largest_mm": 2.0, "height_mm": 300.0,
    "width_mm": 300.0, "hu_least": -1000, "hu_largest": 1500, "out_of_order": 0,
    "gap_sigmas": 1.5, "outside": 0, "in_air": 0, "skipped": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "breaks"),
    [
        (Rule("v", "range", "", "", low=1, high=2), 1.0, False),  # both ends are allowed
        (Rule("v", "range", "", "", low=1, high=2), 2, False),
        (Rule("v", "range", "", "", low=1, high=2), 2.01, True),
        (Rule("v", "range", "", "", low=1), 0.99, True),
        (Rule("v", "range", "", "", low=1), 1e9, False),
        (Rule("v", "range", "", "", low=1), None, False),  # a fact that does not apply
        (Rule("v", "range", "", "", low=1), math.nan, False),
        (Rule("v", "one_of", "", "", values=("train", "test")), "tset", True),
        (Rule("v", "one_of", "", "", values=("train", "test")), "test", False),
        (Rule("v", "present", "", ""), None, True),
        (Rule("v", "present", "", ""), "", True),
        (Rule("v", "present", "", ""), 0, False),
        (Rule("v", "empty", "", ""), "torn", True),
        (Rule("v", "empty", "", ""), math.nan, False),
        (Rule("v", "unique", "", ""), "same", False),  # one row cannot tell
        (Rule("v", "rows", "", "", low=5), 1, False),
    ],
)
def test_kinds(kind: Rule, value: object, breaks: bool) -> None:
    assert bool(check_row({"case": "a", "v": value}, [kind])) is breaks


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.2, 10, "0.2 to 10"), (None, 3, "at most 3"), (1, None, "at least 1"), (1, 1, "1")],
)
def test_bounds_in_words(low: float | None, high: float | None, words: str) -> None:
    assert Rule("v", "range", "", "", low=low, high=high).allows == words


def test_a_good_row_breaks_nothing() -> None:
    assert check_row(GOOD, bind(RAW_RULES, SETTINGS)) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spacing_largest_mm": 14.0, "spacing": "1 1 14"}, r"spacing_largest_mm 1 1 14; "
         r"expected at most 10 \(Slices are thin enough \(mm\)\); correct"),
        ({"voxels": 1001}, "voxels 1001; expected at most 1000"),
        ({"hu_least": 0}, "hu_least 0; expected at most -200 .*slope"),
        ({"out_of_order": 1, "out_of_order_levels": "L1-L2"}, "out_of_order L1-L2"),
    ],
)  # fmt: skip
def test_a_critical_finding_refuses_the_scan(change: dict[str, object], said: str) -> None:
    findings = check_row(GOOD | change, bind(RAW_RULES, SETTINGS))
    with pytest.raises(
        LimitError, match=f"^scan.nii: found {said}" if "found" not in said else said
    ):
        refuse(findings, "scan.nii")


def test_a_warning_is_told() -> None:
    row = GOOD | {"skipped": 1, "skipped_levels": "T12-L2"}
    assert refuse(check_row(row, bind(RAW_RULES, SETTINGS)), "scan.nii") == (
        "No level is left out between those seen: found T12-L2; correct the label file",
    )


def test_a_threshold_without_a_setting_is_named() -> None:
    with pytest.raises(DatasetError, match="no setting gap_sigmas"):
        bind(MIP_RULES, {})
