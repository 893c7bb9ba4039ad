"""The gate: planted faults stop it, it names rule and rows, and its page needs no network."""

import contextlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vertebra_ml.errors import GateError
from vertebra_ml.limits import (
    METRIC_RULES,
    MIP_RULES,
    PART_RULES,
    PHANTOM_RULES,
    RAW_RULES,
    SPLIT_RULES,
    Rule,
    bind,
    check_row,
    gate,
    row_count,
)

SETTINGS = {
    "voxels_max": 1000, "spacing_min_mm": 0.2, "spacing_max_mm": 10, "height_min_mm": 40,
    "width_min_mm": 60, "hu_low_max": -200, "hu_high_min": 200, "gap_sigmas": 6,
    "median_mm_max": 2.5, "gross_rate_max": 0.02, "presence_min": 0.95,
}  # fmt: skip
RAW = {
    "patient": "p", "fault": None, "voxels": 900, "spacing": "1 1 2", "spacing_least_mm": 1.0,
    "spacing_largest_mm": 2.0, "height_mm": 300.0, "width_mm": 300.0, "hu_least": -1000,
    "hu_largest": 1500, "out_of_order": 0, "gap_sigmas": 1.5, "outside": 0, "in_air": 0,
    "not_bone": 0, "skipped": 0, "tissue_share": 0.4, "gap_ratio": 1.1, "frame": None,
    "body_share": None, "bone_share": None,
}  # fmt: skip
MIP = {
    "fault": None, "spacing_off_mm": 0.0, "hu_least": -1024, "hu_largest": 1500, "body_share": 0.6,
    "bone_share": 0.1, "outside": 0, "out_of_order": 0, "gap_sigmas": 1.0, "labelled": 20,
}  # fmt: skip
SPLIT = {"patient": "p", "part": "train", "parts_of_patient": 1}
PART = {"patients": 3, "share_off": 0.0, "share": "0.5 for 0.5", "levels_missing": 0}
METRIC = {"failed": 0, "median_mm": 1.0, "gross_rate": 0.0, "presence_right": 1.0}

