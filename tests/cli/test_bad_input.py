"""Bad input on the command line: a line each, status 1, nothing half written, the rest done."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.bad.archives import MARK
from tests.bad.kind import LOCATE
from tests.bad_inputs import BAD, LINE, make, make_all
from tests.layouts import Grid, dicom_folder, make_scan
from vertebra_ml.cli import app
from vertebra_ml.many.journal import NAME
from vertebra_ml.readers.writers import write_nifti

ROOT = Path(__file__).parents[2]
KINDS = [name for name, kind in BAD.items() if LOCATE in kind.faces]
GOOD = ("fine", "last", "middle", "series")
LIMIT_S = 300.0


@dataclass(frozen=True)
class Told:
    """What a command said, of that the errors, and where it wrote."""

    status: int
    output: str
    lines: list[str]
    """On standard error, without the notes of what a reader left out or mended."""
    folder: Path


def command(words: Sequence[str | Path], out: Path) -> Told:
    """Run the program as a person would, native chatter and all."""
    done = subprocess.run(
        [Path(sys.executable).parent / "vertebra-ml", *words, "--out", out],
        cwd=out.parent, capture_output=True, timeout=LIMIT_S, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
    )  # fmt: skip
    output, errors = (os.fsdecode(stream) for stream in (done.stdout, done.stderr))
    lines = [line for line in errors.splitlines() if not line.startswith("note: ")]
    return Told(done.returncode, output + errors, lines, out)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make every kind of bad input there is for this face."""
    return make_all(tmp_path_factory.mktemp("in") / "bad", LOCATE)


