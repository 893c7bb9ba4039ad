"""Stages on a full disk, where they may not write, and without their workers: one line each."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from pipelines import index, phantoms, project, split, stage, validate
from pipelines.products import make_missing
from tests.kills.test_disk import no_room
from tests.pipelines.conftest import change_params, make_project
from vertebra_ml.config import Params

STAGES = {"index": index, "validate": validate, "split": split, "project": project,
          "phantoms": phantoms}  # fmt: skip
FEW = {"phantoms.workers": 1, "phantoms.train": {"trunks": 1, "scans": 0},
       "phantoms.validation": {"trunks": 0, "scans": 0}}  # fmt: skip
FORBIDDEN = Path("/sys/kernel")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project in which index, validate and split are done."""
    root = make_project(tmp_path_factory.mktemp("stages"))
    change_params(root, FEW)
    before = Path.cwd()
    os.chdir(root)
    try:
        for each in (index, validate, split):
            stage.run(each.main)
    finally:
        os.chdir(before)
    return root


def line_of(task: Callable[[], object]) -> str:
    """Return what a stage says that must fail: one line, for status 1."""
    with pytest.raises(SystemExit) as stopped:
        task()
    said = stopped.value.code
    assert isinstance(said, str)  # which Python prints, and exits with status 1
    assert "\n" not in said
    assert "; expected " in said
    return said


def files(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for name in ("prepared", "reports", ".cache")
            for p in sorted((root / name).rglob("*")) if p.is_file()}  # fmt: skip


@pytest.mark.parametrize("name", STAGES)
def test_a_full_disk(name: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    before = files(made)
    with no_room():
        said = line_of(lambda: stage.run(STAGES[name].main))
    assert "File too large" in said
    assert files(made) == before  # nothing new, nothing torn, no litter


@pytest.mark.parametrize("name", ["index", "split"])
def test_a_folder_that_may_not_be_written(
    name: str, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    where: ModuleType = STAGES[name]
    monkeypatch.setattr(where, "write_table", lambda path, rows: stage.write_text(
        FORBIDDEN / path.name, "".join(map(str, rows))))  # fmt: skip
    assert str(FORBIDDEN) in line_of(lambda: stage.run(where.main))


def test_a_worker_that_is_killed(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)

    def main(params: Params) -> None:
        tasks = {tmp_path / "out" / name: _die for name in ("a", "b")}
        make_missing(tasks, workers=2, title="workers")

    assert "phantoms.workers" in line_of(lambda: stage.run(main))
    assert not list((tmp_path / "out").glob("[!.]*"))


def _die(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_real_stage(made: Path) -> None:
    limited = 'ulimit -f 0; exec "$0" -m pipelines.index'
    done = subprocess.run(
        ["bash", "-c", limited, sys.executable], cwd=made, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
