"""Bad keypoints: a line each, status 1, nothing half written, the rest done."""

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.bad.kind import LABEL
from tests.bad_inputs import BAD, LINE, make_all
from tests.cli.test_label import spine
from vertebra_ml.cli import app

KINDS = [name for name, kind in BAD.items() if LABEL in kind.faces]


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, dict[str, str], Path]:
    """Label all of them at once, a good spine first and last; return the line of each kind."""
    place = tmp_path_factory.mktemp("label")
    bad = make_all(place / "bad", LABEL)
    spine(place / "first.json", "T9", "L5")
    spine(place / "last.json", "C3", "T9")
    paths = [place / "first.json", *bad.values(), place / "last.json"]
    words = ["label", *map(str, paths), "--out", str(place / "out")]
    result = CliRunner().invoke(app, words)
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(bad)
    return result.exit_code, result.stdout, dict(zip(bad, lines, strict=True)), place / "out"


def test_there_are_at_least_thirty_kinds() -> None:
    assert len(KINDS) >= 30


@pytest.mark.parametrize("name", KINDS)
def test_each_is_one_line_that_helps(
    batch: tuple[int, str, dict[str, str], Path], name: str
) -> None:
    line = batch[2][name]
    assert LINE.fullmatch(line), line
    assert re.search(BAD[name].words, line), line
    assert len(line) < 1500


def test_the_others_are_done(batch: tuple[int, str, dict[str, str], Path]) -> None:
    status, said, lines, out = batch
    assert status == 1
    assert f"2 of {2 + len(KINDS)} spines labelled" in said
    with (out / "labels.csv").open(newline="") as file:
        assert {row["spine"] for row in csv.DictReader(file)} == {"first", "last"}
    content = json.loads((out / "labels.json").read_text())
    assert [each["spine"] for each in content["spines"]] == ["first", "last"]
    failures = [line.encode(errors="backslashreplace").decode() for line in content["failures"]]
    assert [f"error: {line}" for line in failures] == list(lines.values())
    assert sorted(path.name for path in out.iterdir()) == ["labels.csv", "labels.json"]