@pytest.fixture(scope="module")
def batch(
    paths: dict[str, Path], untrained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Told:
    """Locate in all of them at once, four good scans among them."""
    place = tmp_path_factory.mktemp("batch")
    write_nifti(place / "fine.nii.gz", make_scan())
    write_nifti(place / "middle.nii", make_scan(Grid("PIR")))
    write_nifti(place / "last.nii.gz", make_scan(Grid("LPS")))
    series = dicom_folder(place / "series")
    bad = list(paths.values())
    half = len(bad) // 2
    scans = [
        place / "fine.nii.gz", *bad[:half], place / "middle.nii", series, *bad[half:],
        place / "last.nii.gz",
    ]  # fmt: skip
    return command(["locate", *scans, "--model", untrained, "--overlay"], place / "out")


def test_there_are_at_least_eighty_kinds() -> None:
    assert len(BAD) >= 80


def test_the_batch_ends_with_status_1_and_no_traceback(batch: Told) -> None:
    assert batch.status == 1
    assert "Traceback" not in batch.output
    assert re.search(rf"\b{len(GOOD)} of \d+ scans located", batch.output)


def test_a_line_each_and_no_other(batch: Told) -> None:
    other = [line for line in batch.lines if not line.startswith("error: ")]
    assert not other
    assert len(batch.lines) == len(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_the_line_names_the_file_and_what_is_wrong(
    batch: Told, paths: dict[str, Path], name: str
) -> None:
    shown = " ".join(str(paths[name]).split()).encode(errors="backslashreplace").decode()
    lines = [line for line in batch.lines if line.startswith(f"error: {shown}")]
    assert len(lines) == 1, "\n".join(batch.lines)
    assert LINE.fullmatch(lines[0])
    assert re.search(BAD[name].words_of(LOCATE), lines[0].replace(shown, "")), lines[0]


def test_the_good_ones_are_finished_and_nothing_else_is_written(batch: Told) -> None:
    with (batch.folder / "slices.csv").open() as table:
        assert {row["case"] for row in csv.DictReader(table)} == set(GOOD)
    document = json.loads((batch.folder / "slices.json").read_text())
    assert {entry["case"] for entry in document["cases"]} == set(GOOD)
    assert len(set(document["failures"])) == len(KINDS)
    assert all(LINE.fullmatch(line) for line in document["failures"])
    expected = [NAME, "slices.csv", "slices.json", *(f"{name}.png" for name in GOOD)]
    assert sorted(path.name for path in batch.folder.rglob("*")) == sorted(expected)


def test_no_pickle_ran(batch: Told) -> None:
    assert not list(batch.folder.parent.rglob(MARK))


def test_the_pickles_would_leave_their_mark_if_they_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.chdir(tmp_path)
    for name in ("a malicious pickle", "a malicious pickle alone", "pickled content in ours"):
        with np.load(make(tmp_path, name), allow_pickle=True) as archive:
            for member in archive.files:
                archive[member]
        assert (tmp_path / MARK).read_text() == "ran\n"
        (tmp_path / MARK).unlink()


def test_mips_of_bad_scans(paths: dict[str, Path], tmp_path: Path) -> None:
    write_nifti(tmp_path / "fine.nii.gz", make_scan())
    words = ["mips", *paths.values(), tmp_path / "fine.nii.gz", "--params", ROOT / "params.yaml"]
    told = command(words, tmp_path / "out")
    assert (told.status, "Traceback" in told.output) == (1, False)
    assert [line for line in told.lines if not LINE.fullmatch(line)] == []
    assert len(told.lines) == len(KINDS)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fine.npz"]


SINGLE = ("gzip cut in half", "MR", "a malicious pickle", "nothing there", "a zip bomb")


@pytest.mark.parametrize("name", SINGLE)
def test_alone(name: str, tmp_path: Path, untrained: Path) -> None:
    bad = make(tmp_path / "bad", name)
    words = ["locate", str(bad), "--model", str(untrained), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, result.output
    assert re.search(BAD[name].words_of(LOCATE), lines[0])
    assert (tmp_path / "out" / "slices.csv").read_text().count("\n") == 1


OPTIONS = {  # what: (words, status, what standard error must hold)
    "no scan": (["locate"], 2, "Missing argument"),
    "unknown option": (["locate", "FINE", "--depth", "3"], 2, "No such option"),
    "unknown command": (["spot", "FINE"], 2, "No such command"),
    "a model that is nowhere": (["locate", "FINE", "--model", "OUT/none"], 1, "model.json"),
    "a model that is a file": (["locate", "FINE", "--model", "FINE"], 1, "model.json"),
    "a model of another kind": (["locate", "FINE", "--model", "ODD"], 1, "of kind 'oracle'"),
    "a model of broken weights": (["locate", "FINE", "--model", "BROKEN"], 1, "found"),
    "an out that is a file": (["locate", "FINE", "--model", "M", "--out", "FINE"], 1, "written"),
    "an out below a file": (["locate", "FINE", "--model", "M", "--out", "FINE/a"], 1, "written"),
    "mips into a file": (["mips", "FINE", "--out", "FINE", "--params", "P"], 1, "found"),
    "no settings": (["mips", "FINE", "--params", "OUT/none.yaml"], 1, "none.yaml"),
    "settings of another kind": (["mips", "FINE", "--params", "FINE"], 1, "fine.nii"),
    "unknown layout": (["evaluate", "--data", "OUT", "--layout", "dcm", "--model", "M"], 1,
                       "the layout name 'dcm'"),
    "a data set that is nowhere": (["evaluate", "--data", "OUT/no", "--model", "M"], 1, "nothing"),
    "a data set that is a file": (["check", "FINE", "--params", "P"], 1, "found a file"),
    "an empty data set": (["check", "OUT", "--params", "P", "--out", "OUT"], 1, "no case"),
    "no count": (["phantom", "OUT/p", "--count", "0"], 2, "count"),
    "no layout for phantoms": (["phantom", "OUT/p", "--layout", "none"], 2, "layout"),
}  # fmt: skip


@pytest.mark.parametrize("what", OPTIONS)
def test_bad_options(
    what: str, tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fine, out, odd, broken = (tmp_path / name for name in ("fine.nii.gz", "out", "odd", "broken"))
    write_nifti(fine, make_scan())
    out.mkdir()
    odd.mkdir()
    (odd / "model.json").write_text('{"kind": "oracle"}')
    broken.mkdir()
    (broken / "model.json").write_text((untrained / "model.json").read_text())
    (broken / "model.weights.h5").write_bytes(b"no weights")
    places = {
        "FINE": fine, "OUT": out, "ODD": odd, "BROKEN": broken, "M": untrained,
        "P": ROOT / "params.yaml",
    }  # fmt: skip
    words, status, shown = OPTIONS[what]
    before = fine.read_bytes()
    full = [re.sub("^[A-Z]+", lambda found: str(places[found[0]]), word) for word in words]
    result = CliRunner().invoke(app, full)
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert shown in result.stderr
    if status == 1:
        (line,) = result.stderr.splitlines()
        assert LINE.fullmatch(line), line
    assert fine.read_bytes() == before
    assert not [p for p in tmp_path.rglob("*") if p.parent in (out,) and p.suffix != ".html"]


def test_all_good_is_status_0(tmp_path: Path, untrained: Path) -> None:
    scan = tmp_path / "fine.nii.gz"
    write_nifti(scan, make_scan())
    words = ["locate", str(scan), "--model", str(untrained), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--overlay"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "fine.png").read_bytes().startswith(b"\x89PNG")
