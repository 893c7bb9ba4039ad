"""A real server of a real network (untrained), published and promoted like any other."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vertebra_ml import tracking
from vertebra_ml.landmarks import ModelIdentity

ROOT = Path(__file__).parents[2]
NAME = "vertebra-slice-spotter"
START_S, POLL_S = 300.0, 0.2


@dataclass(frozen=True)
class Served:
    """A running server, the folder that it may read, its log, its process, and its model."""

    url: str
    root: Path
    log: Path
    pid: int
    folder: Path
    identity: ModelIdentity


@pytest.fixture(scope="session")
def served(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve the untrained slice spotter."""
    with serving(untrained, NAME, tmp_path_factory.mktemp("served")) as server:
        yield server


@contextmanager
def serving(model: Path, name: str, place: Path) -> Iterator[Served]:
    """Publish, promote and serve a model folder on a free port of the loopback."""
    uri = f"sqlite:///{place}/mlflow.db"
    reports = place / "reports"
    reports.mkdir()
    (reports / "metrics.json").write_text(json.dumps({"overall": {"median_mm": 1.0}}))
    (reports / "verdict.json").write_text(json.dumps({"passed": True}))
    tracking.publish(
        model, reports, uri=uri, experiment="serving", registered=name,
        code=ROOT / "serving" / "pyfunc_model.py",
    )  # fmt: skip
    tracking.promote(name, reason="to be tested", uri=uri)
    with started(uri, name, place) as server:
        yield server


@contextmanager
def started(uri: str, name: str, place: Path) -> Iterator[Served]:
    """Serve what is in production, on a free port of the loopback."""
    folder, identity = tracking.fetch(f"models:/{name}@production", uri)
    readable = place / "scans"
    readable.mkdir()
    log = place / "server.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # uvicorn
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "VERTEBRA_ML_ROOT": str(readable),
        "VERTEBRA_ML_CONTENT_MAX_MB": "8",
        "VERTEBRA_ML_VOXELS_MAX": "200000000",
    }
    words = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{name}@production",
        "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=place, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(url, process, log)
            yield Served(url, readable, log, process.pid, folder, identity)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[Any]") -> None:
    """End the server and the process that it started, by their group."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)


def _wait(url: str, process: "subprocess.Popen[Any]", log: Path) -> None:
    for _ in range(int(START_S / POLL_S)):
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=POLL_S):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            pass
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