FAULTS: dict[str, tuple[tuple[Rule, ...], dict[str, Any], dict[str, Any], str]] = {
    "raw, thick slices": (RAW_RULES, RAW, {"spacing_largest_mm": 14.0, "spacing": "1 1 14"},
                          r"spacing_largest_mm at most 10\] broken by bad \(1 1 14\)"),
    "raw, swapped levels": (RAW_RULES, RAW, {"out_of_order": 1, "out_of_order_levels": "L1-L2"},
                            r"from head to foot .* broken by bad \(L1-L2\)"),
    "raw, level outside": (RAW_RULES, RAW, {"outside": 1, "outside_levels": "L3"},
                           r"inside the scan .* broken by bad \(L3\)"),
    "raw, gap of another body": (RAW_RULES, RAW, {"gap_sigmas": 9.1, "gap_worst": "L1-L2 60.0 mm"},
                                 r"broken by bad \(L1-L2 60.0 mm\)"),
    "raw, level passed over": (
        RAW_RULES, RAW, {"gap_ratio": 2.0, "gap_jump": "C6-C7 36.1 mm, 2.0 times its neighbours"},
        r"passed over \[gap_ratio at most 1.6\] broken by bad \(C6-C7 36.1 mm, 2.0 times"),
    "raw, other frame": (RAW_RULES, RAW, {"frame": "labels look like voxel indices"},
                         r"frame empty\] broken by bad \(labels look like voxel indices\)"),
    "raw, intercept twice": (RAW_RULES, RAW, {"tissue_share": 0.01}, r"soft tissue.* bad \(0.01\)"),
    "raw, a MIP of air": (RAW_RULES, RAW, {"body_share": 0.0, "hu_least": None},
                          r"crosses a body .* broken by bad \(0\)"),
    "raw, not HU": (RAW_RULES, RAW, {"hu_least": 0}, r"at most -200\] broken by bad \(0\)"),
    "raw, unreadable": (RAW_RULES, {}, {"fault": "found 3 bytes", "patient": "p"},
                        r"can be read .* broken by bad \(found 3 bytes\)"),
    "raw, copy": (RAW_RULES, RAW, {"content": "f0", "source": "data/bad"},
                  r"No scan is there twice .* good0 \(data/good0\), bad \(data/bad\)"),
    "mips, air": (MIP_RULES, MIP, {"hu_largest": -1024, "body_share": 0.0, "bone_share": 0.0},
                  r"There is bone .* bad \(-1024\).* \| A body was crossed .* bad \(0\)"),
    "mips, 2 mm": (MIP_RULES, MIP, {"spacing_off_mm": 1.0}, r"spacing .* broken by bad \(1\)"),
    "mips, truncated": (MIP_RULES, {}, {"fault": "found half a file"},
                        r"archive can be read .* broken by bad \(found half a file\)"),
    "mips, row": (MIP_RULES, MIP, {"outside": 2, "outside_levels": "L4 L5"}, r"bad \(L4 L5\)"),
    "phantoms, a part of one": (PHANTOM_RULES, MIP, {"labelled": 5}, r"trunk .* bad \(5\)"),
    "split, torn patient": (SPLIT_RULES, SPLIT, {"patient": "q", "parts_of_patient": 2},
                            r"No patient is in two parts .* broken by bad \(q\)"),
    "split, no part": (SPLIT_RULES, SPLIT, {"part": "tset"}, r"broken by bad \(tset\)"),
    "split, level missing": (PART_RULES, PART, {"levels_missing": 1, "missing": "L3"},
                             r"Each part shows each level .* broken by bad \(L3\)"),
    "split, shares": (PART_RULES, PART, {"share_off": 0.3, "share": "0.80 for 0.50"},
                      r"broken by bad \(0.80 for 0.50\)"),
    "metrics, median": (METRIC_RULES, METRIC, {"median_mm": 3.0}, r"Median error .* bad \(3\)"),
    "metrics, nothing found": (METRIC_RULES, METRIC, {"median_mm": math.inf}, r"bad \(inf\)"),
    "metrics, gross": (METRIC_RULES, METRIC, {"gross_rate": 0.03}, r"gross .* bad \(0.03\)"),
    "metrics, presence": (METRIC_RULES, METRIC, {"presence_right": 0.9}, r"presence .* \(0.9\)"),
}  # fmt: skip


