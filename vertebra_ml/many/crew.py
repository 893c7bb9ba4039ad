"""Jobs given one by one to processes that may be lost: their jobs are done again elsewhere.

A lane is one such process. Who is lost while it works on a job gives it back; a job that has lost
two lanes is at fault itself, and is not tried a third time. Blamed is the job that the lane was at,
not one that waited there behind it; it is tried alone then, so that no other is blamed with it.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass
from typing import Final, Protocol

from vertebra_ml.errors import VertebraError

LOSSES_MAX: Final = 2
"""Processes that one job may take down."""
IN_VAIN_MAX: Final = 10
"""Times in a row that a job may be offered to a lane that is gone."""
PAUSE_S: Final = 0.2
"""How often lanes are looked for while there is none."""


class CrewError(VertebraError):
    """No process is left to do the work, or none can be reached."""


class Lost(BrokenExecutor):
    """The process that worked on a job is gone."""


@dataclass(frozen=True, eq=False)
class Job:
    """Something to be done by a function of this library.

    Parameters
    ----------
    number : by which the caller knows it.
    call : the function; it gets ``shared`` and then ``arguments``, and returns text.
    arguments : its own arguments.
    shared : what all jobs are given; an engine sends it once a process.
    size : bytes of memory that it takes while it runs.
    """

    number: int
    call: Callable[..., str]
    arguments: tuple[object, ...]
    shared: object = None
    size: int = 0


class Crew(Protocol):
    """Processes that do jobs."""

    @property
    def depth(self) -> int:
        """How many jobs a lane is given at a time; it works on one."""

    @property
    def budget(self) -> float:
        """Bytes that the jobs at work may take together; a single one always runs."""

    @property
    def pulse_s(self) -> float | None:
        """How often ``lanes`` must be asked while jobs run; None where a loss tells itself."""

    def lanes(self) -> Sequence[Hashable]:
        """Return the lanes there are now. Raises CrewError where there is none to hope for."""

    def send(self, lane: Hashable, job: Job) -> "Future[str]":
        """Give a lane a job; the future raises a BrokenExecutor where the lane is lost meanwhile.

        Raises Lost where it is gone already: the job is not to blame.
        """

    def lose(self, lane: Hashable) -> None:
        """Take note that a lane lost its jobs."""


def work_off(jobs: Sequence[Job], crew: Crew) -> Iterator[tuple[Job, str | Exception]]:
    """Yield each job with its text, or with what it raised, as they finish.

    It is ``Lost`` for a job that took two lanes down. Raises CrewError where no lane is left.
    """
    board = _Board(jobs, crew)
    while board.waiting or board.running:
        board.hand_out()
        yield from board.finished()


class _Board:
    """Which jobs wait, and which are where."""

    def __init__(self, jobs: Sequence[Job], crew: Crew) -> None:
        self.crew, self.waiting = crew, deque(jobs)
        self.running: dict[Future[str], tuple[Hashable, Job]] = {}
        self._losses: Counter[int] = Counter()
        self._in_vain = 0

    def hand_out(self) -> None:
        """Give jobs to the lanes that have room, an idle lane first."""
        lanes = self.crew.lanes()
        for depth in range(self.crew.depth if lanes else 0):
            for lane in lanes:
                if self.waiting and self._has_room(lane, depth, self.waiting[0]):
                    self._send(lane, self.waiting.popleft())

    def finished(self) -> Iterator[tuple[Job, str | Exception]]:
        """Wait until something happens; yield what is finished, put back what was lost."""
        if not self.running:
            time.sleep(PAUSE_S if self.waiting else 0)
            return
        done, _ = wait(self.running, timeout=self.crew.pulse_s, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=list(self.running).index):
            if future not in self.running:  # given back, with the lane of another
                continue
            lane, job = self.running[future]
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                yield from self._lost(lane)
                continue
            if error is not None and not isinstance(error, Exception):
                raise error
            del self.running[future]
            self._in_vain = 0
            yield job, error or future.result()

    def _lost(self, lane: Hashable) -> Iterator[tuple[Job, str | Exception]]:
        """Take back the jobs of a lane: the first of them is blamed, the others go first."""
        self.crew.lose(lane)
        theirs = [each for each, (place, _) in self.running.items() if place == lane]
        lost = [self.running.pop(each)[1] for each in theirs if not _answered(each)]
        self.waiting.extendleft(reversed(lost[1:]))
        for blamed in lost[:1]:
            self._losses[blamed.number] += 1
            if self._losses[blamed.number] < LOSSES_MAX:
                self.waiting.append(blamed)
            else:
                yield blamed, Lost()

    def _send(self, lane: Hashable, job: Job) -> None:
        try:
            self.running[self.crew.send(lane, job)] = lane, job
        except Lost as error:
            self.waiting.appendleft(job)
            self.crew.lose(lane)
            self._in_vain += 1
            if self._in_vain >= IN_VAIN_MAX:
                raise CrewError(
                    f"worker {lane}",
                    found=f"{self._in_vain} times one that takes no work ({error})",
                    expected="workers that stay",
                    fix="look at their logs, and repeat the command: what is finished is kept",
                ) from error

    def _has_room(self, lane: Hashable, depth: int, job: Job) -> bool:
        held = [other for place, other in self.running.values() if place == lane]
        alone = any(self._losses[each.number] for each in (*held, job))
        if len(held) > (0 if alone else depth):
            return False
        taken = sum(other.size for _, other in self.running.values())
        return not self.running or taken + job.size <= self.crew.budget


def _answered(future: "Future[str]") -> bool:
    """Return whether a job ended before its lane did, well or not."""
    return future.done() and not isinstance(future.exception(), BrokenExecutor)
