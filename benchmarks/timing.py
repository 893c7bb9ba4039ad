"""Fair timing: the things compared take turns, and medians are compared."""

import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

Action = Callable[[], object]
SAMPLE_S = 0.001


@dataclass(frozen=True)
class Figure:
    """One line of the table: two measurements, their ratio and its bound.

    ``baseline`` and ``ours`` are texts with units; ``bound`` says what the ratio must be.
    """

    name: str
    baseline: str
    ours: str
    ratio: float
    bound: str
    met: bool


def alternately(actions: Mapping[str, Action], rounds: int) -> dict[str, float]:
    """Return the median seconds of each action; each is run once before, and then in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def extra_memory(action: Action) -> int:
    """Return the most bytes of resident memory that ``action`` takes beyond those held before."""
    process = psutil.Process()
    before = process.memory_info().rss
    peak, done = before, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_S):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()
    return int(peak - before)
