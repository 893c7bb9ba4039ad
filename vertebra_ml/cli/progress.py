"""How far long work has come: a bar where somebody watches, a line a minute where nobody does."""

import sys
import time
from types import TracebackType
from typing import Any, Final, Self

from vertebra_ml.cli.talk import bar, note

EVERY_S: Final = 60.0
"""Between two lines in the log of a batch system."""


class Progress:
    """Tells how many scans are done, and how long the others will take. A context manager.

    Parameters
    ----------
    total : scans.
    what : what is done with them, one word.
    every_s : seconds between two lines where there is no bar.
    """

    def __init__(self, total: int, what: str, *, every_s: float = EVERY_S) -> None:
        self._total, self._what, self._every_s = total, what, every_s
        self._done = self._before = 0
        self._start = self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._bar: Any = bar(self._total, self._what).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._bar.__exit__(kind, error, where)

    def resume(self, count: int) -> None:
        """Count scans that were done before: they say nothing of how long one takes."""
        self._done = self._before = count
        self._bar.initial = self._bar.n = count
        self._bar.refresh()

    def update(self, count: int = 1) -> None:
        """Count scans that were done now."""
        self._done += count
        self._bar.update(count)
        now = time.monotonic()
        if not sys.stderr.isatty() and now - self._told >= self._every_s:
            self._told = now
            note(f"{self._what}: {self._done:,} of {self._total:,} scans, {self._left(now)} left")

    def _left(self, now: float) -> str:
        each_s = (now - self._start) / max(1, self._done - self._before)
        minutes = each_s * (self._total - self._done) / 60
        return f"about {minutes / 60:.1f} h" if minutes >= 90 else f"about {minutes:.0f} min"
