"""Workers of this machine: processes that run trials, started again where one dies."""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Final, Protocol

from vertebra_ml.errors import ModelError

log = logging.getLogger(__name__)

DEATHS_MAX: Final = 6
"""So many deaths with no trial ended between them, and the search stops."""
HALTED: Final = 3
"""Exit status of a worker that cannot go on, whoever started it again: it has said why."""
GRACE_S: Final = 10.0


class Process(Protocol):
    """What is asked of a process; ``subprocess.Popen`` is one."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def wait(self, timeout: float) -> int:
        """Wait for its end; raises TimeoutExpired."""


Launch = Callable[[str, str, Path], Process]
"""Starts a worker: its name, the chief's address, the file for what it says."""


@dataclass
class Crew:
    """The workers of this machine, by name; without any where others are to come.

    Parameters
    ----------
    size : how many.
    launch : starts one.
    folder : where what each says is written, ``worker-1.log`` and so on.
    """

    size: int
    launch: Launch
    folder: Path
    address: str = ""
    at_work: dict[str, Process] = field(default_factory=dict)
    ended: int = 0
    deaths: int = 0

    def begin(self, address: str) -> None:
        """Start all of them for the chief at ``address``."""
        self.address = address
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, self.size + 1):
            self._start(f"worker-{number}")

    def look(self, ended: int) -> None:
        """Start again who died; ``ended`` trials are done. Raises ModelError where that is vain."""
        if ended > self.ended:
            self.ended, self.deaths = ended, 0
        for name, process in list(self.at_work.items()):
            status = process.poll()
            if status is None:
                continue
            del self.at_work[name]
            if status == 0:
                continue  # sent home: no trial is left
            self.deaths += 1
            if status == HALTED or self.deaths >= DEATHS_MAX:
                raise ModelError(
                    name, found=self._last_words(name) or f"its end with status {status}",
                    expected="workers that live", fix="mend that; the same command then goes on",
                )  # fmt: skip
            log.warning("%s ended with status %d and is started again", name, status)
            self._start(name)

    def leave(self) -> None:
        """Wait until those that were sent home are gone."""
        for process in self.at_work.values():
            _wait(process, GRACE_S)

    def stop(self) -> None:
        """End those that are left, each by its own number."""
        for kind in (signal.SIGTERM, signal.SIGKILL):
            left = [process for process in self.at_work.values() if process.poll() is None]
            for process in left:
                process.send_signal(kind)
            for process in left:
                _wait(process, GRACE_S)

    def _start(self, name: str) -> None:
        self.at_work[name] = self.launch(name, self.address, self._log(name))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _last_words(self, name: str) -> str:
        path = self._log(name)
        lines = path.read_text(errors="replace").split("\n") if path.is_file() else []
        said = [line.strip() for line in lines if line.strip()]
        return said[-1][:400] if said else ""


def _wait(process: Process, seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except TimeoutExpired:
        return
