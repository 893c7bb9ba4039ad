"""A server answers with what readers say of a scan; its log is told nothing of it."""

import logging
import threading
from typing import Final

from vertebra_ml.notes import READERS


class Unlogged:
    """Keeps what readers say of a scan out of the server's log: it goes into the answer.

    Only while a request is answered, since the process may be another's: publishing a model, too,
    loads it and asks it. Requests overlap; the last one to end puts things back.
    """

    def __init__(self) -> None:
        self.logger = logging.getLogger(READERS)
        self.silent = logging.NullHandler()
        self.lock = threading.Lock()
        self.requests, self.passed_on = 0, True

    def __enter__(self) -> None:
        with self.lock:
            if not self.requests:
                self.passed_on, self.logger.propagate = self.logger.propagate, False
                self.logger.addHandler(self.silent)
            self.requests += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.requests -= 1
            if not self.requests:
                self.logger.propagate = self.passed_on
                self.logger.removeHandler(self.silent)


UNLOGGED: Final = Unlogged()
