"""Publishing: this store holds the run and the registered version of what a model answers, once."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

import vertebra_ml
from vertebra_ml.errors import GateError, ModelError, VertebraError
from vertebra_ml.tracking.example import example_row
from vertebra_ml.tracking.figures import decisive
from vertebra_ml.tracking.inputs import INPUTS_TAG, evaluated_on
from vertebra_ml.tracking.provenance import (
    answers_md5,
    code_tags,
    folder_md5,
    read_contract,
    read_json,
    requirements,
    weights_md5,
)
from vertebra_ml.tracking.registry import ARTIFACT, versions
from vertebra_ml.tracking.runs import log_epochs, log_final, log_params, run_name, set_tags
from vertebra_ml.tracking.store import experiment_id, lock, open_store
from vertebra_ml.tracking.trouble import in_one_line

ANSWERS_TAG = "answers_md5"
"""Tag of a run, a packed model and a version: see ``provenance.answers_md5``."""
ANSWERED = "answered"
"""Tag of a packed model that was tried."""
METRICS, VERDICTS, HISTORY = "metrics.json", "*verdict.json", "history.csv"


@dataclass(frozen=True)
class Published:
    """Where published weights are found in the tracking server."""

    run: str
    name: str
    version: str
    weights_md5: str


@in_one_line()
def publish(
    folder: Path,
    reports: Path,
    *,
    uri: str | None,
    experiment: str,
    registered: str,
    code: Path,
) -> Published:
    """Make sure that the store holds one run and one registered version of what this model answers.

    The same weights under other thresholds or code answer differently: that is another run and
    another version.

    Parameters
    ----------
    folder : model folder: ``model.json``, weights, ``history.csv``, and whatever lies below it.
    reports : folder of ``metrics.json``, the quality gate's ``*verdict.json`` (keys ``passed``,
        ``failures``), report and pictures.
    registered : name of the registered model.
    code : the models-from-code file, ``serving/pyfunc_model.py``.

    A run left by training on this store is completed; elsewhere it is replayed from the files.
    Called again, also by two processes at once or after a kill, nothing is doubled. No alias is
    ever moved.

    Raises ModelError for an incomplete folder, and GateError, naming the thresholds missed, for a
    model that did not pass its quality gate: its run is kept, no version is made.
    """
    contract = read_contract(folder)
    metrics, broken = decisive(read_json(reports / METRICS)), _broken(reports)
    which = _Which(weights_md5(folder), answers_md5(folder, reports))
    client = open_store(uri)
    place = experiment_id(client, experiment)
    gate = "failed" if broken else "passed"
    with lock(client.tracking_uri):
        run_id = _ensure_run(client, place, registered, contract, which)
        _fill_run(client, run_id, folder, reports, metrics, gate)
        if broken:
            _mark_failed(client, registered, which.weights)
            raise GateError(
                registered,
                found=f"thresholds missed: {'; '.join(broken)}",
                expected="every threshold of gate in params.yaml met",
                fix="improve the model; its run is kept, no version was registered",
            )
        model = _ensure_logged_model(client, place, run_id, which, folder, code)
        version = _ensure_version(client, registered, model, run_id, which, contract)
    return Published(run_id, registered, version, which.weights)


@dataclass(frozen=True)
class _Which:
    """What a model is known by: its weights, and what they answer."""

    weights: str
    answers: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags that say so."""
        return {"weights_md5": self.weights, ANSWERS_TAG: self.answers}


def _ensure_run(
    client: MlflowClient, place: str, registered: str, contract: Mapping[str, Any], which: _Which
) -> str:
    """Return the run of these answers: trained here and not yet published, or replayed now."""
    runs: list[Run] = client.search_runs(
        [place], f"tags.weights_md5 = '{which.weights}'", order_by=["start_time ASC"]
    )
    spoken_for = {version.tags.get("run") for version in versions(client, registered)}
    for run in runs:
        answers = run.data.tags.get(ANSWERS_TAG)
        if answers is None and run.info.run_id not in spoken_for:
            set_tags(client, run.info.run_id, which.tags)
            answers = which.answers
        if answers == which.answers:
            return str(run.info.run_id)
    tags = {
        key: str(contract["settings"][key] if key == "architecture" else contract[key])
        for key in ("kind", "architecture", "seed", "data_hash")
        if key in contract or key in contract.get("settings", {})
    }
    tags |= {"source": "replayed", **which.tags}
    return str(client.create_run(place, run_name=run_name(contract), tags=tags).info.run_id)


