"""Killed at every write to the tracking store in turn: one run, one version, nothing half made."""

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Store

from tests.kills.test_disk import no_room
from tests.kills.toy import NAME, Toy
from vertebra_ml import tracking
from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.fresh import make_database

WRITES = ("create_", "log_", "set_", "update_", "delete_", "finalize_", "record_")
ATTEMPTS_MAX = 60
PUBLISH = sys.modules["vertebra_ml.tracking.publish"]  # the package has a function of that name


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


class Reaper:
    """Kills at a write: this one is not made, and none after it either, whoever would clean up."""

    def __init__(self) -> None:
        self.left = -1  # writes until then; -1 for never

    def passes(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= self.left > 0


@pytest.fixture(scope="module")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fresh") / "mlflow.db"
    make_database(path)
    return path.read_bytes()


@pytest.fixture
def toy(tmp_path: Path, fresh_store: bytes) -> Toy:
    (tmp_path / "mlflow.db").write_bytes(fresh_store)
    toy = Toy(tmp_path)
    toy.write()
    return toy


@pytest.fixture
def reaper(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reaper]:
    """Return what kills at the writes of every store of this process."""
    reaper = Reaper()

    def watched(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            # MLflow watches the machine from a thread of its own, whose writes are not counted.
            if not threading.current_thread().name.startswith("SystemMetricsMonitor"):
                reaper.passes()
            return write(*arguments, **named)

        return call

    for kind in (Store, Registry, LocalArtifactRepository):
        for name in dir(kind):
            if name.startswith(WRITES):
                monkeypatch.setattr(kind, name, watched(getattr(kind, name)))
    yield reaper
    reaper.left = -1


def again_and_again(reaper: Reaper, task: Callable[[], object]) -> int:
    """Do a task until it is done, killed at its first write, its second, ...; return how often."""
    for write in range(ATTEMPTS_MAX):
        reaper.left = write
        try:
            task()
        except Killed:
            continue
        finally:
            reaper.left = -1
        return write
    raise AssertionError("it never came to its end")


def test_a_training_and_its_publishing(toy: Toy, reaper: Reaper) -> None:
    assert again_and_again(reaper, toy.train) >= 5
    (run,) = toy.runs()
    assert run.info.status == "FINISHED"
    assert toy.steps(run.info.run_id) == [1, 2, 3]
    toy.train()  # as where DVC was killed before it noted the end
    assert len(toy.runs()) == 1

    assert again_and_again(reaper, toy.publish) > 5
    (run,) = toy.runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["source"] == "training"
    (version,) = toy.versions()
    assert version.tags["gate"] == "passed"
    assert version.run_id == run.info.run_id
    (model,) = toy.client.search_logged_models([run.info.experiment_id])
    assert model.status == "READY"
    assert tracking.fetch(f"models:/{NAME}/1", toy.uri)[1].run == run.info.run_id


def test_what_was_trained_elsewhere(toy: Toy, reaper: Reaper) -> None:
    again_and_again(reaper, toy.publish)
    (run,) = toy.runs()
    assert run.data.tags["source"] == "replayed"
    assert len(toy.versions()) == 1
    assert toy.steps(run.info.run_id) == [1, 2, 3]


def test_other_code_is_another_training(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.train()
    monkeypatch.setattr("vertebra_ml.tracking.runs._code_md5", lambda: "another")
    toy.train()
    assert len(toy.runs()) == 2


def test_a_packed_model_that_a_kill_left_untried_is_tried(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(PUBLISH, "_try", _kill)
        with pytest.raises(Killed):
            toy.publish()
    with monkeypatch.context() as patched:
        patched.setattr("mlflow.pyfunc.load_model", _broken)
        with pytest.raises(ModelError, match="nothing was registered"):
            toy.publish()
    assert not toy.versions()
    assert toy.publish().version == "1"


def _kill(*_: object) -> None:
    raise Killed


def _broken(*_: object) -> None:
    raise ImportError("a module")


def test_a_new_database_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", _kill)
        with pytest.raises(Killed):
            make_database(path)
    assert not path.exists()
    with sqlite3.connect(tmp_path / ".mlflow.db.part") as torn:
        torn.execute("drop table alembic_version")  # what MLflow would refuse for good
    torn.close()
    path.touch()  # as a program leaves it that opened the address and was killed
    make_database(path)
    assert tracking.models(f"sqlite:///{path}") == []
    before = path.read_bytes()
    make_database(path)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*part*"))


def test_a_full_disk_is_one_line_and_the_next_try_completes(toy: Toy) -> None:
    with no_room(), pytest.raises(ModelError) as refused:
        toy.publish()
    assert "\n" not in str(refused.value)
    assert "free space" in str(refused.value)
    assert toy.publish().version == "1"
    assert len(toy.runs()) == 1


@pytest.mark.parametrize("folder", ["", "/sys/kernel/vertebra-ml"])
def test_a_store_that_cannot_be_made_is_one_line(tmp_path: Path, folder: str) -> None:
    place = Path(folder) if folder else tmp_path
    with no_room(), pytest.raises(ModelError, match=r"mlflow\.db: found .*; expected") as refused:
        tracking.models(f"sqlite:///{place}/mlflow.db")
    assert "\n" not in str(refused.value)
    assert not (place / "mlflow.db").exists()
