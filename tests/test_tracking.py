"""Real MLflow on SQLite and PostgreSQL: runs that survive a kill, publishing once."""

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.stores import fresh_store
from vertebra_ml import tracking
from vertebra_ml.errors import GateError, ModelError
from vertebra_ml.tracking.figures import decisive
from vertebra_ml.tracking.provenance import answers_md5, flat, md5, weights_md5
from vertebra_ml.tracking.publish import ANSWERS_TAG
from vertebra_ml.tracking.runs import start_training_run

ROOT = Path(__file__).parent.parent
NAME, EXPERIMENT = "spotter", "tests"
SETTINGS: dict[str, Any] = {
    "settings": {"architecture": "compact", "loss": "bce", "levels": ["T12", "L3"]},
    "projection": {"spacing_mm": 1.0},
    "seed": 7,
    "data_hash": "d41d8",
}
HISTORY = "epoch,loss,validation_mm\n1,0.9,12.5\n2,0.5,4.25\n3,0.4,\n"
METRICS = {
    "overall": {"median_mm": 1.25, "median_mm_low": 1.0, "gross_rate": 0.01, "p90_mm": None},
    "levels": {"L3": {"median_mm": 1.5, "median_mm_low": 1.1}},
    "groups": {"verse": {"median_mm": 2.5, "missed": 3}},
    "settings": {"bootstrap": 1000},
}
COLUMNS = {
    "median_mm": 1.25, "median_mm_low": 1.0, "gross_rate": 0.01, "L3.median_mm": 1.5,
    "group.verse.median_mm": 2.5,
}  # fmt: skip

# The served code is packed, not run, in these tests: tests/serving runs it.
CODE = """
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Nothing(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return []


set_model(Nothing())
"""


@dataclass(frozen=True)
class Place:
    """A store and the files of one trained model."""

    root: Path
    uri: str
    kind: str = "slice_spotter"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, registry_uri=self.uri)

    def model(self, weights: bytes = b"one") -> Path:
        folder = self.root / "model"
        folder.mkdir(exist_ok=True)
        (folder / "model.json").write_text(json.dumps({"kind": self.kind, **SETTINGS}))
        (folder / "model.weights.h5").write_bytes(weights)
        (folder / "history.csv").write_text(HISTORY)
        return folder

    def reports(self, verdict: Mapping[str, Any], metrics: Mapping[str, Any] = METRICS) -> Path:
        folder = self.root / "reports"
        folder.mkdir(exist_ok=True)
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "verdict.json").write_text(json.dumps(verdict))
        (folder / "report.html").write_text("<p>report</p>")
        return folder

    def publish(
        self, weights: bytes = b"one", verdict: Mapping[str, Any] | None = None, **changed: Any
    ) -> tracking.Published:
        code = self.root / "served.py"
        code.write_text(CODE)
        reports = self.reports(verdict or {"passed": True, "failures": []}, **changed)
        return tracking.publish(
            self.model(weights), reports, uri=self.uri, experiment=EXPERIMENT, registered=NAME,
            code=code,
        )  # fmt: skip

    def training(self, **changed: Any) -> Any:
        return start_training_run(
            uri=self.uri, experiment=EXPERIMENT, kind=self.kind,
            settings={**SETTINGS, **changed}, state=self.root / "state" / "run.json",
            table=pd.DataFrame({"case": ["a", "b"], "part": ["train", "test"], "rows": [3, 4]}),
        )  # fmt: skip

    def runs(self) -> list[Run]:
        known = self.client.get_experiment_by_name(EXPERIMENT)
        assert known is not None
        return list(self.client.search_runs([known.experiment_id]))

    def versions(self) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{NAME}'"))

    def curve(self, run: str, metric: str) -> list[tuple[int, float]]:
        return [(p.step, p.value) for p in self.client.get_metric_history(run, metric)]


@pytest.fixture
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    store, kind = getattr(request, "param", ("sqlite", "slice_spotter"))
    with fresh_store(store, request, tmp_path) as made:
        yield Place(tmp_path, made.uri, kind)


# Not each kind on each store: what differs by the one does not differ by the other.
everywhere = pytest.mark.parametrize(
    "place", [("sqlite", "slice_spotter"), ("postgresql", "two_stage")], indirect=True, ids=str
)


def test_telemetry_is_off() -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert is_telemetry_disabled()


