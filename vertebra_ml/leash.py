"""Processes that end when the one they work for is gone, however it went.

A killed process tells its children nothing. A worker of a pool then waits for its next task for
ever, and a stage whose ``dvc repro`` was killed goes on writing beside the one started after it. So
each watches the process it works for, and ends itself a moment after that one has.
"""

import os
import signal
import threading
import time
from typing import Final

import psutil

EVERY_S: Final = 0.5
DVC_STAGE: Final = "DVC_STAGE"
"""DVC sets this in the environment of every command of a stage."""


def end_with(pid: int) -> None:
    """Let this process end soon after the process ``pid`` has; at once where that is gone.

    Made to be the initializer of a pool's workers, with the pool's own ``os.getpid()``.
    """
    try:
        owner = psutil.Process(pid)
    except psutil.NoSuchProcess:
        _end()
    else:
        threading.Thread(target=_watch, args=(owner,), name="leash", daemon=True).start()


def end_with_dvc() -> None:
    """Where DVC runs this process as a stage, let it end with that ``dvc``; else do nothing."""
    if DVC_STAGE not in os.environ:
        return
    for each in psutil.Process().parents():  # a shell may stand between the two
        if _is_dvc(each):
            end_with(each.pid)
            return


def alive(process: psutil.Process) -> bool:
    """Return whether it still runs: not another one of the same number, and no zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _is_dvc(process: psutil.Process) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    # `dvc repro`, `python .../bin/dvc repro`, `python -m dvc repro`
    return any(os.path.basename(word) == "dvc" for word in words[:3])  # noqa: PTH119


def _watch(owner: psutil.Process) -> None:
    while alive(owner):
        time.sleep(EVERY_S)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # whatever it is in the middle of: a kill is survived
