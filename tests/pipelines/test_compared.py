"""``dvc metrics diff``, ``plots diff`` and ``exp show`` on what dvc.yaml declares."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DVC = Path(sys.executable).parent / "dvc"
GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
KINDS = ("slice_spotter", "two_stage")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with our metrics and plots, committed once and then changed."""
    place = tmp_path_factory.mktemp("compared")
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    named = declared["stages"]["evaluate"]["do"]["metrics"]
    metrics = [path.replace("${key}", kind) for path in named for kind in KINDS]
    (place / "dvc.yaml").write_text(
        yaml.safe_dump({"metrics": metrics, "plots": declared["plots"], "params": ["params.yaml"]})
    )
    (place / "params.yaml").write_text("models: {batch: 8}\n")
    run(place, *GIT, "init", "-q")
    run(place, str(DVC), "init", "-q")
    run(place, str(DVC), "config", "core.analytics", "false")
    _fill(place, declared["plots"], metrics, 1.0)
    run(place, *GIT, "add", ".")
    run(place, *GIT, "commit", "-qm", "first")
    _fill(place, declared["plots"], metrics, 2.0)
    return place


def run(place: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fill(place: Path, plots: list[dict[str, Any]], metrics: list[str], value: float) -> None:
    for path in metrics:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(json.dumps({"median_mm": value}))
    for plot in plots:
        for shown in plot.values():
            for path, names in shown["y"].items():
                columns = [shown["x"], *([names] if isinstance(names, str) else names)]
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                with (place / path).open("w", newline="") as file:
                    csv.writer(file).writerows([columns, [1] + [value] * (len(columns) - 1)])


def test_metrics_are_told_apart(project: Path) -> None:
    found = json.loads(run(project, str(DVC), "metrics", "diff", "--json"))
    for kind in KINDS:
        change = found[f"reports/{kind}/quality.json"]["median_mm"]
        assert (change["old"], change["new"]) == (1.0, 2.0)


def test_plots_show_both(project: Path) -> None:
    run(project, str(DVC), "plots", "diff", "HEAD", "-o", "page")
    page = (project / "page" / "index.html").read_text()
    for title in (
        "Training",
        "Share of answers up to an error (mm)",
        "How often a score was right",
    ):
        assert title in page
    assert '"rev": "workspace"' in page
    assert '"rev": "HEAD"' in page


def test_experiments_show_metrics_and_parameters(project: Path) -> None:
    rows = list(csv.DictReader(run(project, str(DVC), "exp", "show", "--csv").splitlines()))
    assert {row["rev"] for row in rows} >= {"workspace"}
    columns = set(rows[0])
    assert any("median_mm" in column for column in columns)
    assert any("batch" in column for column in columns)
