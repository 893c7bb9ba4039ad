"""Faults planted in the files themselves stop the real stage: one line, a page, and the rows."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from pipelines.split import check
from tests.layouts import TRUTH
from tests.pipelines import planted
from tests.pipelines.conftest import Run, change_params, make_project, runner, scan_of
from tests.pipelines.planted import RAW, change_archive, person, truncated
from vertebra_ml.cli import app
from vertebra_ml.errors import GateError
from vertebra_ml.readers.writers import write_case

SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}


@dataclass(frozen=True)
class Stopped:
    """What a stage left that was stopped by its gate."""

    line: str
    report: dict[str, dict[str, list[dict[str, str]]]]
    page: str

    def found(self, column: str, case: str) -> str:
        """Return what was found in the rows of a case that break the rule on a column."""
        return " ".join(
            row["value"]
            for rules in self.report["tables"].values()
            for rule in rules
            for row in rule["rows"]
            if (rule["column"], row["case"]) == (column, case)
        )


def stopped(project: Path, stage: str, gate: str) -> Stopped:
    """Run a real stage that must be stopped by its gate; check what each such stage does alike."""
    result = runner(project)("python", "-m", *f"pipelines.{stage}".split())
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith(f"gate {gate}: found "), result.stderr
    folder = project / "reports" / "validation"
    assert json.loads((folder / f"{gate}.verdict.json").read_text())["passed"] is False
    report = json.loads((folder / f"{gate}.json").read_text())
    return Stopped(line, report, (folder / f"{gate}.html").read_text())


def names(found: Stopped, rule: str, row: str, said: str) -> None:
    """Assert that the line, the JSON and the page name the rule and the row at fault."""
    text = found.found(rule, row)
    assert text
    assert said in text
    place = found.line.index(f"[{rule} ")
    assert f"{row} (" in found.line[place:].partition(" | ")[0]
    assert f"<b>{row}</b>" in found.page


# The raw scans: every fault at once, in one run of the stages.


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stopped]:
    project = make_project(tmp_path_factory.mktemp("raw"))
    shutil.rmtree(project / "data")
    sources = {"plain": "plain", "verse": "verse", "mips": "sarcopenia"}
    change_params(project, {"data.sources": sources})
    for seed, name in enumerate("abc", start=2):
        write_case(project / "data" / "plain", name, person(seed), planted.TRUTH, "plain")
    write_case(project / "data" / "verse", "d", person(5), planted.TRUTH, "verse")
    write_case(project / "data" / "mips", "m", person(6), planted.TRUTH, "sarcopenia")
    for fault in RAW.values():
        fault.plant(project / "data")
    assert runner(project)("python", "-m", "pipelines.index").returncode == 0
    return project, stopped(project, "validate", "raw")


@pytest.mark.parametrize("name", RAW)
def test_raw_faults_stop_validate(name: str, raw: tuple[Path, Stopped]) -> None:
    fault = RAW[name]
    names(raw[1], fault.rule, fault.row, fault.said)


def test_good_scans_beside_faulty_ones_are_not_named(raw: tuple[Path, Stopped]) -> None:
    found = raw[1]
    named = {row["case"] for rules in found.report["tables"].values() for rule in rules
             for row in rule["rows"] if rule["severity"] == "critical"}  # fmt: skip
    at_fault = {fault.row for fault in RAW.values()} | {"c"}  # c is the scan that was copied
    assert named == at_fault
    assert not (raw[0] / "prepared" / "split.csv").exists()


def test_the_command_check_finds_the_same(raw: tuple[Path, Stopped], tmp_path: Path) -> None:
    project, found = raw
    for layout in ("plain", "mips"):
        words = ["check", str(project / "data" / layout), "--out", str(tmp_path / layout)]
        words += ["--params", str(project / "params.yaml")]
        words += ["--layout", "sarcopenia" if layout == "mips" else layout]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: gate raw: found ")
        report = json.loads((tmp_path / layout / "raw.json").read_text())
        alone = Stopped("", report, "")
        for fault in RAW.values():
            if fault.row.startswith("m-") is (layout == "mips") and fault.rule != "case":
                text = alone.found(fault.rule, fault.row).replace(f"{project}/", "")
                assert text == found.found(fault.rule, fault.row)


# The index has no table to judge yet: it stops in one line.

INDEX: dict[str, tuple[Callable[[Path], object], str]] = {
    "no scan": (lambda root: shutil.rmtree(root / "data/plain"), "data/plain: found nothing"),
    "an unknown layout": (
        lambda root: change_params(root, {"data.sources": {"plain": "plane"}}),
        "found the layout name 'plane'"),
    "an id that names no file": (
        lambda root: (root / "data/plain/a1").rename(root / "data/plain/a 1"), "the id 'a 1'"),
    "an id twice in a layout": (
        lambda root: write_case(root / "data/verse/other", "d", scan_of(9), TRUTH, "verse"),
        "found more than one case named sub-d"),
}  # fmt: skip


@pytest.mark.parametrize("name", INDEX)
def test_index_faults(name: str, project: Path, run: Run) -> None:
    plant, said = INDEX[name]
    plant(project)
    result = run("python", "-m", "pipelines.index")
    assert result.returncode == 1
    assert said in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (project / "prepared").exists()


# The split.


def _scans(project: Path, **changes: str) -> None:
    patients = dict.fromkeys("abcd", "") | {name: name for name in "abcd"} | changes
    scans = [
        {"case": name, "patient": patient, "layout": "plain", "labels": "T12 L3",
         "fingerprint": name}
        for name, patient in patients.items()
    ]  # fmt: skip
    (project / "prepared").mkdir(exist_ok=True)
    pd.DataFrame(scans).to_csv(project / "prepared" / "scans.csv", index=False)


def test_a_split_without_the_level_is_refused(project: Path, run: Run) -> None:
    change_params(project, {"split.levels": ["T12", "T3"]})
    _scans(project)
    result = run("python", "-m", "pipelines.split")
    assert result.returncode == 1
    assert result.stderr.startswith("split: found T3 in 0 of 4 patients")
    assert not (project / "prepared" / "split.csv").exists()


def test_a_scan_without_a_patient_stops_split(project: Path) -> None:
    _scans(project, e="")
    found = stopped(project, "split", "split")
    names(found, "patient", "e", "nan")
    assert not (project / "prepared" / "split.made.json").exists()


def _split(**changes: str) -> pd.DataFrame:
    parts = {"a1": "train", "a2": "train", "b": "train", "c": "validation", "d": "test"} | changes
    rows = [
        {"case": case, "patient": case[0], "labels": "T12 L1 L3", "part": part}
        for case, part in parts.items()
    ]
    return pd.DataFrame(rows)


def test_split_faults_stop_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(_split(), SHARES, ("T12", "L3"))
    with pytest.raises(GateError, match=r"in two parts .* broken by a1 \(a\), a2 \(a\)"):
        check(_split(a2="test"), SHARES, ("T12", "L3"))
    with pytest.raises(GateError, match=r"each level .* broken by train \(C4\), validation \(C4\)"):
        check(_split(), SHARES, ("T12", "C4"))
    with pytest.raises(GateError, match=r"No part is empty .* broken by validation \(0\)"):
        check(_split(c="test"), SHARES, ("T12", "L3"))


# The archives.

SPLIT = "case,patient,part\na1,a,train\na2,a,train\nb,b,train\nc,c,validation\nsub-d,d,test\n"

MIPS = {
    "truncated archive": ("fault", "a1", "found a file that cannot be read"),
    "a MIP of air": ("body_share", "c", "0"),
    "no bone": ("hu_largest", "c", "-1024"),
    "other pixels": ("spacing_off_mm", "b", "0.5"),
    "levels off the rows": ("outside", "sub-d", "T12"),
    "a patient torn over two parts": ("parts_of_patient", "a2", "a"),
}  # fmt: skip


def test_mip_faults_stop_project(project: Path, run: Run) -> None:
    path = project / "prepared" / "split.csv"
    path.parent.mkdir()
    path.write_text(SPLIT)
    first = run("python", "-m", "pipelines.project")
    assert first.returncode == 0, first.stderr
    # Where a stage keeps what it has finished: what lies there is taken again by the next run.
    kept = {path.name.partition("-")[2]: path for path in (project / ".cache/mips").iterdir()}
    truncated(kept["a1.npz"])
    change_archive(kept["c.npz"], planted.air)
    change_archive(kept["b.npz"], planted.coarser)
    change_archive(kept["sub-d.npz"], planted.lowered)
    path.write_text(SPLIT.replace("a2,a,train", "a2,a,test"))
    found = stopped(project, "project", "mips")
    for rule, row, said in MIPS.values():
        names(found, rule, row, said)
    assert "c (0)" in found.line  # what passed is not named
    path.write_text(SPLIT)
    again = run("python", "-m", "pipelines.project")
    assert again.returncode == 0, again.stderr  # what was found wanting is made anew
    assert "1 of 5 are there already" in again.stdout
