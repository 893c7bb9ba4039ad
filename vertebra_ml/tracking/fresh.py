"""A new local database, made whole or not at all.

MLflow migrates a new database in dozens of steps that take seconds. One that a kill cuts in half
is refused for good ("out-of-date database schema"), so it grows under another name.
"""

from pathlib import Path

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def make_database(path: Path) -> None:
    """Make and migrate the SQLite database ``path`` where there is none, or an empty file.

    The caller holds the store's lock. Raises OSError or MlflowException where it cannot be written.
    """
    if path.exists() and path.stat().st_size:
        return
    part = path.with_name(f".{path.name}.part")
    for left in (part, part.with_name(f"{part.name}-journal")):  # of one that was killed here
        left.unlink(missing_ok=True)
    root = path.with_name("mlruns").as_uri()
    store = SqlAlchemyStore(f"sqlite:///{part}", root)  # type: ignore[no-untyped-call]
    store.engine.dispose()
    part.replace(path)
