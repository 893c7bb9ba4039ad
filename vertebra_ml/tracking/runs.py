"""Runs: one a training, live while it trains, the same one again after a kill."""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

import vertebra_ml
from vertebra_ml.tracking.provenance import code_tags, flat, weights_md5
from vertebra_ml.tracking.store import experiment_id, open_store
from vertebra_ml.tracking.trouble import in_one_line

if TYPE_CHECKING:
    from pandas import DataFrame

TAGS_OF_SETTINGS = ("kind", "architecture", "seed", "data_hash")
TRAINING, CODE, JUDGED = "training", "code_md5", "gate"
"""Tags: the name of a training, the library it ran, and what ``publish`` says of it in the end."""
EPOCH_PREFIX = "epoch/"
"""Before the names of per-epoch metrics: MLflow's pages draw them in a group of their own."""
DIGEST_LENGTH = 12  # characters; MLflow takes at most 36
PARAM_LENGTH_MAX = 6000  # MLflow's limit, characters


@dataclass(frozen=True)
class TrainingRun:
    """A run that is being written: its id and the ways to add to it."""

    id: str
    client: MlflowClient

    def log_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of one epoch; an epoch that the run already holds is not doubled."""
        log_epochs(self.client, self.id, {epoch: metrics})

    def log_files(self, path: Path, folder: str | None = None) -> None:
        """Add a file, or every file below a folder, under ``folder`` of the run's artifacts."""
        if path.is_dir():
            self.client.log_artifacts(self.id, str(path), folder)
        else:
            self.client.log_artifact(self.id, str(path), folder)

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Add final metrics; nested groups become dotted names."""
        log_final(self.client, self.id, metrics)

    def log_model_folder(self, folder: Path) -> None:
        """Tag the run with its weights, by which ``publish`` finds it again."""
        self.client.set_tag(self.id, "weights_md5", weights_md5(folder))


@contextmanager
def start_training_run(
    *,
    uri: str | None,
    experiment: str,
    kind: str,
    settings: Mapping[str, Any],
    state: Path,
    table: "DataFrame | None" = None,
) -> Iterator[TrainingRun]:
    """Open the run of a training, or go on with the one that a kill left open.

    Parameters
    ----------
    uri, experiment : tracking store and experiment, made where missing.
    kind : model kind, e.g. ``slice_spotter``.
    settings : what ``model.json`` will say: ``settings`` (the model's own), ``projection``,
        ``seed``, ``data_hash``; flattened into the run's params.
    state : small file that names the training, written before its run begins. It must lie outside
        the stage's outputs, which DVC removes; other settings than those it was written for are
        another training.
    table : the cases trained on, one a row; only its digest and profile are stored.

    A training that raises leaves its run FAILED, and the next try continues it. One that ends well
    leaves it FINISHED; it is over once ``publish`` has judged it. Done again before that, by the
    same code (DVC was killed before it noted the end), it is the same run still.
    """
    client = open_store(uri)
    values, code = {"kind": kind, **settings}, _code_md5()
    with in_one_line():
        place = experiment_id(client, experiment)
        training = _named(client, place, state, values)
        known = _begun(client, place, training, code)
        if known is None:
            about = {"source": "training", TRAINING: training, CODE: code}
            tags = {**_tags(values), **about, **code_tags(Path())}
            known = client.create_run(place, run_name=run_name(values), tags=tags).info.run_id
        log_params(client, known, values)
        client.update_run(known, status="RUNNING")
        with mlflow.start_run(run_id=known, log_system_metrics=True):
            if table is not None:
                _log_table(client, known, table, str(values.get("data_hash", "")))
            yield TrainingRun(known, client)


def run_name(values: Mapping[str, Any]) -> str:
    """Return a name that tells runs apart in its first words: what, then when (UTC)."""
    facts = flat(values)
    keys = ("architecture", "loss") if facts.get("loss") else ("kind", "architecture")
    words = [str(facts[key]) for key in keys if facts.get(key)]
    return " ".join([*(words or [str(facts["kind"])]), datetime.now(UTC).strftime("%m-%d %H:%M")])


def log_params(client: MlflowClient, run_id: str, values: Mapping[str, Any]) -> None:
    """Add the flattened ``values`` that the run does not hold yet."""
    held = client.get_run(run_id).data.params
    new = {key: value for key, value in flat(values).items() if key not in held}
    params = [Param(key, str(value)[:PARAM_LENGTH_MAX]) for key, value in new.items()]
    client.log_batch(run_id, params=params)


def log_epochs(
    client: MlflowClient, run_id: str, epochs: Mapping[int, Mapping[str, float]]
) -> None:
    """Add per-epoch metrics, in one call, leaving out (metric, epoch) pairs that are there."""
    held = client.get_run(run_id).data.metrics
    epochs = {
        epoch: {f"{EPOCH_PREFIX}{name}": value for name, value in metrics.items()}
        for epoch, metrics in epochs.items()
    }
    names = {name for metrics in epochs.values() for name in metrics}
    there = {
        (name, point.step)
        for name in names & set(held)
        for point in client.get_metric_history(run_id, name)
    }
    now = int(datetime.now(UTC).timestamp() * 1000)
    points = [
        Metric(name, float(value), now, epoch)
        for epoch, metrics in epochs.items()
        for name, value in metrics.items()
        if (name, epoch) not in there
    ]
    for start in range(0, len(points), 500):  # MLflow takes at most 1000 a call
        client.log_batch(run_id, metrics=points[start : start + 500])


def log_final(client: MlflowClient, run_id: str, metrics: Mapping[str, Any]) -> None:
    """Add final metrics, flattened; one whose value is already there is not written again."""
    held = client.get_run(run_id).data.metrics
    now = int(datetime.now(UTC).timestamp() * 1000)
    new = [
        Metric(name, float(value), now, 0)
        for name, value in flat(metrics).items()
        if isinstance(value, int | float) and held.get(name) != float(value)
    ]
    client.log_batch(run_id, metrics=new)


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Write tags in one call."""
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _tags(values: Mapping[str, Any]) -> dict[str, str]:
    facts = flat(values)
    return {key: str(facts[key]) for key in TAGS_OF_SETTINGS if key in facts}


def _named(client: MlflowClient, place: str, state: Path, values: Mapping[str, Any]) -> str:
    """Return the name of the training with these settings: that of ``state``, or a new one.

    It stands in ``state`` before a run bears it, so that a kill in between loses neither. A run of
    other settings that a kill left there, and that nobody will go on with, says so from now on.
    """
    try:
        kept = json.loads(state.read_text())
        before, same = str(kept["training"]), kept["values"] == _comparable(values)
    except (OSError, ValueError, KeyError, TypeError):
        before, same = "", False  # none yet, or not ours
    if same:
        return before
    for run in _of_training(client, place, before) if before else ():
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
    name = uuid.uuid4().hex
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_name(f"{state.name}.part")
    partial.write_text(json.dumps({"training": name, "values": _comparable(values)}))
    partial.replace(state)
    return name


def _of_training(client: MlflowClient, place: str, training: str) -> list[Run]:
    """Return the newest run of a training, in a list of one or none."""
    said = f"tags.{TRAINING} = '{training}'"
    return list(client.search_runs([place], said, order_by=["start_time DESC"], max_results=1))


def _begun(client: MlflowClient, place: str, training: str, code: str) -> str | None:
    """Return the run of a training that is not over yet, in whatever state a kill left it."""
    found = _of_training(client, place, training)
    if not found:
        return None
    tags = found[0].data.tags
    over = found[0].info.status == "FINISHED" and (JUDGED in tags or tags.get(CODE) != code)
    return None if over else str(found[0].info.run_id)


def _code_md5() -> str:
    """Return one MD5 over the library's source: a commit says little of a changed tree."""
    package = Path(vertebra_ml.__file__).parent
    digest = hashlib.md5(usedforsecurity=False)
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _comparable(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in flat(values).items()}


def _log_table(client: MlflowClient, run_id: str, table: "DataFrame", data_hash: str) -> None:
    inputs = client.get_run(run_id).inputs
    if inputs is not None and inputs.dataset_inputs:
        return
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas

    # MLflow warns of integer columns, which could not hold a gap; none of ours is ever missing.
    whole = table.select_dtypes("integer").columns
    source = CodeDatasetSource(tags={"data_hash": data_hash})  # DVC has it under this hash
    rows = table.astype(dict.fromkeys(whole, "float64"))
    dataset = from_pandas(rows, source, name="cases", digest=_digest(rows))
    mlflow.log_input(dataset, context="training")


def _digest(table: "DataFrame") -> str:
    text = table.to_csv(index=False).encode()
    return hashlib.sha256(text).hexdigest()[:DIGEST_LENGTH]
