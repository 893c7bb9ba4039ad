"""The audit only grows, shows every change of it, and survives a kill at any write."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from csv import DictReader
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tracking.made_up import NAME, Registry, errors
from vertebra_ml import tracking
from vertebra_ml.errors import ModelError

ROOT = Path(__file__).parents[2]
WRITES = (
    "create_experiment", "create_run", "set_terminated", "log_text", "set_tag",
    "set_registered_model_alias", "set_model_version_tag",
)  # fmt: skip
"""Every way in which a promotion or a rollback writes."""
CHANGES = ("create_", "set_", "log_", "delete_", "update_", "restore_", "rename_", "transition_")


@pytest.fixture
def two(registry: Registry) -> Registry:
    """Register a usual and a better model."""
    registry.register(errors())
    registry.register(errors(moved_mm=-0.5))
    return registry


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


@contextmanager
def killed_after(number: int) -> Iterator[list[str]]:
    """Die, once, right after the write of that number, counted from 1; yield the writes so far."""
    done: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        real = getattr(MlflowClient, name)

        def write(*values: object, **named: object) -> object:
            result = real(*values, **named)
            done.append(name)
            if len(done) == number:
                raise Killed
            return result

        return write

    with pytest.MonkeyPatch.context() as patched:
        for name in WRITES:
            patched.setattr(MlflowClient, name, counted(name))
        yield done


def act(registry: Registry) -> None:
    """Promote, promote and roll back; a command that is killed is given again."""
    for command in (
        partial(registry.promote, "1", "take 1"),
        partial(registry.promote, "2", "take 2"),
        registry.rollback,
    ):
        try:
            command()
        except Killed:
            command()


EXPECTED = [
    ("promoted", "1", "", "no"), ("promoted", "2", "1", "no"), ("rolled back", "1", "2", "no"),
]  # fmt: skip


def check_done(registry: Registry) -> None:
    """All three commands happened, once each, and everything agrees."""
    assert registry.rows() == EXPECTED
    assert registry.aliases() == {"production": "1", "previous": "2"}
    assert registry.tags("1")["promoted_because"] == "rollback: wrong in T12"
    assert registry.tags("2")["promoted_instead_of"] == "1"
    entries, text = tracking.audit_of(registry.name, registry.uri)
    assert registry.audit_file().read_text() == text
    assert registry.tags("2")["promoted_row"] == f"2 {entries[1].chain}"
    registry.audit_run()  # the only one


def test_what_is_written_down(two):
    act(two)
    check_done(two)
    rows = list(DictReader(StringIO(two.audit_file().read_text())))
    assert [row["because"] for row in rows] == ["take 1", "take 2", "wrong in T12"]
    assert [row["verdict"] for row in rows] == ["", "better", ""]
    evidence = two.audit_file().parent / rows[1]["evidence"]
    assert "median_mm" in evidence.read_text()
    assert hashlib.sha256(evidence.read_bytes()).hexdigest() == rows[1]["evidence_sha256"]
    chain = ""
    for row in rows:  # by hand
        values = [value for column, value in row.items() if column != "chain"]
        text = json.dumps([chain, *values], ensure_ascii=False)
        chain = hashlib.sha256(text.encode()).hexdigest()
        assert row["chain"] == chain


def test_every_write_is_known(two, monkeypatch):
    """A write that WRITES does not list would never be cut off."""
    others: set[str] = set()
    for name in dir(MlflowClient):
        if name.startswith(CHANGES) and name not in WRITES:
            real = getattr(MlflowClient, name)
            monkeypatch.setattr(
                MlflowClient, name,
                lambda *a, _real=real, _name=name, **k: (others.add(_name), _real(*a, **k))[1],
            )  # fmt: skip
    with killed_after(0) as done:
        act(two)
    assert set(done) == set(WRITES)
    assert others == {"log_artifact"}  # by log_text


def test_killed_at_any_write_and_repeated(two, store):
    """Between all the steps of three commands; of the tags of a version, the last."""
    two.promote("1")  # the experiment, which the models below share
    with killed_after(0) as done:
        act(two.also("not killed"))
    steps = [
        number for number, (name, after) in enumerate(pairwise([*done, ""]), 1)
        if name != "set_model_version_tag" or after != name
    ]  # fmt: skip
    # Every other one of twenty, at a second each: rows, aliases, tags, file and end all come.
    steps = steps[1::5] if store.kind == "postgresql" else steps[::2]
    for number in steps:
        other = two.also(f"killed after {number}")
        with killed_after(number):
            act(other)
        check_done(other)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("step", ["set_tag", "set_registered_model_alias"])
def test_killed_for_good(two, step):
    """As above with a real SIGKILL: the lock is freed, the database whole."""
    two.promote("1", "take 1")
    script = (
        "import os, sys; from mlflow import MlflowClient; from tests.tracking.made_up import *;"
        "real = getattr(MlflowClient, sys.argv[2]);"
        "kill = lambda *a, **k: (real(*a, **k), os.kill(os.getpid(), 9));"
        "setattr(MlflowClient, sys.argv[2], kill);"
        "Registry(sys.argv[1]).promote('2', 'take 2')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, two.uri, step], cwd=ROOT, check=False,
        capture_output=True, env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    two.promote("2", "take 2")
    two.rollback()
    check_done(two)


def test_a_rollback_that_was_cut_off_is_completed_and_not_undone(two):
    two.promote("1", "take 1")
    two.promote("2", "take 2")
    with killed_after(1), pytest.raises(Killed):  # the row is written, nothing else
        two.rollback()
    assert two.aliases()["production"] == "2"
    assert two.rollback("in other words") == "1"
    check_done(two)


def test_the_next_command_completes_another_one(two):
    two.also("other").promote("1")
    with killed_after(3) as done, pytest.raises(Killed):
        two.promote("1", "take 1")
    assert (done[-1], two.aliases()) == ("set_tag", {})  # the row is written, nothing else
    two.promote("2", "take 2")
    assert two.rows() == EXPECTED[:2]
    assert two.tags("1")["promoted_because"] == "take 1"


def test_a_half_written_file_is_written_again(two):
    two.promote("1", "take 1")
    whole = two.audit_file().read_bytes()
    for left in (whole[:-20], b""):
        two.audit_file().write_bytes(left)
        two.promote("1", "again")
        assert two.audit_file().read_bytes() == whole
    two.audit_file().unlink()
    two.promote("1", "again")
    assert two.audit_file().read_bytes() == whole


@pytest.mark.parametrize("change", [("take 1", "take it"), ("\n", "\r\n"), ("UTC", "UT\xff")])
def test_a_changed_file_stops_everything(two, change):
    two.promote("1", "take 1")
    text = two.audit_file().read_text()
    two.audit_file().write_bytes(text.replace(*change).encode("latin-1"))
    state = two.aliases()
    for command in (lambda: two.promote("2"), two.rollback, two.rows):
        with pytest.raises(ModelError, match=f"audit.csv of {NAME}: found rows that are not"):
            command()
    assert two.aliases() == state
    two.audit_file().write_text(text)
    two.promote("2")


@pytest.mark.parametrize("row", ["1", "2"])
def test_a_changed_or_lost_row_shows(two, row):
    two.promote("1", "take 1")
    two.promote("2", "take 2")
    key = f"entry.{int(row):06d}"
    run, client = two.audit_run(), two.client
    text = client.get_run(run).data.tags[key]
    for other in (text.replace("take", "took"), "[]", "{", None):
        if other is None:
            client.delete_tag(run, key)
        else:
            client.set_tag(run, key, other)
        with pytest.raises(ModelError, match=f"audit of {NAME}: found row {row} changed or lost"):
            two.rollback()
    client.set_tag(run, key, text)
    assert two.rollback() == "1"


def test_a_deleted_audit_comes_back(two):
    two.promote("1", "take 1")
    two.client.delete_run(two.audit_run())
    two.promote("2", "take 2")
    assert two.rows() == EXPECTED[:2]


def test_what_other_hands_moved_is_found(two):
    client = two.client
    client.set_registered_model_alias(NAME, "production", "1")
    client.set_model_version_tag(NAME, "1", "promoted_because", "long ago")
    two.promote("2", "take 2")
    client.set_registered_model_alias(NAME, "production", "1")
    two.promote("2", "take it back")
    assert two.rows() == [
        ("found", "1", "", "no"), ("promoted", "2", "1", "no"),
        ("found", "1", "2", "no"), ("promoted", "2", "1", "no"),
    ]  # fmt: skip
    entries, _ = tracking.audit_of(NAME, two.uri)
    assert entries[0].because == "in production before this audit: long ago"
    assert entries[2].because == "moved by other means than `vertebra-ml`"