def _fill_run(
    client: MlflowClient,
    run_id: str,
    folder: Path,
    reports: Path,
    metrics: Mapping[str, Any],
    gate: str,
) -> None:
    """Add what the run still lacks; whatever is there already is left as it is."""
    run = client.get_run(run_id)
    log_params(client, run_id, as_settings(read_contract(folder)))
    log_epochs(client, run_id, read_history(folder / HISTORY))
    log_final(client, run_id, metrics)
    state = folder_md5(reports)
    if run.data.tags.get("reports_md5") != state:
        client.log_artifacts(run_id, str(reports), "reports")
    kept = {key: value for key, value in code_tags(Path()).items() if key not in run.data.tags}
    made = evaluated_on(Path(), reports)
    known = {INPUTS_TAG: made} if made else {}
    set_tags(client, run_id, {**kept, **known, "gate": gate, "reports_md5": state})
    if run.info.status != "FINISHED":
        client.set_terminated(run_id, "FINISHED")


def as_settings(contract: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``model.json`` by the names under which a training logs the same settings."""
    renamed = {"preparation": "projection"}
    return {renamed.get(key, key): value for key, value in contract.items() if key != "levels"}


def read_history(path: Path) -> dict[int, dict[str, float]]:
    """Read ``history.csv`` into ``{epoch: {NAME: value}}``; empty where it is missing."""
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        int(float(row["epoch"])): {
            name: float(value)
            for name, value in row.items()
            if name != "epoch" and value not in ("", None)
        }
        for row in rows
    }


def _ensure_logged_model(
    client: MlflowClient, place: str, run_id: str, which: _Which, folder: Path, code: Path
) -> str:
    """Return the ``models:/ID`` of the packed model, packing it where that never finished."""
    found: list[LoggedModel] = client.search_logged_models(
        [place], filter_string=f"tags.{ANSWERS_TAG} = '{which.answers}'"
    )
    for model in found:
        if model.status == "READY":
            _try(client, model.model_uri, model.model_id)
            return str(model.model_uri)
        client.delete_logged_model(model.model_id)  # left half written by a kill
    with mlflow.start_run(run_id=run_id):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            artifacts={ARTIFACT: str(folder)},
            code_paths=[str(Path(vertebra_ml.__file__).parent)],
            signature=signature(),
            input_example=pd.DataFrame([example_row()]),
            pip_requirements=requirements(),
            tags=which.tags,
        )
    _try(client, info.model_uri, info.model_id)
    return str(info.model_uri)


def _try(client: MlflowClient, uri: str, model: str) -> None:
    """Let the packed model answer the example; MLflow itself would only warn of one that cannot.

    Only once: a tag says so. One that a kill left untried is tried by whoever comes next.

    Raises ModelError, and forgets the packed model, where it does not answer.
    """
    if ANSWERED in client.get_logged_model(model).tags:
        return
    try:
        mlflow.pyfunc.load_model(uri).predict(pd.DataFrame([example_row()]))
        client.set_logged_model_tags(model, {ANSWERED: "its example"})
    except (MlflowException, VertebraError, ImportError) as error:
        client.delete_logged_model(model)
        raise ModelError(
            "packed model",
            found=f"{type(error).__name__}: {error}",
            expected="an answer to its own example",
            fix="mend serving/pyfunc_model.py or the model folder; nothing was registered",
        ) from error


def signature() -> ModelSignature:
    """Return the table that the server takes: every column may be left out, see serving/."""
    either = AnyType()  # type: ignore[no-untyped-call]  # base64 text or bytes
    content = ColSpec(either, "content", required=False)
    text = [ColSpec(DataType.string, name, required=False) for name in ("path", "case")]
    return ModelSignature(inputs=Schema([content, *text]))


def _ensure_version(
    client: MlflowClient,
    name: str,
    model: str,
    run_id: str,
    which: _Which,
    contract: Mapping[str, Any],
) -> str:
    """Return the version of these answers, registered now where there is none."""
    tags = {
        "gate": "passed",
        **which.tags,
        "run": run_id,
        "data_hash": str(contract.get("data_hash", "")),
        "architecture": str(contract.get("settings", {}).get("architecture", "")),
    }
    known = [v for v in versions(client, name) if v.tags.get(ANSWERS_TAG) == which.answers]
    if not known:
        made = mlflow.register_model(model, name, tags=tags)
        return str(made.version)
    version = str(known[-1].version)
    for key, value in tags.items():
        if known[-1].tags.get(key) != value:
            client.set_model_version_tag(name, version, key, value)
    return version


def _mark_failed(client: MlflowClient, name: str, weights: str) -> None:
    """Withdraw the gate from versions of weights that a new evaluation found wanting."""
    for version in versions(client, name):
        if version.tags.get("weights_md5") == weights:
            client.set_model_version_tag(name, str(version.version), "gate", "failed")


def _broken(reports: Path) -> list[str]:
    """Return the thresholds that the quality gate found missed; a gate that never ran is one."""
    verdicts = [read_json(path) for path in sorted(reports.glob(VERDICTS))]
    if not verdicts:
        return [f"no {VERDICTS} in {reports}"]
    return [
        str(rule)
        for verdict in verdicts
        if verdict.get("passed") is not True
        for rule in verdict.get("failures") or ["the gate did not pass"]
    ]
