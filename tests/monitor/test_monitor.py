"""The monitor: quiet on the same kind of scans, loud on another, on one page."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from vertebra_ml.cli import app
from vertebra_ml.errors import DatasetError
from vertebra_ml.monitor.columns import COLUMNS
from vertebra_ml.monitor.drift import shifts, stability_index
from vertebra_ml.monitor.reference import read_reference, reference_rows
from vertebra_ml.monitor.requests import read_requests
from vertebra_ml.served.journal import Journal

ROOT = Path(__file__).parents[2]
LEVELS = ("T12", "L3")


def scan(rng: np.random.Generator, thick: float = 1.0, hu: float = 0.0) -> dict[str, Any]:
    """Return the facts of a made-up CT; ``thick`` times the slices, ``hu`` added to values."""
    return {
        "form": "ct", "orientation": str(rng.choice(["LPS", "RAS"], p=[0.8, 0.2])),
        "spacing_least_mm": rng.uniform(0.6, 1.0), "spacing_largest_mm": rng.uniform(1, 5) * thick,
        "obliquity_deg": 0.0, "width_mm": rng.normal(400, 30), "depth_mm": rng.normal(400, 30),
        "height_mm": rng.uniform(250, 700), "hu_least": -1024 + hu, "hu_p1": rng.normal(-1010, 6),
        "hu_median": rng.normal(-900, 60) + hu, "hu_p99": rng.normal(250, 40) + hu,
        "hu_largest": rng.normal(1600, 250), "tissue_share": rng.uniform(0.2, 0.5),
    }  # fmt: skip


def answer(rng: np.random.Generator, sure: float = 0.9) -> dict[str, Any]:
    scores = {level: float(rng.beta(20 * sure, 20 * (1 - sure))) for level in LEVELS}
    return {
        "scan": "ab" * 32, "model": "slice_spotter", "version": "3", "run": "r", "data_hash": "d",
        "outcome": "answered", "found": list(LEVELS), "missing": [], "scores": scores,
        "spread_mm": {level: float(rng.uniform(2, 6)) for level in LEVELS}, "warnings": 0,
        "seconds": 0.1,
    }  # fmt: skip


REFUSED = {
    "scan": None, "model": "slice_spotter", "version": "3", "run": "r", "data_hash": "d",
    "outcome": "DatasetError", "seconds": 0.0, "facts": {},
}  # fmt: skip


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    facts, answers = [], []
    for number in range(60):
        facts.append({"case": f"p{number}", **scan(rng)})
        told = answer(rng)
        answers += [
            {"case": f"p{number}", "level": level, "found": "true", "warning": "",
             "score": told["scores"][level], "spread_mm": told["spread_mm"][level]}
            for level in LEVELS
        ]  # fmt: skip
    path = tmp_path / "reference.csv"
    pd.DataFrame(reference_rows(facts, answers)).to_csv(path, index=False)
    return path


def log_of(folder: Path, count: int, seed: int, sure: float = 0.9, **changes: float) -> Path:
    rng = np.random.default_rng(seed)
    journal = Journal(folder)
    for _ in range(count):
        journal.write({**answer(rng, sure), "facts": scan(rng, **changes)})
    return folder


def monitored(log: Path, reference: Path, out: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    words = ["monitor", "--log", str(log), "--reference", str(reference), "--out", str(out)]
    params = ["--params", str(ROOT / "params.yaml")]
    result = CliRunner().invoke(app, [*words, *params, *more])
    path = out / "monitor.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    return result.exit_code, told, result.output


def test_the_same_kind_of_scans_is_fine(tmp_path: Path, reference: Path) -> None:
    log = log_of(tmp_path / "log", 200, seed=2)
    status, told, said = monitored(log, reference, tmp_path / "out")
    assert (status, told["verdict"], told["reasons"]) == (0, "fine", [])
    assert said.startswith("fine: 200 requests.")
    assert {(c["column"], c["form"]) for c in told["columns"]} >= {
        ("spacing_largest_mm", "ct"), ("orientation", "ct"), ("score_least", ""),
    }  # fmt: skip


DRIFTS = {
    "thicker slices": ({"thick": 2.5}, "largest spacing (mm) of ct has moved"),
    "an intercept lost": ({"hu": 1024.0}, "median (HU) of ct has moved"),
    "a model less sure": ({"sure": 0.55}, "lowest score of those found has moved"),
}


@pytest.mark.parametrize("what", DRIFTS)
def test_what_drifts_is_named(tmp_path: Path, reference: Path, what: str) -> None:
    changes, words = DRIFTS[what]
    log = log_of(tmp_path / "log", 100, seed=3, **changes)
    status, told, said = monitored(log, reference, tmp_path / "out")
    assert (status, told["verdict"], told["drift"]) == (1, "drift", True)
    assert any(reason.startswith(words) for reason in told["reasons"]), told["reasons"]
    assert words in said
    page = (tmp_path / "out" / "monitor.html").read_text()
    assert words in page
    assert page.count("<svg") == len(told["columns"])
    assert "http" not in page.replace("http://www.w3.org", "")


def test_many_refused_are_drift_and_few_requests_are_not_judged(
    tmp_path: Path, reference: Path
) -> None:
    log = log_of(tmp_path / "log", 60, seed=4)
    for _ in range(20):
        Journal(log).write(REFUSED)
    status, told, _ = monitored(log, reference, tmp_path / "out")
    assert (status, told["refused"]) == (1, 20)
    assert told["reasons"] == ["share of requests refused: 0.25, expected at most 0.1"]
    status, told, _ = monitored(log, reference, tmp_path / "few", "--last", "25")
    assert (status, told["verdict"]) == (0, "too few requests to judge")


def test_the_last_requests_of_a_version_come_from_all_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    journal = Journal(tmp_path, 3000)
    for number in range(30):
        entry = {**answer(rng), "version": str(number % 2), "seconds": number, "facts": {}}
        journal.write(entry)
    newest = sorted(tmp_path.glob("*.jsonl"))[-1]
    newest.write_text(newest.read_text() + "half a li\n\n[1]\n")
    found = read_requests(tmp_path, 8, "1")
    assert list(found.table["seconds"]) == list(range(15, 30, 2))
    assert found.unreadable == 2
    assert len(list(tmp_path.glob("*.jsonl"))) > 3


def test_what_is_no_log_and_no_reference(tmp_path: Path, reference: Path) -> None:
    with pytest.raises(DatasetError, match="found no log of requests"):
        read_requests(tmp_path / "lost", 5)
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    for name, words in (("wrong.csv", "found no column case"), ("lost.csv", "FileNotFoundError")):
        with pytest.raises(DatasetError, match=words):
            read_reference(tmp_path / name)
    status, _, said = monitored(tmp_path / "lost", reference, tmp_path / "out")
    assert (status, said.count("\n")) == (1, 1)
    assert tuple(read_reference(reference).columns) == COLUMNS


def test_the_index_is_that_of_the_books() -> None:
    before = np.repeat(np.arange(10.0), 1000)
    assert stability_index(before, before) == pytest.approx(0)
    now = np.repeat(np.arange(10.0), [2000, *[1000] * 8, 0])
    # One tenth doubled, one emptied: 0.1 ln 2 + 0.1 ln (0.1 / 0.00005), smoothed by half a count.
    assert stability_index(before, now) == pytest.approx(
        0.1 * np.log(2) + 0.1 * np.log(2001), rel=0.01
    )
    assert stability_index(np.zeros(50), np.ones(50)) > 1


def test_chance_alone_is_seldom_taken_for_drift() -> None:
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(40):
        tables = [pd.DataFrame([{**scan(rng), "levels_found": 2, "score_least": 0.9,
                                 "spread_largest_mm": 3.0, "warnings": 0} for _ in range(n)])
                  for n in (50, 40)]  # fmt: skip
        wrong += any(s.drifted for s in shifts(*tables, index_max=0.25, chance_max=0.01, least=30))
    assert wrong <= 2