def test_flat_names() -> None:
    assert flat(SETTINGS) == {
        "architecture": "compact",
        "loss": "bce",
        "levels": "T12 L3",
        "projection.spacing_mm": 1.0,
        "seed": 7,
        "data_hash": "d41d8",
    }


def test_the_numbers_of_a_model_that_names_columns() -> None:
    rates = {"id_rate": 0.9, "id_rate_low": 0.8, "id_rate_high": 1.0, "identified": 9}
    levels = {f"T{n}": {"median_mm": 1.0} for n in range(1, 10)}
    named = {"overall": rates, "regions": {"lumbar": rates}, "levels": {"L3": rates}}
    assert decisive({"overall": {"median_mm": 2.0}, "levels": levels, "identification": named}) == {
        "median_mm": 2.0, "named.id_rate": 0.9, "named.id_rate_low": 0.8,
        "named.id_rate_high": 1.0, "named.lumbar.id_rate": 0.9,
    }  # fmt: skip


@everywhere
def test_a_training_is_live_and_says_where_it_comes_from(place: Place) -> None:
    with place.training() as run:
        run.log_epoch(1, {"loss": 0.9, "validation_mm": 12.5})
        assert place.curve(run.id, "epoch/loss") == [(1, 0.9)]
        run.log_epoch(2, {"loss": 0.5})
        assert place.client.get_run(run.id).info.status == "RUNNING"
        run.log_metrics({"overall": {"median_mm": 1.25}})
        run.log_files(place.reports({"passed": True}) / "report.html", "reports")
        run.log_model_folder(place.model())
    (done,) = place.runs()
    assert done.info.status == "FINISHED"
    assert done.info.run_name.startswith("compact bce ")
    assert done.data.params["loss"] == "bce"
    assert done.data.params["projection.spacing_mm"] == "1.0"
    assert done.data.metrics["overall.median_mm"] == 1.25
    tags = done.data.tags
    assert {tags[key] for key in ("kind", "architecture", "seed", "data_hash", "source")} == {
        place.kind, "compact", "7", "d41d8", "training",
    }  # fmt: skip
    assert tags["mlflow.user"] == getpass.getuser()
    assert "/" not in tags["mlflow.source.name"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, cwd=Path()
    )
    assert tags["git_commit"] == head.stdout.strip()
    assert tags["dvc_lock_md5"] == md5(Path("dvc.lock"))
    (data,) = done.inputs.dataset_inputs
    assert data.dataset.name == "cases"
    assert "d41d8" in data.dataset.source
    assert [f.path for f in place.client.list_artifacts(done.info.run_id, "reports")] == [
        "reports/report.html"
    ]


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


@everywhere
def test_a_killed_training_goes_on_as_the_same_run(place: Place) -> None:
    with pytest.raises(Killed), place.training() as run:  # noqa: PT012
        run.log_epoch(1, {"loss": 0.9})
        run.log_epoch(2, {"loss": 0.5})
        raise Killed
    first = run.id
    with place.training() as run:
        assert run.id == first
        run.log_epoch(2, {"loss": 0.5})  # the epoch after the last checkpoint comes again
        run.log_epoch(3, {"loss": 0.4})
        run.log_model_folder(place.model())
    assert place.curve(first, "epoch/loss") == [(1, 0.9), (2, 0.5), (3, 0.4)]
    with place.training() as run:
        assert run.id == first  # killed before DVC noted its end: not a second run
    assert place.publish().run == first
    with place.training() as run:
        assert run.id != first  # a training that was judged is over


def test_other_settings_are_another_run(place: Place) -> None:
    with pytest.raises(Killed), place.training() as run:
        raise Killed
    place.client.update_run(run.id, status="RUNNING")  # as a kill -9 leaves it
    with place.training(seed=8) as other:
        assert other.id != run.id
    assert place.client.get_run(run.id).info.status == "KILLED"


def test_a_broken_state_file_is_no_obstacle(place: Place) -> None:
    state = place.root / "state" / "run.json"
    state.parent.mkdir()
    for text in ("", "[]", '{"run": "0123"}', "\0"):
        state.write_text(text)
        with place.training() as run:
            assert run.id
    assert len(place.runs()) == 4


