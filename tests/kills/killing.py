"""Starting a command, killing all of it at a moment, starting it again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_S = 0.02
STAGE = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the start or, where it names stages, after one began.

    That is the first of them, or the next one where that was finished by an earlier attempt.
    """

    after_s: float
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """What came of a command.

    Parameters
    ----------
    status : its exit status; None where it was killed.
    said : all it printed.
    seconds : how long it ran.
    begun : stages in their order, and how many seconds after the start each began.
    """

    status: int | None
    said: str
    seconds: float
    begun: tuple[tuple[str, float], ...]


def environment(project: Path) -> dict[str, str]:
    """Return the environment of a project's commands, with this environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {
        "PATH": path, "PYTHONPATH": "", "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3",
        "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(project / ".dvc" / "site"),
    }  # fmt: skip


def attempt(words: Sequence[str], project: Path, moment: Moment | None = None) -> Attempt:
    """Run a command in a session of its own; kill -9 all of it at ``moment``, where that comes."""
    start = time.monotonic()
    log = project.with_name(f"{project.name}.log")
    with log.open("w") as file:
        process = subprocess.Popen(
            words, cwd=project, env=environment(project), stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    begun, read = dict[str, float](), 0
    try:
        while not (killed := _is_time(moment, start, begun)) and process.poll() is None:
            if log.stat().st_size > read:
                read = log.stat().st_size
                for stage in STAGE.findall(log.read_text(errors="replace")):
                    begun.setdefault(stage, time.monotonic() - start)
            time.sleep(POLL_S)
    finally:
        if process.poll() is None:
            kill_all(process)
    seconds = time.monotonic() - start
    said = log.read_text(errors="replace")
    return Attempt(None if killed else process.returncode, said, seconds, tuple(begun.items()))


def kill_all(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process, its session and whatever it started, as when the power fails."""
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(process.pid).children(recursive=True)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for each in below:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(below, timeout=60)
    process.wait()


def _is_time(moment: Moment | None, start: float, begun: dict[str, float]) -> bool:
    """Return whether the moment to kill has come."""
    if moment is None:
        return False
    first = next((begun[stage] for stage in moment.stages if stage in begun), None)
    if moment.stages and first is None:
        return False
    return time.monotonic() - start >= (first or 0.0) + moment.after_s