def _table(good: dict[str, Any], fault: dict[str, Any], rows: int = 2) -> pd.DataFrame:
    base = good or RAW | MIP
    records = [
        {"case": f"good{i}", "source": f"data/good{i}", "content": f"f{i}", **base}
        for i in range(rows)
    ]
    bad = {"case": "bad", "content": "fb", **good} | fault
    return pd.DataFrame([*records, bad] if fault else records)


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_stop_the_gate(name: str, tmp_path: Path) -> None:
    rules, good, fault, said = FAULTS[name]
    if name.startswith("split,") and rules is PART_RULES:
        good = PART
    with pytest.raises(GateError, match=said) as caught:
        gate({"T": (_table(good, fault), bind(rules, SETTINGS))}, name="g", folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert json.loads((tmp_path / "g.verdict.json").read_text())["passed"] is False


@pytest.mark.parametrize(
    ("rules", "good"),
    [(RAW_RULES, RAW), (MIP_RULES, MIP), (SPLIT_RULES, SPLIT), (METRIC_RULES, METRIC)],
)
def test_good_tables_pass(rules: tuple[Rule, ...], good: dict[str, Any], tmp_path: Path) -> None:
    gate({"T": (_table(good, {}), bind(rules, SETTINGS))}, name="g", folder=tmp_path)
    verdict = json.loads((tmp_path / "g.verdict.json").read_text())
    assert (verdict["passed"], verdict["broken"]) == (True, [])
    assert len(verdict["met"]) == len(rules)
    assert {path.name for path in tmp_path.iterdir()} == {"g.html", "g.json", "g.verdict.json"}


def test_two_rows_of_one_id_are_both_named(tmp_path: Path) -> None:
    table = pd.DataFrame(
        [RAW | {"case": "same", "source": f"data/{i}", "content": str(i)} for i in "ab"]
    )
    with pytest.raises(GateError, match=r"share an id .* same \(data/a\), same \(data/b\)"):
        gate({"T": (table, bind(RAW_RULES, SETTINGS))}, name="g", folder=tmp_path)


def test_a_warning_is_told_and_does_not_stop(tmp_path: Path) -> None:
    table = _table(RAW, {"skipped": 1, "skipped_levels": "T12-L2"})
    gate({"T": (table, bind(RAW_RULES, SETTINGS))}, name="g", folder=tmp_path)
    verdict = json.loads((tmp_path / "g.verdict.json").read_text())
    assert verdict["warnings"] == ["No level is left out between those seen"]
    assert "T12-L2" in (tmp_path / "g.html").read_text()


@pytest.mark.parametrize("low", [1, 5])
def test_too_few_rows(low: int, tmp_path: Path) -> None:
    table = _table(RAW, {}) if low > 1 else pd.DataFrame([])
    with pytest.raises(GateError, match=rf"case at least {low}\] broken by the table"):
        gate({"T": (table, (row_count(low),))}, name="g", folder=tmp_path)


def test_a_column_that_is_not_there_stops(tmp_path: Path) -> None:
    rule = Rule("lost", "range", "It holds", "find it", low=0)
    with pytest.raises(GateError, match="no column lost"):
        gate({"T": (_table(RAW, {}), (rule,))}, name="g", folder=tmp_path)


def test_many_rows_are_counted_in_the_line_and_all_on_the_page(tmp_path: Path) -> None:
    table = pd.DataFrame([METRIC | {"case": f"c{i:03d}", "gross_rate": 1.0} for i in range(300)])
    with pytest.raises(GateError, match=r"c007 \(1\) and 292 more"):
        gate({"T": (table, bind(METRIC_RULES, SETTINGS))}, name="g", folder=tmp_path)
    assert "<b>c299</b>" in (tmp_path / "g.html").read_text()


def test_page_is_self_contained_and_escaped(tmp_path: Path) -> None:
    table = _table(RAW, {"patient": "<script>alert(1)</script>", "fault": "<b>&"})
    with pytest.raises(GateError):
        gate({"A & B": (table, bind(RAW_RULES, SETTINGS))}, name="g", folder=tmp_path)
    page = (tmp_path / "g.html").read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\(|src=", page)
    assert "&lt;b&gt;&amp;" in page
    assert "A &amp; B" in page


def test_files_are_the_same_again(tmp_path: Path) -> None:
    table = _table(RAW, {"skipped": 1, "skipped_levels": "T12-L2"})
    for folder in ("a", "b"):
        gate({"T": (table, bind(RAW_RULES, SETTINGS))}, name="g", folder=tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("name", FAULTS)
def test_great_expectations_agrees_with_plain_python(name: str, tmp_path: Path) -> None:
    rules, good, fault, _ = FAULTS[name]
    rules = bind([rule for rule in rules if rule.kind not in ("unique", "rows")], SETTINGS)
    table = _table(good, fault)
    expected = {
        (finding.case, finding.rule.says)
        for row in table.to_dict("records")
        for finding in check_row(row, rules)
    }
    with contextlib.suppress(GateError):
        gate({"T": (table, rules)}, name="g", folder=tmp_path)
    report = json.loads((tmp_path / "g.json").read_text())["tables"]["T"]
    assert {(row["case"], rule["rule"]) for rule in report for row in rule["rows"]} == expected
