"""The processes that decode frames with GDCM, and their ends."""

import os
import queue
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Final, Self

WORKERS_MAX: Final = 8
SECONDS_MAX: Final = 60.0
"""For one frame: half a second would be slow."""


class Workers:
    """As many decoding processes as there are cores, each started when first needed.

    A context manager; `decode` may be called from as many threads as `count` says.
    """

    def __init__(self) -> None:
        self.count = min(WORKERS_MAX, os.cpu_count() or 1)
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        for _ in range(self.count):
            self._idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for _ in range(self.count):
            worker = self._idle.get()
            if worker is not None:
                _end(worker)

    def decode(self, source: bytes, syntax: str, numbers: tuple[int, int, int, int, int]) -> bytes:
        """Decode one frame; ``numbers``: rows, columns, bits allocated and stored, signed.

        Raises ValueError for a frame that GDCM refuses, dies of, or works on for too long.
        """
        worker = self._idle.get()
        kept: subprocess.Popen[bytes] | None = None
        try:
            worker = worker or _start()
            frame = _ask(worker, source, syntax, numbers)
            kept = worker
        except OSError:
            raise ValueError("the decoder ended") from None
        finally:
            if worker is not None and kept is None:
                _end(worker)
            self._idle.put(kept)
        if frame is None:
            raise ValueError("the decoder refused")
        return frame


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("dicom_worker.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _ask(
    worker: subprocess.Popen[bytes], source: bytes, syntax: str, numbers: tuple[int, ...]
) -> bytes | None:
    """Return the decoded frame, or None where it is refused; raises OSError where it ends."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    watch = Timer(SECONDS_MAX, worker.kill)
    watch.daemon = True
    watch.start()
    try:
        words = " ".join(map(str, (*numbers, len(source))))
        worker.stdin.write(f"{syntax} {words}\n".encode("ascii") + source)
        worker.stdin.flush()
        line = worker.stdout.readline()
        length = int(line) if line else None
        if length is None:
            raise BrokenPipeError
        frame = worker.stdout.read(length) if length >= 0 else None
        if frame is not None and len(frame) < (length or 0):
            raise BrokenPipeError
        return frame
    finally:
        watch.cancel()


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not written yet is lost with it
                pipe.close()
    worker.wait()
