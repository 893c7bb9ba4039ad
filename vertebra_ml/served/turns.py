"""How many requests are worked on at once, and how long one may wait and work."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class TookTooLong(Exception):
    """The request's time is over; whoever sent it has been told so already."""


class Turns:
    """Lets ``at_once`` requests work; others wait, no longer than anybody waits for them.

    Each scan at work takes its memory, and more threads than cores only make all of them slower.
    The server answers 504 when a request's time is over, but cannot stop its thread: that ends
    itself before its next scan.
    """

    def __init__(self, at_once: int, timeout_s: float) -> None:
        self._free = threading.BoundedSemaphore(at_once)
        self._timeout_s = timeout_s

    @contextmanager
    def turn(self) -> Iterator[Callable[[], None]]:
        """Wait for a turn; yield a check to be called before each scan.

        Raises TookTooLong where no turn came in time; so does the check, once the time is over.
        """
        end = time.monotonic() + self._timeout_s

        def check() -> None:
            if time.monotonic() > end:
                raise TookTooLong

        if not self._free.acquire(timeout=self._timeout_s):
            raise TookTooLong
        try:
            yield check
        finally:
            self._free.release()