@everywhere
def test_publish_replays_what_was_trained_elsewhere(place: Place) -> None:
    published = place.publish()
    (run,) = place.runs()
    assert (published.run, published.name, published.version) == (run.info.run_id, NAME, "1")
    assert run.data.tags["source"] == "replayed"
    assert run.data.tags["gate"] == "passed"
    assert run.data.params["architecture"] == "compact"
    assert place.curve(published.run, "epoch/loss") == [(1, 0.9), (2, 0.5), (3, 0.4)]
    assert place.curve(published.run, "epoch/validation_mm") == [(1, 12.5), (2, 4.25)]
    assert run.data.metrics["L3.median_mm"] == 1.5
    (version,) = place.versions()
    assert version.tags["gate"] == "passed"
    assert version.tags["weights_md5"] == md5(place.model() / "model.weights.h5")
    assert run.data.tags["kind"] == place.kind
    assert version.tags["data_hash"] == "d41d8"
    assert version.run_id == published.run
    assert not version.aliases


def test_another_model_carried_along_is_another_version(tmp_path: Path) -> None:
    (tmp_path / "model.weights.h5").write_bytes(b"own")
    alone = weights_md5(tmp_path)
    assert alone == md5(tmp_path / "model.weights.h5")
    (tmp_path / "anchor").mkdir()
    seen = {alone}
    for content in (b"one", b"another"):
        (tmp_path / "anchor" / "model.weights.h5").write_bytes(content)
        seen.add(weights_md5(tmp_path))
    assert len(seen) == 3


@everywhere
def test_publish_completes_the_run_of_a_training(place: Place) -> None:
    with place.training() as run:
        run.log_epoch(1, {"loss": 0.9})
        run.log_model_folder(place.model())
    assert place.publish().run == run.id
    (only,) = place.runs()
    assert only.data.tags["source"] == "training"
    assert place.curve(run.id, "epoch/loss") == [(1, 0.9), (2, 0.5), (3, 0.4)]


@everywhere
def test_publishing_twice_doubles_nothing(place: Place) -> None:
    first = place.publish()
    assert place.publish() == first
    assert len(place.runs()) == 1
    assert len(place.versions()) == 1
    assert len(place.curve(first.run, "median_mm")) == 1
    experiment = place.runs()[0].info.experiment_id
    assert len(place.client.search_logged_models([experiment])) == 1


def test_other_weights_are_another_version_and_a_new_evaluation_is_not(place: Place) -> None:
    place.publish()
    assert place.publish(b"two").version == "2"
    again = place.publish(b"two", metrics={"overall": {"median_mm": 1.0}})
    assert again.version == "2"
    assert place.client.get_run(again.run).data.metrics["median_mm"] == 1.0


@everywhere
def test_the_same_weights_that_answer_differently_are_another_version(place: Place) -> None:
    """Other thresholds, or other code: `models serve` must not go on with the old ones."""
    first = place.publish()
    slices = place.root / "reports" / "slices.csv"
    slices.write_text("case,level,score\na,L3,0.9\n")
    other = place.publish()
    slices.write_text("case,level,score\na,L3,0.8\n")
    third = place.publish(metrics={"overall": {"median_mm": 0.5}})
    assert [one.version for one in (first, other, third)] == ["1", "2", "3"]
    assert len({one.run for one in (first, other, third)}) == 3
    assert {one.weights_md5 for one in (first, other, third)} == {first.weights_md5}
    assert place.publish(metrics={"overall": {"median_mm": 0.5}}) == third
    medians = [
        place.client.get_run(one.run).data.metrics["median_mm"] for one in (first, other, third)
    ]
    assert medians == [1.25, 1.25, 0.5]  # each run keeps the numbers of its own answers
    experiment = place.runs()[0].info.experiment_id
    assert len(place.client.search_logged_models([experiment])) == 3


