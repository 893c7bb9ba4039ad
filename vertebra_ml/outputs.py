"""Answers on disk: ``slices.csv`` (a row a case and level) and ``slices.json`` (an entry a case).

Both are written case by case into a file beside their own (``.slices.csv.part``) that takes the
final name at the end: a reader never sees half a table, and a run that is killed leaves what it had
finished in the part files. Numbers are those of ``Prediction.rows``, digit for digit, in both.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import ROUND_DIGITS, ROW_COLUMNS, Prediction

TABLE, DOCUMENT = "slices.csv", "slices.json"
PER_CASE: Final = ("case", "model", "model_version", "warning")
"""Columns that a JSON entry says once for the case and not again for each level."""

FRAME: Final = {"frame": "RAS", "unit": "mm", "slice_index": "from 0 in the order of the file"}


def csv_text(rows: Iterable[Mapping[str, object]], header: str = "") -> str:
    """Return rows as CSV in ``ROW_COLUMNS``, one line each, below ``header`` (see ``csv_header``).

    Empty where a value is None; ``true`` and ``false``; numbers as JSON would write them.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_cell(row.get(name)) for name in ROW_COLUMNS] for row in rows)
    return header + buffer.getvalue()


def csv_header() -> str:
    """Return the line of column names."""
    return ",".join(ROW_COLUMNS) + "\n"


def entry(prediction: Prediction) -> dict[str, object]:
    """Return everything a prediction says, JSON-ready: who answered, how long, what, and doubts."""
    levels = [
        {name: value for name, value in row.items() if name not in PER_CASE}
        for row in prediction.rows()
    ]
    return {
        "case": prediction.case,
        "model": asdict(prediction.model),
        "seconds": round(prediction.seconds, ROUND_DIGITS),
        "warnings": list(prediction.warnings),
        "levels": levels,
    }


def replace_text(path: Path, text: str) -> None:
    """Write a text file, and its folder, in one step: a reader sees the old, the new or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8", newline="\n")
    os.replace(unfinished, path)  # noqa: PTH105 - one atomic step


class Results:
    """The two result files of a batch, open while it runs.

    Use as a context manager. Leaving it well gives the files their names; leaving it by an
    exception keeps the part files, which hold every case added so far.

    Raises DatasetError where the folder or its files cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths = (folder / TABLE, folder / DOCUMENT)
        self._parts = [path.with_name(f".{path.name}.part") for path in self._paths]
        self._files: list[IO[str]] = []
        self._separator = "\n"

    def __enter__(self) -> Self:
        # Opened in turn and kept, since they live as long as the batch.
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files = [part.open("w", encoding="utf-8", newline="") for part in self._parts]
        self._write(csv_header(), f'{{"format": {json.dumps(FRAME)},\n"cases": [')
        return self

    def add(self, prediction: Prediction) -> None:
        """Write one case to both files, through to the operating system."""
        line = json.dumps(entry(prediction), allow_nan=False, ensure_ascii=False)
        self._write(csv_text(prediction.rows()), self._separator + line)
        self._separator = ",\n"

    def finish(self, failures: Iterable[str]) -> None:
        """Say which cases failed, and close the JSON document."""
        lines = json.dumps(list(failures), ensure_ascii=False, indent=0)
        self._write("", f'\n],\n"failures": {lines}\n}}\n')

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        with _writing(self._folder):
            for file in self._files:
                file.close()
            if kind is None:
                for part, path in zip(self._parts, self._paths, strict=True):
                    os.replace(part, path)  # noqa: PTH105 - one atomic step

    def _write(self, *texts: str) -> None:
        with _writing(self._folder):
            for file, text in zip(self._files, texts, strict=True):
                file.write(text)
                file.flush()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            folder,
            found=f"results that cannot be written ({error.strerror or error})",
            expected="a folder with room and permission",
            fix="free space, or choose another folder",
        ) from error


def _cell(value: object) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
