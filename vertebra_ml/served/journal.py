"""The log of requests: a line of JSON for each case that a server answered or refused.

Who operates the server names a folder. A line holds

    time        UTC, when the answer was ready
    scan        SHA-256 of the scan's bytes as they were given (a folder: of its files')
    model, version, run, data_hash
                which model answered
    outcome     ``answered``, or the class of the error
    found, missing, untold
                levels; the last seem to be there, but their places would be guesses
    scores, spread_mm
                by level; of a missing one how sure the model is that it is not there
    warnings    how many
    seconds     from reading to answer
    facts       of the scan, see ``facts``

and no name, path or identifier. Lines are appended with one write each, so that many processes may
share a file; a file ends with its day (UTC) or at a size, and is never renamed or removed here.
"""

import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from vertebra_ml.errors import LimitError
from vertebra_ml.landmarks import ModelIdentity, Prediction

logger = logging.getLogger(__name__)

VARIABLE: Final = "VERTEBRA_ML_LOG"
SIZE_VARIABLE: Final = "VERTEBRA_ML_LOG_MAX_MB"
SIZE_MAX_MB: Final = 64
PATTERN: Final = "requests-*.jsonl"
ANSWERED: Final = "answered"
READ_AT_ONCE: Final = 1 << 20  # bytes
DIGITS: Final = 3


class Journal:
    """Appends lines below ``folder``; a line that cannot be written is told once and lost.

    Raises LimitError where the folder cannot be made: who asks for a log is to have one.
    """

    def __init__(self, folder: Path, bytes_max: int = SIZE_MAX_MB << 20) -> None:
        self._folder, self._bytes_max = folder, bytes_max
        self._torn = self._told = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LimitError(
                folder,
                found=f"a folder that cannot be made ({error.strerror})",
                expected=f"one for the log of requests, in {VARIABLE}",
                fix="name another, or unset it for no log",
            ) from error

    @classmethod
    def of_environment(cls) -> Self | None:
        """Return the journal that the operator asked for, or none."""
        folder = os.environ.get(VARIABLE)
        size = int(os.environ.get(SIZE_VARIABLE, SIZE_MAX_MB))
        return cls(Path(folder), size << 20) if folder else None

    def write(self, entry: Mapping[str, object]) -> None:
        """Append one line. Never raises: an answer does not wait for its log."""
        try:
            now = datetime.now(UTC)
            stamp = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = json.dumps({"time": stamp, **entry}, separators=(",", ":"), default=str)
            self._append(self._file(now), line.encode() + b"\n")
        except (OSError, ValueError, TypeError) as error:
            if not self._told:
                logger.error("the log of requests lost a line: %s", type(error).__name__)  # noqa: TRY400
            self._told = True
        else:
            self._told = False

    def _file(self, now: datetime) -> Path:
        """Return the newest file of this day, or the next one where that is full."""
        day = f"requests-{now:%Y-%m-%d}"
        number = max((_number(path) for path in self._folder.glob(f"{day}-*.jsonl")), default=1)
        path = self._folder / f"{day}-{number:03d}.jsonl"
        if path.exists() and path.stat().st_size >= self._bytes_max:
            path = self._folder / f"{day}-{number + 1:03d}.jsonl"
        return path

    def _append(self, path: Path, line: bytes) -> None:
        # O_APPEND and one write: the kernel puts lines of all processes one after the other.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            whole = b"\n" + line if self._torn else line
            self._torn = os.write(descriptor, whole) < len(whole)  # a disk that fills up
        finally:
            os.close(descriptor)


def answered(prediction: Prediction, seconds: float) -> dict[str, object]:
    """Return the entry of a case that was answered."""
    marks = prediction.landmarks
    absent = dict(zip(prediction.missing, prediction.absent_scores, strict=False))
    absent |= prediction.untold
    return {
        **_who(prediction.model),
        "outcome": ANSWERED,
        "found": list(marks.labels),
        "missing": list(prediction.missing),
        "untold": list(prediction.untold),
        "scores": _numbers({**dict(zip(marks.labels, marks.scores, strict=True)), **absent}),
        "spread_mm": _numbers(dict(zip(marks.labels, marks.spread_mm, strict=True))),
        "warnings": len(prediction.warnings),
        "seconds": round(seconds, DIGITS),
    }


def refused(model: ModelIdentity, error: Exception, seconds: float) -> dict[str, object]:
    """Return the entry of a case that was not; the words of the error may quote the scan."""
    return {**_who(model), "outcome": type(error).__name__, "seconds": round(seconds, DIGITS)}


def digest(scan: bytes | Path) -> str | None:
    """Return the SHA-256 of a scan's bytes, of a file's, or over a folder's files by their own.

    Links in a folder are passed over: they may lead out of it. None where it cannot be read, which
    is for the answer to say.
    """
    try:
        if isinstance(scan, bytes):
            return hashlib.sha256(scan).hexdigest()
        if not scan.is_dir():
            return _of_file(scan) if scan.is_file() else None
        inside = sorted(_of_file(path) for path in _files(scan))
        return hashlib.sha256("".join(inside).encode()).hexdigest()
    except OSError:
        return None


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        paths = (Path(place) / name for name in names)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _of_file(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_AT_ONCE):
            total.update(block)
    return total.hexdigest()


def _who(model: ModelIdentity) -> dict[str, object]:
    return {
        "model": model.kind,
        "version": model.version,
        "run": model.run,
        "data_hash": model.data_hash,
    }


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Return what is a number, rounded; JSON knows no NaN."""
    return {k: round(float(v), DIGITS) for k, v in values.items() if math.isfinite(v)}


def _number(path: Path) -> int:
    end = path.stem.rpartition("-")[2]
    return int(end) if end.isdigit() else 1
