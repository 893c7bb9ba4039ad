"""Stores for a group: one lock for all machines, one root of artifacts, no password seen."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from tests.stores import PASSWORD, ROLE, Server, Store
from vertebra_ml.cli import app
from vertebra_ml.config import load
from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.addresses import shown
from vertebra_ml.tracking.locks import lock
from vertebra_ml.tracking.pgpass import PasswordFileDialect
from vertebra_ml.tracking.ready import make_ready
from vertebra_ml.tracking.store import experiment_id, open_store

ROOT = Path(__file__).parent.parent
# MLflow takes seconds to import, and a lock needs nothing of it.
HOLDS = """
import sys, time, types
bare = sys.modules["vertebra_ml.tracking"] = types.ModuleType("vertebra_ml.tracking")
bare.__path__ = ["vertebra_ml/tracking"]
from vertebra_ml.tracking.locks import lock
with lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""
OPENS = "import sys; from vertebra_ml.tracking.store import open_store; open_store(sys.argv[1])"


@contextmanager
def holder(uri: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that holds the lock of a store until it is killed."""
    words = [sys.executable, "-c", HOLDS, uri]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_killed_holder_frees_the_lock(store: Store) -> None:
    with holder(store.uri) as process, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_enter, store.uri)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        process.send_signal(signal.SIGKILL)
        assert waiting.result(60) == "entered"


def _enter(uri: str) -> str:
    with lock(uri):
        return "entered"


def test_a_lock_is_the_same_for_every_way_to_the_database(
    postgresql_store: Store, postgresql: Server
) -> None:
    other = postgresql_store.uri.replace("127.0.0.1", "localhost").replace(
        f"{ROLE}@", f"{ROLE}:{PASSWORD.replace(' ', '%20')}@"
    )
    with holder(postgresql_store.uri), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_enter, other)
        with pytest.raises(TimeoutError):
            waiting.result(0.5)
        _end_sessions(postgresql, postgresql_store)
        assert waiting.result(60) == "entered"


def test_a_lock_lost_in_the_middle_is_told(postgresql_store: Store, postgresql: Server) -> None:
    with (
        pytest.raises(ModelError, match=r"connection which held the lock was lost"),
        lock(postgresql_store.uri),
    ):
        _end_sessions(postgresql, postgresql_store)


def test_a_store_is_used_on_after_its_server_restarted(
    postgresql_store: Store, postgresql: Server
) -> None:
    """Kept connections are ended as a restart ends them; MLflow alone would fail once each."""
    client = open_store(postgresql_store.uri)
    for _ in range(2):
        postgresql.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            f"where datname = '{_database(postgresql_store)}'"
        )
        assert client.get_experiment("0").name == "Default"


def _end_sessions(server: Server, store: Store) -> None:
    """End those that hold a lock, as an administrator or a broken connection would."""
    server.sql(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted "
        f"and database = (select oid from pg_database where datname = '{_database(store)}')"
    )


def _database(store: Store) -> str:
    return str(make_url(store.uri).database)


def test_two_first_uses_at_once(postgresql: Server) -> None:
    """Migrations that race destroy a database: the second waits, and finds it done."""
    postgresql.sql("create database raced")
    words = [sys.executable, "-c", OPENS, postgresql.uri("raced")]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
        assert PASSWORD not in said
    assert postgresql.sql("select count(*) from alembic_version", "raced") == "1"
    assert postgresql.sql("select name from experiments", "raced") == "Default"
    postgresql.sql("drop database raced")


def test_artifacts_lie_below_the_root_that_the_store_remembers(
    store: Store, tmp_path: Path
) -> None:
    first = make_ready(store.uri, experiment="one of many", artifacts="")
    assert make_ready(store.uri, experiment="one of many", artifacts="") == first
    assert first.artifacts.startswith(store.artifacts.as_uri())
    client = open_store(store.uri)
    run = client.create_run(experiment_id(client, "one of many")).info
    (tmp_path / "a.txt").write_text("a")
    client.log_artifact(run.run_id, str(tmp_path / "a.txt"))
    assert len(list(store.artifacts.rglob(f"{run.run_id}/artifacts/a.txt"))) == 1
    if store.kind == "postgresql":
        with pytest.raises(ModelError, match=r"found artifacts below .* expected the root of"):
            make_ready(store.uri, experiment="other", artifacts=tmp_path / "elsewhere")


def test_a_server_store_without_a_root_is_refused(
    postgresql_store: Store, postgresql: Server
) -> None:
    postgresql.sql("delete from experiment_tags", _database(postgresql_store))
    with pytest.raises(ModelError, match=r"set tracking.artifacts in params.yaml"):
        make_ready(postgresql_store.uri, experiment="tests")
    with pytest.raises(ModelError, match=r"run `vertebra-ml store` once"):
        experiment_id(open_store(postgresql_store.uri), "tests")


def test_a_folder_that_cannot_be_written_is_told(store: Store, tmp_path: Path) -> None:
    # An experiment of its own: the root is one for all tests of the server.
    made = make_ready(store.uri, experiment="shut", artifacts="").artifacts
    folder = Path(made.removeprefix("file://"))
    folder.rmdir()
    folder.write_text("a file where a folder should be")
    with pytest.raises(ModelError, match="every member of the group can write"):
        make_ready(store.uri, experiment="shut", artifacts="")
    folder.unlink()


def test_the_command_makes_a_store_ready(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    text = (ROOT / "params.yaml").read_text()
    params = tmp_path / "params.yaml"
    params.write_text(text.replace("uri: sqlite:///mlflow.db", f"uri: {store.uri}"))
    assert load(params).tracking.uri == store.uri
    result = CliRunner().invoke(app, ["store", "--params", str(params)])
    assert result.exit_code == 0, result.output
    assert f"store: {store.uri}" in result.output
    assert f"artifacts: {store.artifacts.as_uri()}" in result.output
    assert ("the PostgreSQL server" in result.output) == (store.kind == "postgresql")


WRONG = {
    "a wrong password": ("{role}:open sesame@127.0.0.1:{port}/migrated", "password authentication"),
    "no such database": ("{role}@127.0.0.1:{port}/nothing", 'database "nothing" does not exist'),
    "nobody there": ("{role}:open sesame@127.0.0.1:1/migrated", "create a connection"),
    "an @ in it": ("{role}:open@sesame@127.0.0.1:1/migrated", ""),
    "as a parameter": ("{role}@127.0.0.1:1/migrated?password=open sesame", "create a connection"),
}


@pytest.mark.parametrize("case", WRONG)
def test_no_password_in_an_error(case: str, postgresql: Server) -> None:
    address, said = WRONG[case]
    uri = f"postgresql+pgpass://{address.format(role=ROLE, port=postgresql.port)}"
    with pytest.raises(ModelError, match="lets you in") as caught:
        open_store(uri)
    told = str(caught.value)
    assert said in told
    for text in (told, repr(caught.value), repr(caught.value.__cause__)):
        assert "sesame" not in text
        assert PASSWORD not in text
    assert "\n" not in told


def test_the_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModelError, match=r"found No module named 'psycopg.*postgresql\+pgpass"):
        open_store("postgresql://group@127.0.0.1:1/migrated")


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("postgresql+pg8000://a:b%40c@h:1/d?x=1") == "postgresql+pg8000://a:***@h:1/d?x=1"
    assert shown("http://a:b@h:1") == "http://a:***@h:1"
    assert shown("postgresql+pgpass://h/d?password=b&x=1") == (
        "postgresql+pgpass://h/d?password=***&x=1"
    )
    for plain in ("sqlite:////a/b@c.db", "http://h:5000/a", "postgresql+pgpass://a@h:5432/d"):
        assert shown(plain) == plain


@pytest.fixture
def passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.delenv("PGUSER", raising=False)
    place = tmp_path / "passwords"
    place.write_text(
        "# comment:*:*:*:no\n"
        "db:5432:other:ann:no\n"
        "db:5433:*:ann:by port\n"
        r"db:5432:mlflow:a\:n\\n:with:a\:colon" "\n"
        "*:5432:mlflow:ann:by name\n"
        "localhost:*:*:*:by socket\n"
    )  # fmt: skip
    place.chmod(stat.S_IRUSR | stat.S_IWUSR)
    monkeypatch.setenv("PGPASSFILE", str(place))
    return place


def connecting(address: str) -> dict[str, object]:
    url = make_url(f"postgresql+pgpass://{address}")
    return PasswordFileDialect().create_connect_args(url)[1]


def test_the_password_file_is_read_as_psql_reads_it(
    passwords: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connecting("ann@db/mlflow")["password"] == "by name"
    assert connecting("ann@db:5433/mlflow")["password"] == "by port"
    assert connecting("a%3An%5Cn@db/mlflow")["password"] == "with:a:colon"
    assert connecting("bob@db/mlflow")["password"] is None
    assert connecting("ann:given@db/mlflow")["password"] == "given"
    socket = connecting("ann@/mlflow?host=/run/postgresql")
    assert socket["unix_sock"] == "/run/postgresql/.s.PGSQL.5432"
    assert socket["password"] == "by name"
    monkeypatch.setenv("PGUSER", "ann")
    assert connecting("db/mlflow")["user"] == "ann"
    monkeypatch.setenv("PGPASSWORD", "from outside")
    assert connecting("db/mlflow")["password"] == "from outside"


def test_a_password_file_that_others_may_read_is_refused(passwords: Path) -> None:
    passwords.chmod(0o640)
    with pytest.raises(ModelError, match="chmod 600"):
        connecting("ann@db/mlflow")


def test_what_is_sent_can_be_required_to_be_encrypted() -> None:
    assert connecting("ann:x@db/mlflow")["ssl_context"] is None  # where the server can
    assert connecting("ann:x@db/mlflow?sslmode=require")["ssl_context"] is True
    checked = connecting("ann:x@db/mlflow?sslmode=verify-full")["ssl_context"]
    assert getattr(checked, "check_hostname", False)
    with pytest.raises(ModelError, match="found sslmode=never"):
        connecting("ann:x@db/mlflow?sslmode=never")


def test_a_server_that_is_not_there_is_told_at_once(postgresql: Server) -> None:
    """MLflow alone would try ten times, 100 s in all."""
    assert os.environ["PGPASSFILE"]
    with pytest.raises(ModelError, match="lets you in"), lock("postgresql+pgpass://127.0.0.1:1/d"):
        pass
