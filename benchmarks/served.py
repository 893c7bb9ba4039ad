"""A real ``mlflow models serve`` of a model folder, published and promoted like any other."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from vertebra_ml import tracking
from vertebra_ml.landmarks import ModelIdentity

ROOT: Final = Path(__file__).parents[1]
START_S, POLL_S, STOP_S = 600.0, 0.2, 20.0


class NotServed(Exception):
    """The server did not start; what it said is in the text."""


@dataclass(frozen=True)
class Served:
    """A running server.

    ``root`` is the folder that it may read, ``log`` its output, ``requests`` the folder of its log
    of requests, ``pid`` the process that leads its group, ``folder`` the model it serves.
    """

    url: str
    root: Path
    log: Path
    pid: int
    folder: Path
    identity: ModelIdentity
    requests: Path

    def processes(self) -> list[psutil.Process]:
        """Return every process of the server."""
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def memory(self) -> int:
        """Return the resident bytes of all its processes; what they share counts in each."""
        total = 0
        for process in self.processes():
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total


@dataclass(frozen=True)
class Package:
    """A model in production in a store of its own, in ``place``."""

    name: str
    uri: str
    place: Path
    folder: Path
    identity: ModelIdentity


@contextmanager
def serving(model: Path, name: str, place: Path, **settings: str) -> Iterator[Served]:
    """Publish, promote and serve a model folder, in ``place``; ``settings`` are environment."""
    with started(published(model, name, place), **settings) as server:
        yield server


def published(model: Path, name: str, place: Path) -> Package:
    """Publish and promote a model folder in a new store."""
    uri = f"sqlite:///{place}/mlflow.db"
    reports = place / "reports"
    reports.mkdir()
    (reports / "metrics.json").write_text(json.dumps({"overall": {"median_mm": 1.0}}))
    (reports / "verdict.json").write_text(json.dumps({"passed": True}))
    tracking.publish(
        model, reports, uri=uri, experiment="serving", registered=name,
        code=ROOT / "serving" / "pyfunc_model.py",
    )  # fmt: skip
    tracking.promote(name, reason="to be measured", uri=uri)
    (place / "scans").mkdir()
    return Package(name, uri, place, *tracking.fetch(f"models:/{name}@production", uri))


@contextmanager
def started(package: Package, *, workers: int = 1, **settings: str) -> Iterator[Served]:
    """Serve what is published on a free port of the loopback."""
    place = package.place
    log, port = place / "server.log", free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # uvicorn
        "MLFLOW_TRACKING_URI": package.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "VERTEBRA_ML_ROOT": str(place / "scans"),
        "VERTEBRA_ML_LOG": str(place / "requests"),
        **settings,
    }
    words = [
        sys.executable, "-m", "mlflow", "models", "serve",
        "-m", f"models:/{package.name}@production", "--env-manager", "local",
        "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers),
    ]  # fmt: skip
    with log.open("ab") as output:
        process = subprocess.Popen(
            words, cwd=place, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            _wait(url, process, log)
            yield Served(
                url, place / "scans", log, process.pid, package.folder, package.identity,
                place / "requests",
            )  # fmt: skip
        finally:
            stop(process)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def stop(process: "subprocess.Popen[Any]") -> None:
    """End a server and the processes that it started, by their group."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)


def _wait(url: str, process: "subprocess.Popen[Any]", log: Path) -> None:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(POLL_S)
    raise NotServed(f"the server did not start:\n{log.read_text()[-3000:]}")
