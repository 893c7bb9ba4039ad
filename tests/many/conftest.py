"""A Dask cluster on the loopback, its workers started and killed one by one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
WAIT_S = 900.0
"""No test is a race: what takes a second on an idle machine may take minutes on a busy one."""


def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is true; a busy machine takes its time."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, f"waited for {what}"
        time.sleep(0.02)


def killed(running: "subprocess.Popen[bytes]", journal: Path) -> None:
    """Kill a run by SIGKILL after its third scan; no process of it stays behind."""
    try:
        until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3, "three scans")
        children = psutil.Process(running.pid).children(recursive=True)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert not psutil.wait_procs(children, timeout=WAIT_S)[1]


def ended(process: "subprocess.Popen[bytes]") -> None:
    """End a process of this test's, if it still runs."""
    process.kill()
    process.wait()


class Cluster:
    """A scheduler, and workers of one thread each that nobody starts again."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        file = folder / "scheduler.json"
        self._start("scheduler", "--port", "0", "--scheduler-file", file)
        until(lambda: file.exists() and file.read_text().endswith("}"), "the scheduler")
        self.address = str(json.loads(file.read_text())["address"])

    def worker(self) -> "subprocess.Popen[bytes]":
        """Start one more worker; it comes in when it is ready."""
        return self._start(
            "worker", self.address, "--no-nanny", "--nthreads", "1", "--memory-limit", "0",
            "--local-directory", self._folder,
        )  # fmt: skip

    def _start(self, what: str, *words: object) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, words)]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--no-dashboard"], cwd=self._folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, **quiet,
        )  # fmt: skip
        self._stack.callback(ended, process)
        return process


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a scheduler without workers."""
    with ExitStack() as stack:
        yield Cluster(tmp_path_factory.mktemp("cluster"), stack)
