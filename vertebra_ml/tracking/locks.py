"""The one lock of a tracking store: between processes, and on PostgreSQL between machines."""

import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.addresses import database_file, on_postgresql, shown

KEY = int.from_bytes(hashlib.sha256(b"vertebra-ml").digest()[:8], signed=True)
"""Of PostgreSQL's advisory lock: these locks belong to a database, so one number does for all."""


@contextmanager
def lock(uri: str) -> Iterator[None]:
    """Hold the one lock of this store; a killed holder frees it.

    On PostgreSQL the server keeps it, for every machine alike. Of a local database it is a file
    beside it, so that every process sees the same one. In front of any other store (an ``http``
    address) only the processes of one user on this machine are kept apart: there the same work
    must not be done from two machines at once, see docs/group.md.

    Raises ModelError where the server cannot be asked, or lost the lock while it was held.
    """
    with _on_server(uri) if on_postgresql(uri) else _in_file(uri):
        yield


@contextmanager
def _in_file(uri: str) -> Iterator[None]:
    database = database_file(uri)
    name = hashlib.sha256(uri.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"vertebra-ml-{os.getuid()}-{name}.lock"
    if database is not None:
        path = database.with_name(f"{database.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _on_server(uri: str) -> Iterator[None]:
    """Hold an advisory lock by a connection of its own, which ends when this process does."""
    connection = _connect(uri)
    try:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": KEY})
        yield
        if not _freed(connection):
            raise ModelError(
                shown(uri),
                found="that the connection which held the lock was lost",
                expected="a server that runs until the work is done",
                fix="do the same again: what is there already is not doubled",
            )
    finally:
        connection.invalidate()  # the session ends at the server, and with it the lock
        connection.close()


def _connect(uri: str) -> Connection:
    try:
        engine = create_engine(uri, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        return engine.connect()
    except (SQLAlchemyError, ImportError, OSError) as error:
        raise ModelError(
            shown(uri),
            found=_told(error),
            expected="a PostgreSQL database that lets you in",
            fix="check tracking.uri (postgresql+pgpass://HOST/DATABASE), the server, and your "
            "line in ~/.pgpass, see docs/group.md",
        ) from None  # the cause may show the password


def _freed(connection: Connection) -> bool:
    try:
        return bool(connection.scalar(text("select pg_advisory_unlock(:key)"), {"key": KEY}))
    except (SQLAlchemyError, OSError):  # pg8000 passes on what its socket raises while it reads
        return False


def _told(error: Exception) -> str:
    """Return the server's own sentence, where there is one, in one line."""
    cause = getattr(error, "orig", None) or error
    first = cause.args[0] if cause.args else ""
    said = first.get("M", "") if isinstance(first, dict) else str(cause)
    line = " ".join(str(said or type(error).__name__).split())[:200]
    # Where a password holds an @, its end is taken for the name of the host.
    return re.sub(r"[^\s/]*@", "", shown(line))
