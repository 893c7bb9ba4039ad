"""MLflow's own pages in a real browser: our columns, two runs compared, charts drawn."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.ui.browser import Page, browser, program
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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    found = program()
    if found is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with browser(found, tmp_path_factory.mktemp("browser")) as opened:
        opened.size(WIDE, HIGH)
        yield opened


@pytest.mark.server
def test_the_saved_view_says_which_run_is_better_and_why(
    page: Page, pages: Pages, tmp_path: Path
) -> None:
    page.go(f"{pages.url}/#/experiments/{pages.experiment}/runs?viewStateShareKey=slice_spotter")
    page.wait("document.querySelectorAll('.ag-center-cols-container .ag-row').length == 2")
    page.wait("document.querySelectorAll('[col-id=\"tags.`data_hash`\"]').length > 1")
    shown = page.ask(
        "[...document.querySelectorAll('.ag-header-cell')].map(e => e.getAttribute('col-id'))"
    )
    assert [column for column in SEEN if column not in shown] == []
    rows = page.ask(
        "[...document.querySelectorAll('.ag-center-cols-container .ag-row')]"
        ".sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))"
        ".map(e => e.innerText)"
    )
    better, worse = (row.split() for row in rows)  # sorted by the median
    assert {"0.53", "0.98", "compact", "bce", "0.001", "passed"} <= set(better)
    assert {"4.75", "0.11", "kanavati", "focal", "0.01", "failed"} <= set(worse)
    _drawn(page, tmp_path / "table.png")


@pytest.mark.server
def test_the_saved_view_draws_charts(page: Page, pages: Pages, tmp_path: Path) -> None:
    page.go(
        f"{pages.url}/#/experiments/{pages.experiment}/runs"
        "?viewStateShareKey=slice_spotter&compareRunsMode=CHART"
    )
    page.wait_for("Which is better, and why", "median_mm", "target_sigma_mm", "epoch/error")
    page.wait("document.querySelectorAll('canvas, .js-plotly-plot svg path').length > 4")
    _drawn(page, tmp_path / "charts.png")


@pytest.mark.server
def test_two_runs_are_compared(page: Page, pages: Pages, tmp_path: Path) -> None:
    page.go(
        f"{pages.url}/#/compare-runs?runs={json.dumps(list(pages.runs.values()))}"
        f"&experiments={json.dumps([pages.experiment])}".replace('"', "%22").replace(" ", "")
    )
    page.wait_for("Comparing 2 Runs", "Parallel Coordinates Plot", "learning_rate", "median_mm")
    # What differs is offered first; what is equal would explain nothing.
    page.wait(
        "document.querySelectorAll('.js-plotly-plot .parcoords, .js-plotly-plot canvas').length"
    )
    axes = page.ask(
        "[...document.querySelectorAll('.js-plotly-plot .axis-title')].map(e => e.textContent)"
    )
    assert "architecture" in axes
    assert "seed" not in axes
    _drawn(page, tmp_path / "compared.png")


@pytest.mark.server
def test_report_and_pictures_are_with_the_run(page: Page, pages: Pages) -> None:
    page.go(
        f"{pages.url}/#/experiments/{pages.experiment}/runs/{pages.runs['worse']}"
        "/artifacts/reports/report.html"
    )
    page.wait_for("report.html", "worst", "metrics.json")
    page.wait("[...document.querySelectorAll('iframe')].length")


def _drawn(page: Page, path: Path) -> None:
    """Assert that the page is not blank: a picture of it has many colours."""
    page.picture(path)
    with Image.open(path) as picture:
        colours = picture.convert("RGB").resize((WIDE // 4, HIGH // 4)).getcolors(1 << 24)
    assert colours is not None
    assert len(colours) >= COLOURS_MIN
