"""Opening a tracking store: migrated once, locked where two processes could collide."""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from vertebra_ml.errors import ModelError

SQLITE = "sqlite:///"

PAGES = {
    "mlflow.experimentKind": "custom_model_development",  # pages of training, not of chat
    "mlflow.experiment.primaryMetric.name": "median_mm",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "False",
}
"""What MLflow's pages show first of an experiment of ours."""


def open_store(uri: str | None = None) -> MlflowClient:
    """Make ``uri`` the store of this process and return a client of it.

    ``None`` means MLflow's own choice: ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``.
    A new database is made and migrated here under a lock, because migrations that race destroy it.

    Raises ModelError where the store cannot be opened.
    """
    chosen = _absolute(uri or mlflow.get_tracking_uri())
    mlflow.set_tracking_uri(chosen)
    mlflow.set_registry_uri(chosen)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a line a migration otherwise
    try:
        with lock(chosen):
            client = MlflowClient(chosen, registry_uri=chosen)
            client.search_experiments(max_results=1)
    except (MlflowException, OSError) as error:
        raise ModelError(
            chosen,
            found=_first_line(error),
            expected="a tracking store that can be opened",
            fix="check tracking.uri in params.yaml, and that the folder or server is there",
        ) from error
    return client


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment ``name``, made where it is missing.

    Artifacts of a local database lie in ``mlruns`` beside it, whatever the working folder is.
    """
    with lock(client.tracking_uri):
        known = client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        folder = _database_folder(client.tracking_uri)
        place = (folder / "mlruns").resolve().as_uri() if folder else None
        return str(client.create_experiment(name, artifact_location=place, tags=PAGES))


@contextmanager
def lock(uri: str) -> Iterator[None]:
    """Hold the one lock of this store on this machine; a killed holder frees it.

    For a local database the lock file lies beside it, so that every process sees the same one.
    """
    folder = _database_folder(uri)
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"vertebra-ml-{os.getuid()}-{name}.lock"
    if folder is not None:
        path = Path(uri.removeprefix(SQLITE) + ".lock")
        folder.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _absolute(uri: str) -> str:
    """Return the address of a local database with its whole path: MLflow keeps stores by address,
    and would go on writing to the first one after a change of folder."""
    if not uri.startswith(SQLITE):
        return uri
    return SQLITE + str(Path(uri.removeprefix(SQLITE)).absolute())


def _database_folder(uri: str) -> Path | None:
    return Path(uri.removeprefix(SQLITE)).parent if uri.startswith(SQLITE) else None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
