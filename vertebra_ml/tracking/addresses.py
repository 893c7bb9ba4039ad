"""Addresses of tracking stores: what kind one is, and how it is shown without its password."""

import re
from pathlib import Path

SQLITE = "sqlite:///"
POSTGRESQL = "postgresql"
HIDDEN = "***"
SIGNED_IN = re.compile(r"(://[^:/@\s]*):.*@")  # to the last @: a password may hold anything
SECRET = re.compile(r"(password=)[^&]*", re.IGNORECASE)


def absolute(uri: str) -> str:
    """Return the address of a local database with its whole path: MLflow keeps stores by address,
    and would go on writing to the first one after a change of folder."""
    if not uri.startswith(SQLITE):
        return uri
    return SQLITE + str(Path(uri.removeprefix(SQLITE)).absolute())


def database_file(uri: str) -> Path | None:
    """Return the file of a local database; None for every other store."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def on_postgresql(uri: str) -> bool:
    """Say whether a store lies on a PostgreSQL server that this process speaks to itself."""
    return uri.startswith(POSTGRESQL)


def shown(text: str) -> str:
    """Return an address, or a message that holds one, with every password in it hidden."""
    return SECRET.sub(rf"\1{HIDDEN}", SIGNED_IN.sub(rf"\1:{HIDDEN}@", text))
