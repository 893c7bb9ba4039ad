"""`locate --format` on the command line: names, counts, notes, and disks that refuse."""

import errno
import json
import logging
import os
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.layouts import make_scan
from vertebra_ml import intake
from vertebra_ml.case import Case
from vertebra_ml.cli import app
from vertebra_ml.many.journal import NAME
from vertebra_ml.outputs import FORMATS
from vertebra_ml.readers import LAYOUTS
from vertebra_ml.readers.writers import write_nifti
from vertebra_ml.volume import Volume


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "fine.nii.gz"
    write_nifti(path, make_scan())
    return path


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_every_format_at_once(tmp_path: Path, scan: Path, untrained: Path) -> None:
    out = tmp_path / "out"
    names = ",".join(FORMATS)
    status, said, _ = run("locate", scan, "--model", untrained, "--out", out, "--format", names)
    assert status == 0
    assert "1 of 1 scans located" in said
    files = {path.name for path in out.iterdir()} - {NAME}
    levels = json.loads((out / "slices.json").read_text())["cases"][0]["levels"]
    found = {f"fine-{level['level']}.png" for level in levels if level["found"]}
    table = {"slices.csv", "slices.json"}
    assert files == table | {"fine_ctd.json", "fine.mrk.json", "fine.html"} | found


def test_the_default_is_the_two_tables(tmp_path: Path, scan: Path, untrained: Path) -> None:
    out = tmp_path / "out"
    assert run("locate", scan, "--model", untrained, "--out", out)[0] == 0
    files = [path.name for path in out.iterdir() if path.name != NAME]
    assert sorted(files) == ["slices.csv", "slices.json"]


@pytest.mark.parametrize("names", ["xml", "csv,xlsx", ",", ""])
def test_a_name_that_is_none_is_wrong_usage(tmp_path: Path, scan: Path, names: str) -> None:
    out = tmp_path / "out"
    status, _, said = run("locate", scan, "--out", out, "--format", names)
    assert status == 2
    assert ",".join(FORMATS) in said
    assert not out.exists()


def test_several_scans_of_one_file_count_each(
    tmp_path: Path, scan: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expand(path: Path) -> list[Case]:
        good = [Case(f"d-s{n}", "d", path, "scan", make_scan) for n in (1, 2, 3)]
        return [*good, Case("d-s4", "d", path, "scan", partial(open, path / "gone"))]

    monkeypatch.setattr(intake, "open_cases", lambda paths: expand(paths[0]))
    out = tmp_path / "out"
    status, said, wrong = run("locate", scan, "--model", untrained, "--out", out)
    assert status == 1
    assert "3 of 4 scans located" in said
    assert wrong.count("error:") == 1


def test_what_readers_say_is_a_note_and_breaks_no_table(
    tmp_path: Path, scan: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loud() -> Volume:
        for _ in range(2):
            logging.getLogger("vertebra_ml.readers").warning("%s: left out\n2 localizers", scan)
        return make_scan()

    monkeypatch.setattr(intake, "open_cases", lambda paths: [Case("a", "a", scan, "scan", loud)])
    out = tmp_path / "out"
    status, said, notes = run("locate", scan, "--model", untrained, "--out", out)
    assert status == 0
    assert notes.splitlines().count(f"note: {scan}: left out 2 localizers") == 1
    assert "note" not in said
    (case,) = json.loads((out / "slices.json").read_text())["cases"]
    assert case["warnings"][0] == "left out 2 localizers"
    assert (out / "slices.csv").read_text().count("\n") == 1 + len(case["levels"])
    assert logging.getLogger("vertebra_ml").handlers == []


def test_notes_are_told_whatever_the_process_has_set_of_its_loggers(
    tmp_path: Path, scan: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server in this process, or a package that sets up logging, may have changed all of it."""
    log = logging.getLogger("vertebra_ml.readers.dicom_files")

    def loud() -> Volume:
        log.warning("%s: left out 2 localizers", scan)
        return make_scan()

    monkeypatch.setattr(intake, "open_cases", lambda paths: [Case("a", "a", scan, "scan", loud)])
    for logger in (log, log.parent):
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logger, "disabled", True)
    log.setLevel(logging.CRITICAL)
    try:
        _, _, notes = run("locate", scan, "--model", untrained, "--out", tmp_path / "out")
        assert log.level == logging.CRITICAL
    finally:
        log.setLevel(logging.NOTSET)
    assert notes.splitlines() == [f"note: {scan}: left out 2 localizers"]
    assert log.disabled
    assert log.handlers == []


@pytest.mark.parametrize("command", ["locate", "mips", "evaluate"])
def test_an_out_that_is_a_file_is_one_line(tmp_path: Path, scan: Path, command: str) -> None:
    (tmp_path / "file").write_text("mine")
    source = ["--data", scan.parent] if command == "evaluate" else [scan]
    status, _, wrong = run(command, *source, "--out", tmp_path / "file")
    assert status == 1
    (line,) = wrong.splitlines()
    assert line.startswith(f"error: {tmp_path / 'file'}: found")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_is_full_is_one_line(
    tmp_path: Path, scan: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vertebra_ml.outputs.table.os.replace", full)
    out = tmp_path / "out"
    status, _, wrong = run("locate", scan, "--model", untrained, "--out", out)
    assert status == 1
    (line,) = [line for line in wrong.splitlines() if line.startswith("error:")]
    assert "No space left on device" in line
    assert not [path for path in out.iterdir() if not path.name.startswith(".")]


def test_mips_on_a_full_disk_is_one_line_a_scan(
    tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vertebra_ml.archive.write_archive", full)
    status, said, wrong = run("mips", scan, "--out", tmp_path / "out")
    assert status == 1
    assert "0 of 1 scans projected" in said
    assert wrong.count("\n") == 1
    assert "No space left" in wrong


def test_help_teaches_by_example_and_names_what_there_is() -> None:
    status, said, _ = run("locate", "--help")
    assert status == 0
    assert said.count("  vertebra-ml locate ") == 3
    assert ", ".join(FORMATS) in said
    assert all(name in run("evaluate", "--help")[1] for name in LAYOUTS)
