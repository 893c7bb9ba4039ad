"""What a batch has finished, kept line by line: a kill loses only the scan in work.

``.slices.jsonl`` in the folder of the results holds a line of JSON a scan done. A line that a kill
cut off is dropped, and so is one that a failing disk has spoilt. One process writes at a time.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from vertebra_ml.errors import DatasetError
from vertebra_ml.many.rows import Entry
from vertebra_ml.outputs.files import check_folder, writing

NAME: Final = ".slices.jsonl"
Place = tuple[int, int]


class Journal:
    """The finished scans of a folder, open while a batch runs.

    Use as a context manager. Raises DatasetError where the folder cannot be written, or another
    process is writing results into it.

    Parameters
    ----------
    folder : of the results; made where it is not there.
    anew : whether to forget what is there.
    """

    def __init__(self, folder: Path, *, anew: bool = False) -> None:
        self._folder, self._path, self._anew = folder, folder / NAME, anew
        self._places: dict[str, Place] = {}
        self._end = 0

    def __enter__(self) -> Self:
        check_folder(self._folder)
        with writing(self._path):
            self._file = self._path.open("a+b")
            try:
                self._lock()
                self._take_up()
            except BaseException:
                self._file.close()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if not self._end:
            self._path.unlink(missing_ok=True)
        self._file.close()

    def place(self, key: str, formats: Iterable[str]) -> Place | None:
        """Return where the scan of this key is, if it is done with its files of these formats."""
        place = self._places.get(key)
        if place is None:
            return None
        line = self.read(place)
        there = all((self._folder / name).is_file() for name in line["files"])
        return place if there and set(formats) <= set(line["formats"]) else None

    def read(self, place: Place) -> dict[str, Any]:
        """Return the line at a place: ``entry``, ``files``, ``formats``."""
        start, length = place
        self._file.seek(start)
        line: dict[str, Any] = json.loads(self._file.read(length))
        return line

    def add(
        self, key: str, entry: Entry, *, files: Iterable[str], formats: Iterable[str], whole: bool
    ) -> Place:
        """Write a scan down, through to the operating system; return its place.

        One that is not ``whole``, since a file of it could not be made, is no reason not to do it
        again. Raises DatasetError where the disk refuses.
        """
        line: Mapping[str, object] = {
            "key": key if whole else "", "formats": sorted(formats), "files": sorted(files),
            "entry": entry,
        }  # fmt: skip
        text = json.dumps(line, allow_nan=False).encode("ascii") + b"\n"
        with writing(self._path):
            self._file.write(text)
            self._file.flush()
        place = self._end, len(text)
        self._end += len(text)
        if whole:
            self._places[key] = place
        return place

    def _take_up(self) -> None:
        """Find the lines that are whole; cut off what follows the last of them."""
        if self._anew:
            self._file.truncate(0)
        self._file.seek(0)
        for text in self._file:
            if not text.endswith(b"\n"):
                break
            key = _key(text)
            if key:
                self._places[key] = self._end, len(text)
            self._end += len(text)
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def _lock(self) -> None:
        """Keep others out until this process ends, however it ends."""
        try:
            _lock_file(self._file)
        except BlockingIOError:
            raise DatasetError(
                self._folder,
                found="another command that is writing results there",
                expected="one at a time",
                fix="wait for it, or choose another folder",
            ) from None


def _lock_file(file: IO[bytes]) -> None:
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows
        return
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def _key(text: bytes) -> str:
    """Return the key of a line; empty where it is broken, or is to be done again."""
    try:
        line = json.loads(text)
        fits = {"key", "files", "formats", "entry"} <= line.keys() and isinstance(line["key"], str)
        return line["key"] if fits else ""
    except (ValueError, AttributeError):
        return ""
