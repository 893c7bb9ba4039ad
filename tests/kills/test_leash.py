"""Workers, and stages, end with the process they work for, however that ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from vertebra_ml import leash

ROOT = Path(__file__).parents[2]

LOKY = """
import os, time
from joblib import Parallel, delayed, parallel_config
from vertebra_ml.leash import end_with
with parallel_config(backend="loky", initializer=end_with, initargs=(os.getpid(),)):
    Parallel(n_jobs=2)(delayed(time.sleep)(600) for _ in range(2))
"""
SPAWNED = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from vertebra_ml.leash import end_with
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(2, context, initializer=end_with, initargs=(os.getpid(),))
    list(pool.map(time.sleep, [600, 600]))
"""
STAGE = """
import subprocess, sys
subprocess.run([sys.executable, "-c", {stage!r}], env={{"DVC_STAGE": "train"}})
"""
WORK = "import time; from vertebra_ml.leash import end_with_dvc; end_with_dvc(); time.sleep(600)"


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(leash.alive(process) for process in processes)


@pytest.mark.parametrize("pool", [LOKY, SPAWNED], ids=["loky", "spawned"])
def test_workers_end_with_a_killed_parent(pool: str, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(pool)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, script], env=environment)
    below: list[psutil.Process] = []

    def ready() -> bool:
        below[:] = psutil.Process(parent.pid).children(recursive=True)
        return sum(_works(process) for process in below) == 2

    until(ready)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: gone(below))


def _works(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" not in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _leashed(process: psutil.Process) -> bool:
    try:
        return process.num_threads() > 1  # one of them watches
    except psutil.Error:
        return False


def test_a_stage_ends_with_its_dvc(tmp_path: Path) -> None:
    dvc = tmp_path / "dvc"  # known by its name
    dvc.write_text(STAGE.format(stage=WORK))
    parent = subprocess.Popen([sys.executable, dvc], cwd=ROOT)
    until(lambda: any(map(_leashed, psutil.Process(parent.pid).children(recursive=True))))
    below = psutil.Process(parent.pid).children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until(lambda: gone(below))


def test_without_dvc_a_stage_is_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(pid: int) -> None:
        raise AssertionError(pid)

    monkeypatch.setattr(leash, "end_with", never)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    leash.end_with_dvc()


def test_one_that_is_gone_already_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    monkeypatch.setattr(leash.os, "kill", lambda *how: ended.append(how))
    leash.end_with(2**22 + 1)  # more than there can be
    assert ended == [(os.getpid(), signal.SIGKILL)]