def test_settings_carried_along_are_part_of_what_is_answered(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for folder in (reports, tmp_path / "model" / "anchor"):
        folder.mkdir(parents=True)
    seen = set()
    for settings in (tmp_path / "model", tmp_path / "model" / "anchor"):
        for content in ("{}", '{"guess": 0.5}'):
            (settings / "model.json").write_text(content)
            seen.add(answers_md5(tmp_path / "model", reports))
    (reports / "slices.csv").write_text("case\n")
    seen.add(answers_md5(tmp_path / "model", reports))
    assert len(seen) == 5


def test_a_version_of_before_answers_were_told_apart_keeps_its_run(place: Place) -> None:
    first = place.publish()
    place.client.delete_tag(first.run, ANSWERS_TAG)
    place.client.delete_model_version_tag(NAME, first.version, ANSWERS_TAG)
    again = place.publish()
    assert (again.version, again.run != first.run) == ("2", True)
    assert place.publish() == again


@everywhere
def test_publish_after_a_kill_between_its_steps(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    for step in ("log_final", "set_tags", "_ensure_logged_model", "_ensure_version"):
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules["vertebra_ml.tracking.publish"], step, killed)
            with pytest.raises(Killed):
                place.publish()
    place.publish()
    assert len(place.runs()) == 1
    assert [v.version for v in place.versions()] == [1]
    experiment = place.runs()[0].info.experiment_id
    assert len(place.client.search_logged_models([experiment])) == 1


@everywhere
def test_two_publish_at_once(place: Place) -> None:
    place.model()
    place.reports({"passed": True})
    (place.root / "served.py").write_text(CODE)
    script = (
        "import sys; from pathlib import Path; from vertebra_ml import tracking;"
        "r = Path(sys.argv[1]);"
        "print(tracking.publish(r / 'model', r / 'reports', uri=sys.argv[2], experiment='tests',"
        " registered='spotter', code=r / 'served.py').version)"
    )

    def one(_: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, str(place.root), place.uri],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().split("\n")[-1]

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(one, range(2))) == ["1", "1"]
    assert len(place.runs()) == 1
    assert len(place.versions()) == 1


def test_a_failed_gate_keeps_the_run_and_registers_nothing(place: Place) -> None:
    verdict = {"passed": False, "failures": ["gross_rate <= 0.02", "median_mm <= 2.5"]}
    with pytest.raises(GateError, match=r"missed: gross_rate <= 0.02; median_mm <= 2.5"):
        place.publish(verdict=verdict)
    (run,) = place.runs()
    assert run.data.tags["gate"] == "failed"
    assert not place.versions()


def test_without_a_verdict_nothing_is_registered(place: Place) -> None:
    reports = place.reports({"passed": True})
    (reports / "verdict.json").unlink()
    with pytest.raises(GateError, match=r"no \*verdict.json"):
        tracking.publish(
            place.model(), reports, uri=place.uri, experiment=EXPERIMENT, registered=NAME,
            code=ROOT,
        )  # fmt: skip
    assert not place.versions()


@everywhere
def test_a_later_failure_withdraws_the_gate(place: Place) -> None:
    place.publish()
    with pytest.raises(GateError):
        place.publish(verdict={"passed": False, "failures": ["median_mm"]})
    with pytest.raises(GateError, match="gate=failed"):
        tracking.promote(NAME, version="1", reason="try", uri=place.uri)


@pytest.mark.parametrize("missing", ["model.json", "model.weights.h5"])
def test_an_incomplete_model_folder_is_refused(place: Place, missing: str) -> None:
    folder = place.model()
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=f"found no {missing}"):
        tracking.publish(
            folder, place.reports({"passed": True}), uri=place.uri, experiment=EXPERIMENT,
            registered=NAME, code=ROOT,
        )  # fmt: skip


@everywhere
def test_models_lists_and_fetch_finds(place: Place) -> None:
    published = place.publish()
    place.publish(b"two")
    tracking.promote(NAME, version="1", reason="r", uri=place.uri)
    newest, first = tracking.models(place.uri)
    assert (newest["version"], newest["aliases"]) == (2, ())
    assert (first["name"], first["aliases"], first["gate"]) == (NAME, ("production",), "passed")
    assert first["metrics"] == COLUMNS
    folder, who = tracking.fetch(f"models:/{NAME}@production", place.uri)
    assert (folder / "model.weights.h5").read_bytes() == b"one"
    assert (who.kind, who.version, who.run) == (place.kind, "1", published.run)
    assert who.data_hash == "d41d8"
    with pytest.raises(ModelError, match="no such model"):
        tracking.fetch(f"models:/{NAME}@nothing", place.uri)


def test_the_packed_model_names_what_it_needs(place: Place) -> None:
    place.publish()
    folder, _ = tracking.fetch(f"models:/{NAME}/1", place.uri)
    package = folder.parents[1]
    pinned = (package / "requirements.txt").read_text().split()
    assert all("==" in line for line in pinned)
    assert {"keras", "numpy", "nibabel", "pydicom"} <= {line.split("==")[0] for line in pinned}
    assert (package / "code" / "vertebra_ml" / "landmarks.py").is_file()


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ModelError, match="a tracking store that can be opened"):
        tracking.models(f"sqlite:///{tmp_path}/file/mlflow.db")
