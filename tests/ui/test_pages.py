"""MLflow's own pages in a real browser: our columns, two runs compared, charts drawn."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.browser import Page, program, visit
from tests.ui.runs import EXPERIMENT, two_runs
from vertebra_ml.tracking.store import open_store

START_S, POLL_S = 300.0, 0.3
SEEN = [
    "attributes.`User`", "attributes.`Models`", "metrics.`median_mm`", "metrics.`gross_rate`",
    "metrics.`presence_right`", "params.`architecture`", "params.`loss`",
    "params.`learning_rate`", "params.`batch`", "params.`target_sigma_mm`", "tags.`gate`",
    "tags.`git_commit`", "tags.`git_state`", "tags.`dvc_lock_md5`", "tags.`data_hash`",
]  # fmt: skip
WIDE, HIGH = 4000, 1400  # pixels: the table draws only the columns that fit
COLOURS_MIN = 8

Look = Callable[[Callable[[Page], Any]], Any]


@dataclass(frozen=True)
class Pages:
    """A running server of MLflow's pages, and the two runs that it shows."""

    url: str
    experiment: str
    runs: dict[str, str]


@pytest.fixture(scope="module")
def pages(migrated_sqlite: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    place = tmp_path_factory.mktemp("pages")
    (place / "mlflow.db").write_bytes(migrated_sqlite)
    uri = f"sqlite:///{place}/mlflow.db"
    runs = two_runs(uri, place / "trained")
    known = open_store(uri).get_experiment_by_name(EXPERIMENT)
    assert known is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1",
    ]  # fmt: skip
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # uvicorn
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # five more processes, unused
    }
    log = place / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            words, cwd=place, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(f"http://127.0.0.1:{port}/health", server, log)
            yield Pages(f"http://127.0.0.1:{port}", str(known.experiment_id), runs)
        finally:
            for kind in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, kind)
                with suppress(subprocess.TimeoutExpired):
                    server.wait(20)


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(int(START_S / POLL_S)):
        with (
            suppress(urllib.error.URLError, TimeoutError, ConnectionError),
            urllib.request.urlopen(url, timeout=POLL_S),
        ):
            return
        with suppress(subprocess.TimeoutExpired):
            server.wait(POLL_S)
            break
    pytest.fail(f"MLflow's pages did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def looked(tmp_path: Path) -> Look:
    """Return what calls a function with a page of a fresh browser and returns what that returns."""
    found = program()
    if found is None:
        pytest.skip("needs a browser: apt-get install chromium")

    def wide(look: Callable[[Page], Any]) -> Any:
        def sized(page: Page) -> Any:
            page.size(WIDE, HIGH)
            return look(page)

        return visit(found, tmp_path, sized)

    return wide


@pytest.mark.server
def test_the_saved_view_says_which_run_is_better_and_why(
    looked: Look, pages: Pages, tmp_path: Path
) -> None:
    view = f"{pages.url}/#/experiments/{pages.experiment}/runs?viewStateShareKey=slice_spotter"

    def look(page: Page) -> tuple[list[str], list[str]]:
        page.go(view)
        page.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length == 2")
        page.wait("document.querySelectorAll('[col-id=\"tags.`data_hash`\"]').length > 1")
        shown = page.ask(
            "[...document.querySelectorAll('.ag-header-cell')].map(e => e.getAttribute('col-id'))"
        )
        rows = page.ask(
            "[...document.querySelectorAll('.ag-center-cols-container .ag-row')]"
            ".sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))"
            ".map(e => e.innerText)"
        )
        page.picture(tmp_path / "table.png")
        return shown, rows

    shown, rows = looked(look)
    assert [column for column in SEEN if column not in shown] == []
    better, worse = (row.split() for row in rows)  # sorted by the median
    assert {"0.53", "0.98", "compact", "bce", "0.001", "passed"} <= set(better)
    assert {"4.75", "0.11", "kanavati", "focal", "0.01", "failed"} <= set(worse)
    _drawn(tmp_path / "table.png")


@pytest.mark.server
def test_the_saved_view_draws_charts(looked: Look, pages: Pages, tmp_path: Path) -> None:
    def look(page: Page) -> None:
        page.go(
            f"{pages.url}/#/experiments/{pages.experiment}/runs"
            "?viewStateShareKey=slice_spotter&compareRunsMode=CHART"
        )
        page.wait_for("Which is better, and why", "median_mm", "target_sigma_mm", "epoch/error")
        page.wait("document.querySelectorAll('canvas, .js-plotly-plot svg path').length > 4")
        page.picture(tmp_path / "charts.png")

    looked(look)
    _drawn(tmp_path / "charts.png")


@pytest.mark.server
def test_two_runs_are_compared(looked: Look, pages: Pages, tmp_path: Path) -> None:
    def look(page: Page) -> list[str]:
        page.go(
            f"{pages.url}/#/compare-runs?runs={json.dumps(list(pages.runs.values()))}"
            f"&experiments={json.dumps([pages.experiment])}".replace('"', "%22").replace(" ", "")
        )
        page.wait_for("Comparing 2 Runs", "Parallel Coordinates Plot", "learning_rate", "median_mm")
        # What differs is offered first; what is equal would explain nothing.
        page.wait(
            "document.querySelectorAll('.js-plotly-plot .parcoords, .js-plotly-plot canvas').length"
        )
        page.picture(tmp_path / "compared.png")
        axes: list[str] = page.ask(
            "[...document.querySelectorAll('.js-plotly-plot .axis-title')].map(e => e.textContent)"
        )
        return axes

    axes = looked(look)
    assert "architecture" in axes
    assert "seed" not in axes
    _drawn(tmp_path / "compared.png")


@pytest.mark.server
def test_report_and_pictures_are_with_the_run(looked: Look, pages: Pages) -> None:
    def look(page: Page) -> None:
        page.go(
            f"{pages.url}/#/experiments/{pages.experiment}/runs/{pages.runs['worse']}"
            "/artifacts/reports/report.html"
        )
        page.wait_for("report.html", "worst", "metrics.json")
        page.wait("[...document.querySelectorAll('iframe')].length")

    looked(look)


def test_a_browser_that_is_silent_is_started_anew_and_then_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.ui.browser.CALL_S", 0.5)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\necho nothing to say >&2\nexec sleep 60\n")
    silent.chmod(0o755)
    with pytest.raises(AssertionError, match=r"3 browsers.*no answer in 0 s: nothing to say"):
        visit(str(silent), tmp_path, Page.text)


def _drawn(path: Path) -> None:
    """Assert that a picture of a page is not blank: it has many colours."""
    with Image.open(path) as picture:
        colours = picture.convert("RGB").resize((WIDE // 4, HIGH // 4)).getcolors(1 << 24)
    assert colours is not None
    assert len(colours) >= COLOURS_MIN
