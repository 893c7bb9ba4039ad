"""Registered models: what there is, and fetching one by name."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import ModelIdentity
from vertebra_ml.tracking.provenance import read_contract
from vertebra_ml.tracking.runs import EPOCH_PREFIX
from vertebra_ml.tracking.store import open_store

ARTIFACT = "model"
"""The name under which the model folder is packed into a logged model."""

MLMODEL = "MLmodel"
PRODUCTION, PREVIOUS = "production", "previous"


def models(uri: str | None = None) -> list[dict[str, object]]:
    """Return a row a registered version, newest first by name.

    Columns: ``name, version, aliases, gate, created, run, architecture, metrics, promoted``, where
    ``metrics`` holds the run's final metrics by name, without those of single epochs.
    """
    client = open_store(uri)
    names = sorted(model.name for model in _all_models(client))
    return [_row(client, version) for name in names for version in versions(client, name)]


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return every version of ``name``, newest first, with its aliases."""
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            break
    aliases = aliases_of(client, name)
    for version in found:
        version._aliases = sorted(a for a, held in aliases.items() if held == str(version.version))
    return sorted(found, key=lambda version: -int(version.version))


def aliases_of(client: MlflowClient, name: str) -> dict[str, str]:
    """Return ``{alias: version}`` of a registered model; empty where it does not exist."""
    try:
        held = client.get_registered_model(name).aliases
    except MlflowException:
        return {}
    return {alias: str(version) for alias, version in held.items()}


def fetch(model: str, uri: str | None = None) -> tuple[Path, ModelIdentity]:
    """Return the folder of ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, and who it is.

    Raises ModelError where the registry does not hold it.
    """
    open_store(uri)
    try:
        package = Path(mlflow.artifacts.download_artifacts(model))
    except (MlflowException, OSError) as error:
        raise ModelError(
            model,
            found="no such model in this registry",
            expected="models:/NAME@ALIAS or models:/NAME/VERSION",
            fix="see `vertebra-ml models`; `dvc repro` publishes, `vertebra-ml promote` promotes",
        ) from error
    return _about(package)


def identity(folder: Path) -> ModelIdentity:
    """Return who the model in ``folder``, inside a logged model, is: by the files around it.

    The version is known where the model came out of the registry.
    """
    package = next((p for p in folder.parents if (p / MLMODEL).is_file()), folder)
    contract = read_contract(folder)
    return ModelIdentity(
        kind=str(contract.get("kind", "")),
        version=str(_yaml(package / "registered_model_meta").get("model_version", "")),
        run=str(_yaml(package / MLMODEL).get("run_id", "")),
        data_hash=str(contract.get("data_hash", "")),
    )


def _about(package: Path) -> tuple[Path, ModelIdentity]:
    flavors = _yaml(package / MLMODEL).get("flavors", {})
    packed = flavors.get("python_function", {}).get("artifacts", {}).get(ARTIFACT, {}).get("path")
    if packed is None:
        raise ModelError(
            package,
            found=f"a model without the artifact {ARTIFACT}",
            expected="one that `dvc repro` published",
            fix="name another model or version",
        )
    return package / packed, identity(package / packed)


def _yaml(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()) or {}) if path.is_file() else {}


def _all_models(client: MlflowClient) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _row(client: MlflowClient, version: ModelVersion) -> dict[str, object]:
    run = _run(client, version.run_id)
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return {
        "name": version.name,
        "version": int(version.version),
        "aliases": tuple(version.aliases),
        "gate": version.tags.get("gate", "unknown"),
        "created": created.strftime("%Y-%m-%d %H:%M"),
        "run": version.run_id,
        "architecture": version.tags.get("architecture", ""),
        "metrics": run,
        "promoted": version.tags.get("promoted", ""),
    }


def _run(client: MlflowClient, run_id: str | None) -> dict[str, float]:
    try:
        metrics = client.get_run(run_id).data.metrics if run_id else {}
    except MlflowException:
        return {}  # a run deleted by hand takes its numbers along, the version stays
    return {
        name: value
        for name, value in metrics.items()
        if not name.startswith((EPOCH_PREFIX, "system/"))
    }
