"""Opening a tracking store: migrated once, locked where two processes could collide."""

import logging
from pathlib import Path
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.addresses import absolute, database_file, on_postgresql, shown
from vertebra_ml.tracking.fresh import make_database
from vertebra_ml.tracking.locks import lock
from vertebra_ml.tracking.views import views

__all__ = ["experiment_id", "lock", "open_store", "set_root"]

PAGES = {
    "mlflow.experimentKind": "custom_model_development",  # pages of training, not of chat
    "mlflow.experiment.primaryMetric.name": "median_mm",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "False",
}
"""What MLflow's pages show first of an experiment of ours."""
DEFAULT = "0"
"""MLflow's own experiment, in every store: what belongs to the whole store stands in its tags."""
ROOT = "vertebra_ml.artifacts"


def open_store(uri: str | None = None) -> MlflowClient:
    """Make ``uri`` the store of this process and return a client of it.

    ``None`` means MLflow's own choice: ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db``.
    A new database is made and migrated here under a lock, because migrations that race destroy it.

    Raises ModelError where the store cannot be opened.
    """
    chosen = absolute(uri or mlflow.get_tracking_uri())
    mlflow.set_tracking_uri(chosen)
    mlflow.set_registry_uri(chosen)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a line a migration otherwise
    try:
        with lock(chosen):
            database = database_file(chosen)
            if database is not None:
                make_database(database)
            client = MlflowClient(chosen, registry_uri=chosen)
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise ModelError(
            shown(chosen),
            found=_first_line(error),
            expected="a tracking store that can be opened",
            fix="check tracking.uri in params.yaml, and that the folder or server is there",
        ) from error
    return client


def set_root(client: MlflowClient, artifacts: str | Path = "") -> None:
    """Let a store remember the root of its artifacts; one that it remembers already stays.

    ``artifacts`` is a folder that every machine of the group sees under the same name, or an
    address that MLflow knows (``s3://...``). A local database needs none: its artifacts lie in
    ``mlruns`` beside it.

    Raises ModelError where a store on a server has none, or the store remembers another one.
    """
    root = _as_uri(artifacts)
    with lock(client.tracking_uri):
        held = _root(client)
        if held is None and root:
            client.set_experiment_tag(DEFAULT, ROOT, root)
            held = root
    if root and root != held:
        raise ModelError(
            shown(client.tracking_uri),
            found=f"artifacts below {held}",
            expected=f"the root of tracking.artifacts, {root}",
            fix="set tracking.artifacts to what the store has; moving it: docs/group.md",
        )
    if held is None and on_postgresql(client.tracking_uri):
        raise _rootless(client)


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment ``name``, made where it is missing.

    Its artifacts lie below the root that the store remembers (``set_root``), those of a local
    database in ``mlruns`` beside it, whatever the working folder is.
    """
    tags = PAGES | views()
    with lock(client.tracking_uri):
        known = client.get_experiment_by_name(name)
        if known is None:
            place = _place(client, name)
            return str(client.create_experiment(name, artifact_location=place, tags=tags))
        for key in tags.keys() - known.tags.keys():  # made by an earlier version of ours
            client.set_experiment_tag(known.experiment_id, key, tags[key])
        return str(known.experiment_id)


def _place(client: MlflowClient, name: str) -> str | None:
    """Return where a new experiment keeps its artifacts; None where a tracking server decides."""
    root = _root(client)
    if root is not None:
        return f"{root}/{quote(name, safe='')}"
    database = database_file(client.tracking_uri)
    if database is not None:
        return (database.parent / "mlruns").resolve().as_uri()
    if on_postgresql(client.tracking_uri):
        raise _rootless(client)
    return None


def _root(client: MlflowClient) -> str | None:
    try:
        held: str | None = client.get_experiment(DEFAULT).tags.get(ROOT)
    except MlflowException:  # deleted for good, by hand
        return None
    return held


def _rootless(client: MlflowClient) -> ModelError:
    return ModelError(
        shown(client.tracking_uri),
        found="a store that knows no place for artifacts",
        expected="a root that every machine of the group sees",
        fix="set tracking.artifacts in params.yaml, then run `vertebra-ml store` once",
    )


def _as_uri(place: str | Path) -> str:
    """Return a folder as a ``file:`` address; one that is an address already as it is."""
    text = str(place)
    if not text or "://" in text or text.startswith("file:"):
        return text.rstrip("/")
    return Path(text).absolute().as_uri()


def _first_line(error: Exception) -> str:
    return shown(str(error).strip().split("\n")[0])[:200]
