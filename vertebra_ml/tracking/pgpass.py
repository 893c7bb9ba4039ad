"""PostgreSQL without a password in any setting: ``postgresql+pgpass://HOST/DATABASE``.

The driver is pg8000 (BSD), which knows neither libpq's password file nor its defaults; what of them
a group needs is here. SQLAlchemy finds this dialect by its entry point (pyproject.toml), so that
MLflow's own commands (``mlflow ui``, ``mlflow models serve``) take such an address as well.
"""

import getpass
import os
import re
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from pg8000 import InterfaceError
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.engine import URL

from vertebra_ml.errors import ModelError

OTHERS_MAY = 0o077  # rights of anybody but the owner
ENTRY = re.compile(r"((?:\\.|[^:\\])*):" * 4 + "(.*)")
PORT = 5432
ENDED = "57P0"
"""PostgreSQL's codes of sessions that it ends: shut down, crashed, terminated."""
TRANSPORTS = ("disable", "prefer", "require", "verify-full")


class PasswordFileDialect(PGDialect_pg8000):
    """pg8000 that asks ``PGPASSWORD``, then the password file, as ``psql`` does.

    Of the address: user (else ``PGUSER``, else the login name), password (better left out), host,
    port, database; ``?host=/FOLDER`` names a folder of Unix sockets; ``?sslmode=`` is ``disable``,
    ``prefer`` (default), ``require`` or ``verify-full``, with ``&sslrootcert=FILE``.
    """

    driver = "pgpass"
    supports_statement_cache = True

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        """Return what pg8000 wants. Raises ModelError for a password file that others may read."""
        _, options = super().create_connect_args(url)  # type: ignore[no-untyped-call]
        folder = options.pop("host", "localhost")
        transport = options.pop("sslmode", "prefer")
        authority = options.pop("sslrootcert", None)
        options["user"] = options.get("user") or os.environ.get("PGUSER") or getpass.getuser()
        options["port"] = int(options.get("port", PORT))
        if str(folder).startswith("/"):
            options["unix_sock"] = f"{folder}/.s.PGSQL.{options['port']}"
            options["ssl_context"] = False
        else:
            options |= {"host": folder, "ssl_context": _transport(transport, authority)}
        options["password"] = options.get("password") or _password(options, str(folder))
        return [], options

    def do_close(self, dbapi_connection: Any) -> None:
        """Close; one that the server ended first needs no farewell, and no traceback in a log."""
        with suppress(InterfaceError):
            super().do_close(dbapi_connection)  # type: ignore[no-untyped-call]

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Say whether a kept connection answers; pg8000 alone raises where its socket broke."""
        try:
            return bool(super().do_ping(dbapi_connection))
        except OSError:
            return False

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Say whether an error means that the server ended the connection, as in a restart."""
        told = e.args[0] if e.args else None
        if isinstance(told, dict) and str(told.get("C", "")).startswith(ENDED):
            return True
        return bool(super().is_disconnect(e, connection, cursor))  # type: ignore[no-untyped-call]


def _transport(mode: str, authority: str | None) -> ssl.SSLContext | bool | None:
    """Return pg8000's word for libpq's ``sslmode``."""
    if mode not in TRANSPORTS:
        raise ModelError(
            "tracking.uri",
            found=f"sslmode={mode}",
            expected=f"one of {', '.join(TRANSPORTS)}",
            fix="correct the address of the store",
        )
    if mode == "verify-full":
        return ssl.create_default_context(cafile=authority)
    return {"disable": False, "prefer": None, "require": True}[mode]


def _password(options: dict[str, Any], host: str) -> str | None:
    if "PGPASSWORD" in os.environ:
        return os.environ["PGPASSWORD"]
    place = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    if not place.is_file():
        return None
    if place.stat().st_mode & OTHERS_MAY:
        raise ModelError(
            place,
            found="a password file that others may read",
            expected="rights for its owner alone",
            fix=f"chmod 600 {place}",
        )
    asked = (
        "localhost" if host.startswith("/") else host,
        str(options["port"]), options.get("database", ""), options["user"],
    )  # fmt: skip
    return next(
        filter(None, (_match(line, asked) for line in place.read_text().splitlines())), None
    )


def _match(line: str, asked: tuple[str, ...]) -> str | None:
    """Return the password of ``host:port:database:user:password`` where the others are asked for.

    ``*`` stands for anything; a backslash keeps the colon or backslash after it.
    """
    entry = None if line.startswith("#") else ENTRY.fullmatch(line)
    if entry is None:
        return None
    *where, password = (re.sub(r"\\(.)", r"\1", field) for field in entry.groups())
    fits = all(have in ("*", want) for have, want in zip(where, asked, strict=True))
    return password if fits else None
