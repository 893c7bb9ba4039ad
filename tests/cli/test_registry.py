"""``promote``, ``rollback``, ``audit`` and ``models`` as they are typed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.stores import Store
from tests.tracking.made_up import NAME, Registry, errors
from vertebra_ml.cli import app

ROOT = Path(__file__).parents[2]
Typed = Callable[..., Result]


@pytest.fixture
def typed(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Return a way to type a command in a project's folder."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    mlflow.set_tracking_uri(store.uri)  # which an earlier test has set

    def run(*words: str) -> Result:
        result = CliRunner().invoke(app, list(words))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.stderr
        return result

    return run


def refused(result: Result) -> str:
    """Return the one line of a refusal."""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert (result.exit_code, len(lines)) == (1, 1), result.stderr
    return lines[0]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_life(typed: Typed, store: Store) -> None:
    registry = Registry(store.uri)
    for made in (errors(), errors(gross=8), errors(moved_mm=-0.6)):
        registry.register(made)
    first = typed("promote", NAME, "--version", "1", "--only-first", "--reason", "first")
    assert first.stdout == f"{NAME}: version 1 is in production (before: none)\n"
    again = typed("promote", NAME, "--only-first", "--reason", "first")
    assert again.stdout == f"{NAME}: version 1 is in production and stays\n"

    tried = typed("promote", NAME, "--version", "2", "--dry-run")
    assert tried.exit_code == 0
    assert "40 test cases of 40 patients" in tried.stdout
    assert "gross rate" in tried.stdout
    assert tried.stdout.endswith(
        "version 2 would be refused without --force; nothing was changed\n"
    )
    assert "each test case counts as a patient of its own" in tried.stderr

    worse = typed("promote", NAME, "--version", "2", "--reason", "newer")
    assert "gross rate" in worse.stdout  # the table
    assert refused(worse).startswith(f"error: {NAME} version 2: found gross rate 10.0 %")
    better = typed("promote", NAME, "--reason", "smaller errors")
    assert better.stdout.endswith(f"{NAME}: version 3 is in production (before: 1)\n")

    back = typed("rollback", NAME, "--reason", "wrong in T12")
    assert back.stdout == f"{NAME}: version 1 is in production again (before: 3)\n"
    more = typed("rollback", NAME, "--reason", "wrong in T12")
    assert "was brought back for this reason already, and stays" in more.stdout
    forced = typed("promote", NAME, "--version", "2", "--force", "--reason", "1 and 3 crash")
    assert forced.stdout.endswith(f"{NAME}: version 2 is in production (before: 1)\n")

    heads, *rows, end = typed("audit", NAME).stdout.splitlines()
    assert heads.startswith("number  moment")
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "first", "smaller errors", "wrong in T12", "1 and 3 crash",
    ]  # fmt: skip
    assert end.startswith("4 rows, none changed; chain ")
    assert typed("audit", NAME, "--csv").stdout == registry.audit_file().read_text()
    standing = typed("models").stdout.splitlines()
    assert f"{NAME} version 2  production" in standing[1]
    assert "promoted 20" in standing[1]
    assert f"{NAME} version 1  previous" in standing[2]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_refusals(typed: Typed, store: Store) -> None:
    assert refused(typed("promote", NAME, "--reason", "r")).startswith(f"error: {NAME}: found vers")
    assert typed("audit", NAME).stdout == f"{NAME}: nothing was promoted here yet\n"
    registry = Registry(store.uri)
    registry.register(errors())
    assert "found an empty reason" in refused(typed("promote", NAME))
    typed("promote", NAME, "--reason", "r")
    assert typed("promote", NAME, "--dry-run").stdout.startswith(f"{NAME}: version 1 has none in")
    registry.register(errors(41))
    assert "--rescore" in refused(typed("promote", NAME, "--reason", "r"))
    line = refused(typed("promote", NAME, "--reason", "r", "--rescore"))
    assert line.startswith(f"error: --rescore {NAME}: found a model or a folder of no pipeline")
    Path("params.yaml").unlink()
    line = refused(typed("promote", NAME, "--reason", "r"))
    assert "expected the section promotion of params.yaml" in line
    run = registry.audit_run()
    registry.client.set_tag(run, "entry.000001", "{}")
    assert "row 1 changed or lost" in refused(typed("audit", NAME))
