"""The stage ``project`` on a cluster: what is missing is made elsewhere, and kept as it comes."""

from collections.abc import Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from pipelines import project as stage
from pipelines.products import _place
from pipelines.stage import PARAMS
from tests.pipelines.conftest import change_params
from vertebra_ml.archive import read_archive
from vertebra_ml.config import load
from vertebra_ml.errors import DatasetError
from vertebra_ml.many.crew import CrewError, Job

FOLDER = Path("prepared/mips")
KEYS = {f"{case}.npz": "1f" for case in ("a1", "a2", "b", "c")}


class Elsewhere:
    """A crew of one worker, in another folder than the stage; it may be gone after some jobs."""

    depth, budget, pulse_s = 1, float("inf"), None
    asked: list[str]
    stays = 99

    def __init__(self, address: str) -> None:
        assert address == "tcp://there:1"
        type(self).asked = []

    def __enter__(self) -> "Elsewhere":
        return self

    def __exit__(self, *error: object) -> None: ...

    def lanes(self) -> list[str]:
        if len(self.asked) >= self.stays:
            raise CrewError("there", found="no worker", expected="one", fix="start some")
        return ["there"]

    def send(self, lane: Hashable, job: Job) -> "Future[str]":
        future: Future[str] = Future()
        case: Any = job.arguments[0]
        self.asked.append(case.id)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir("/")
            future.set_result(job.call(job.shared, *job.arguments))
        return future

    def lose(self, lane: Hashable) -> None:
        raise AssertionError(lane)


@pytest.fixture(autouse=True)
def _there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(stage, "ClusterCrew", Elsewhere)
    change_params(project, {"project.scheduler": "tcp://there:1"})


def make() -> list[str]:
    Elsewhere.asked = []
    stage.make_afar(load(PARAMS), KEYS, FOLDER)
    return Elsewhere.asked


def test_what_is_missing_is_made_there_once() -> None:
    assert make() == ["a1", "a2", "b", "c"]
    assert make() == []
    paths = {name: _place(FOLDER, name, key) for name, key in KEYS.items()}
    assert [read_archive(path).case for path in paths.values()] == ["a1", "a2", "b", "c"]
    paths["b.npz"].unlink()
    assert make() == ["b"]


def test_a_scan_that_fails_is_named_and_the_others_are_kept() -> None:
    Path("data/plain/c/ct.nii.gz").write_bytes(b"no scan")
    with pytest.raises(DatasetError, match=r"1 of 4 failed: .*ct\.nii\.gz: found"):
        make()
    with pytest.raises(DatasetError):
        make()
    assert Elsewhere.asked == ["c"]


def test_a_cluster_that_goes_away_is_one_line_and_the_next_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Elsewhere, "stays", 2)
    with pytest.raises(CrewError, match="found no worker"):
        make()
    monkeypatch.setattr(Elsewhere, "stays", 99)
    assert make() == ["b", "c"]
