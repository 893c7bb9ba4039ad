"""The commands on data sets: every writable layout is offered, written and found again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.layouts import TRUTH, make_scan
from vertebra_ml.cli import app
from vertebra_ml.readers import find
from vertebra_ml.readers.writers import WRITERS

READ_AS = {"plain-dicom": "plain"}


@pytest.fixture
def small_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the small scan of the tests for each phantom: drawing one takes seconds."""

    def people(count: int, *_: Any, **__: Any) -> list[SimpleNamespace]:
        return [SimpleNamespace(volume=make_scan(), truth=TRUTH)] * count

    monkeypatch.setattr("vertebra_ml.phantom.cohort", people)


@pytest.mark.usefixtures("small_people")
@pytest.mark.parametrize("layout", WRITERS)
def test_phantoms_in_every_layout_are_found_again(tmp_path: Path, layout: str) -> None:
    done = CliRunner().invoke(
        app, ["phantom", str(tmp_path / "out"), "--count", "2", "--seed", "5", "--layout", layout]
    )
    assert done.exit_code == 0, done.output
    assert f"2 scans of layout {layout}: " in done.output
    cases = find(tmp_path / "out", READ_AS.get(layout, layout))
    assert len(cases) == 2
    for number, case in enumerate(cases):
        assert case.id.endswith(f"phantom-5-{number:04d}")
        assert case.truth()


def test_an_unknown_layout_is_wrong_usage_before_any_scan_is_made(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["phantom", str(tmp_path / "out"), "--layout", "plane"])
    assert done.exit_code == 2
    assert "'plane' is none of" in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_help_names_every_layout_and_shows_a_command() -> None:
    done = CliRunner().invoke(app, ["phantom", "--help"], env={"COLUMNS": "200"})
    words = " ".join(done.output.replace("│", " ").split())
    assert ", ".join(WRITERS) in words
    assert "vertebra-ml phantom example --count 2 --layout raw" in words
