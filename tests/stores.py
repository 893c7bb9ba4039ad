"""A fresh tracking store a test: a local SQLite file, or a database of a real PostgreSQL server.

``tests/conftest.py`` makes the fixtures known everywhere. A test that takes ``store`` runs twice.
The server is Debian's package, started on a free port of the loopback by the first test of a
session that wants it, and stopped by its own process id.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

KINDS = ("sqlite", "postgresql")
BINARIES = Path("/usr/lib/postgresql")
ROLE, PASSWORD = "group", "never to be seen"
START_S, POLL_S = 60.0, 0.05
TEMPLATE = "migrated"
# Should this process be killed, its server ends too.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "INT") if shutil.which("setpriv") else ()
SET_BY_MLFLOW = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
QUICK = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off",  # nothing here is to last
    "shared_buffers=32MB", "max_connections=300", "autovacuum=off", "jit=off",
)  # fmt: skip


@dataclass(frozen=True)
class Store:
    """An empty, migrated tracking store: its address and the root of its artifacts."""

    kind: str
    uri: str
    artifacts: Path


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL server of this test session, and how its role signs in."""

    binaries: Path
    port: int
    process: "subprocess.Popen[bytes]"
    artifacts: Path
    log: Path

    def uri(self, database: str) -> str:
        return f"postgresql+pgpass://{ROLE}@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement by ``psql`` and return what it prints."""
        words = [self.binaries / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement]
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-U", ROLE, "-d", database]
        done = subprocess.run([*words, *place], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a running server with a migrated template; skip where the package is not installed."""
    binaries = _binaries()
    place = Path(tempfile.mkdtemp(prefix="vertebra-ml-pg-"))  # a folder that others may pass
    artifacts = tmp_path_factory.mktemp("artifacts")
    passwords = place / "passwords"
    passwords.write_text(f"127.0.0.1:*:*:{ROLE}:{PASSWORD}\n")
    passwords.chmod(0o600)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSFILE", str(passwords))
        patched.delenv("PGPASSWORD", raising=False)
        server = _start(binaries, place, artifacts)
        try:
            server.sql(f"create database {TEMPLATE}")
            _migrate(server.uri(TEMPLATE), artifacts)
            # A database that somebody is connected to is no template.
            server.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                f"where datname = '{TEMPLATE}'"
            )
            yield server
        finally:
            _stop(server)
            shutil.rmtree(place)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an empty migrated local database: making one takes seconds, copying none."""
    place = tmp_path_factory.mktemp("migrated")
    _migrate(f"sqlite:///{place}/mlflow.db", None)
    return (place / "mlflow.db").read_bytes()


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return a fresh store of each kind in turn."""
    with fresh_store(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture
def postgresql_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return a fresh store on PostgreSQL, for what SQLite cannot show."""
    with fresh_store("postgresql", request, tmp_path) as made:
        yield made


@pytest.fixture
def server_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Return a fresh store for a test too long to run twice: SQLite only without PostgreSQL."""
    kind = "postgresql" if _newest() else "sqlite"
    with fresh_store(kind, request, tmp_path) as made:
        yield made


@contextmanager
def fresh_store(kind: str, request: pytest.FixtureRequest, place: Path) -> Iterator[Store]:
    """Make a store of one kind for a test; a local one lies in ``place``."""
    if kind == "sqlite":
        (place / "mlflow.db").write_bytes(request.getfixturevalue("migrated_sqlite"))
        yield Store(kind, f"sqlite:///{place}/mlflow.db", place / "mlruns")
        return
    server: Server = request.getfixturevalue("postgresql")
    name = f"test_{uuid4().hex[:12]}"
    server.sql(f"create database {name} template {TEMPLATE}")
    try:
        yield Store(kind, server.uri(name), server.artifacts)
    finally:
        _forget(server.uri(name))
        server.sql(f"drop database {name} with (force)")


def _forget(uri: str) -> None:
    """Close the connections to a store, which MLflow would keep for good."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = SqlAlchemyStore._engine_map.pop(uri, None)
    if engine is not None:
        engine.dispose()


def _newest() -> Path | None:
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _binaries() -> Path:
    found = _newest()
    if found is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return found


def _migrate(uri: str, artifacts: Path | None) -> None:
    """Make a store, and leave nothing of it behind in this process."""
    from vertebra_ml.tracking import store

    before = {name: os.environ.get(name) for name in SET_BY_MLFLOW}
    store.set_root(store.open_store(uri), artifacts or "")
    _forget(uri)
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _start(binaries: Path, place: Path, artifacts: Path) -> Server:
    """Make a cluster in ``place`` and start its server, as a user other than root."""
    place.chmod(0o755)
    cluster, secret, log = place / "cluster", place / "secret", place / "server.log"
    secret.write_text(PASSWORD)
    cluster.mkdir()
    user = _unprivileged(cluster, secret)
    subprocess.run(
        [binaries / "initdb", "-D", cluster, "-U", ROLE, "--pwfile", secret, "-E", "UTF8",
         "--locale", "C.UTF-8", "--auth", "scram-sha-256", "--no-sync"],
        check=True, capture_output=True, cwd=place, **user,
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        *ENDS_WITH_US,
        binaries / "postgres",
        "-D",
        cluster,
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
        "-k",
        "",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, *(word for option in QUICK for word in ("-c", option))],
            stdout=output, stderr=subprocess.STDOUT, cwd=place, start_new_session=True, **user,
        )  # fmt: skip
    server = Server(binaries, port, process, artifacts, log)
    _wait(server)
    return server


def _unprivileged(*paths: Path) -> dict[str, object]:
    """Return who shall run PostgreSQL, which refuses root; ``paths`` become that user's."""
    if os.getuid():
        return {}
    user = pwd.getpwnam("postgres")  # made by the package
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait(server: Server) -> None:
    ready = [server.binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(server.port)]
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.process.poll() is None:
        if subprocess.run(ready, check=False).returncode == 0:
            return
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(POLL_S)
    _stop(server)
    pytest.fail(f"PostgreSQL did not start:\n{server.log.read_text()[-3000:]}")


def _stop(server: Server) -> None:
    for kind in (signal.SIGINT, signal.SIGQUIT):  # PostgreSQL's "fast", then "immediate"
        if server.process.poll() is None:
            server.process.send_signal(kind)
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(20)
