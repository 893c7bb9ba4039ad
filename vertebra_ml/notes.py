"""What is said while a scan is read, kept for its answer."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

READERS: Final = f"{__package__}.readers"
"""The package whose lines count; its modules log below that name. It is not imported here."""


class _Ear(logging.Handler):
    """Keeps the lines of one thread: another may read another scan meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.thread = threading.get_ident()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread:
            self.lines.append(" ".join(record.getMessage().split()))


@contextmanager
def heard(where: Path | None = None) -> Iterator[list[str]]:
    """Collect the warnings of the readers on this thread, a line each, without the path ``where``.

    The list is filled when the block is left.
    """
    ear, logger = _Ear(), logging.getLogger(READERS)
    lines: list[str] = []
    logger.addHandler(ear)
    try:
        yield lines
    finally:
        logger.removeHandler(ear)
        lines += [_without(where, line) for line in dict.fromkeys(ear.lines)]


def _without(where: Path | None, line: str) -> str:
    if where is None:
        return line
    line = line.removeprefix(f"{where}: ").replace(str(where), where.name)
    return line.encode(errors="backslashreplace").decode()  # a file name may be no UTF-8
