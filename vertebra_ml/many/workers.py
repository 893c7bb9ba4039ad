"""Processes on this machine: how many it has the cores and the memory for, and their lives."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vertebra_ml.many.crew import Job

BASE_BYTES: Final = 1_000_000_000
"""What a process holds before it reads a scan: TensorFlow, a model (0.80 and 0.85 GB, measured)."""
SHARE: Final = 0.8
"""Of the memory that is free."""
JOBS_EACH: Final = 12
"""A process that is started for fewer jobs does not earn its start."""
CGROUP: Final = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many cores this process may use, its container's share counted."""
    from joblib import cpu_count

    return int(cpu_count())


def free_bytes(group: Path = CGROUP) -> int:
    """Return the memory that is free for this process: of the machine, or of its container."""
    import psutil

    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # "max" where there is no limit
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        free = min(free, max(0, int(limit) - int(used)))
    return free


def planned(jobs: int, *, cores: int, free: int) -> int:
    """Return how many processes to work with where nobody says: at least one."""
    fitting = int(free * SHARE) // BASE_BYTES
    return max(1, min(cores, fitting, jobs // JOBS_EACH))


def threads_each(count: int, cores: int) -> int:
    """Return the threads of each of ``count`` processes."""
    return max(1, cores // count)


class LocalCrew:
    """So many processes of this machine, each started when it gets its first job.

    A context manager: leaving it ends them, at once where it is left by an exception. They end by
    themselves where this process is killed.

    Parameters
    ----------
    count : processes.
    threads : that each may compute with.
    budget : bytes that the scans at work may take together.
    """

    depth = 1
    pulse_s = None

    def __init__(self, count: int, *, threads: int = 1, budget: float = float("inf")) -> None:
        self.budget = budget
        self._count, self._threads = count, threads
        self._pools: dict[object, ProcessPoolExecutor] = {}
        self._pids: dict[object, Future[int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for lane in list(self._pools):
            if kind is not None:
                self._kill(lane)
            self.lose(lane)

    def lanes(self) -> Sequence[int]:
        """Return all of them: one that is lost is started again."""
        return range(self._count)

    def send(self, lane: object, job: Job) -> Future[str]:
        """Give a process a job, starting it where it is not there."""
        try:
            return self._pool(lane).submit(job.call, job.shared, *job.arguments)
        except BrokenExecutor:  # it died between two jobs
            self.lose(lane)
            return self._pool(lane).submit(job.call, job.shared, *job.arguments)

    def lose(self, lane: object) -> None:
        """Forget a process; another takes its place with the next job."""
        pool = self._pools.pop(lane, None)
        self._pids.pop(lane, None)
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def pids(self) -> list[int]:
        """Return the ids of the processes that have begun."""
        return [pid.result() for pid in self._pids.values() if pid.done() and not pid.exception()]

    def _pool(self, lane: object) -> ProcessPoolExecutor:
        if lane not in self._pools:
            pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)
            with _environment(settings_of(self._threads)):  # inherited by what starts here
                self._pids[lane] = pool.submit(os.getpid)
            self._pools[lane] = pool
        return self._pools[lane]

    def _kill(self, lane: object) -> None:
        pid = self._pids[lane]
        if pid.done() and not pid.exception():
            with suppress(OSError):
                os.kill(pid.result(), getattr(signal, "SIGKILL", signal.SIGTERM))


def settings_of(threads: int) -> dict[str, str]:
    """Return the environment of a process that computes with so many threads, and says nothing."""
    each = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"}
    return dict.fromkeys(sorted(each), str(threads)) | {
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # several share one card
    }


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    kept = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    """Prepare a worker: deaf to Ctrl-C, which its parent hears; silent; gone with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sink = os.open(os.devnull, os.O_WRONLY)  # what native code says of itself is for nobody
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(sink, stream.fileno())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
