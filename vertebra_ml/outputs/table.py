"""Answers on disk: ``slices.csv`` (a row a case and level) and ``slices.json`` (an entry a case).

Both are written case by case into a file beside their own (``.slices.csv.part``) that takes the
final name at the end: a reader never sees half a table, and a run that is killed leaves what it had
finished in the part files. Numbers are those of ``Prediction.rows``, digit for digit, in both.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from vertebra_ml.landmarks import ROUND_DIGITS, ROW_COLUMNS, Prediction
from vertebra_ml.outputs.files import check_folder, writing
from vertebra_ml.outputs.formats import DEFAULT

NAMES: Final = {"csv": "slices.csv", "json": "slices.json"}
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


class Results:
    """The result files of a whole batch, open while it runs.

    Use as a context manager. Leaving it well gives the files their names; leaving it by an
    exception keeps the part files, which hold every case added so far.

    Parameters
    ----------
    folder : where they go; made where it is not there.
    formats : ``csv``, ``json``, both or neither; other names are passed over.

    Raises DatasetError where the folder or its files cannot be written.
    """

    def __init__(self, folder: Path, formats: Sequence[str] = DEFAULT) -> None:
        self._folder = folder
        self._paths = {name: folder / NAMES[name] for name in NAMES if name in formats}
        self._files: dict[str, IO[str]] = {}
        self._open = ExitStack()
        self._cases = 0

    def __enter__(self) -> Self:
        check_folder(self._folder)
        try:
            self._begin()
        except BaseException:
            self._discard()
            raise
        return self

    def add(self, prediction: Prediction) -> None:
        """Write one case to the files, through to the operating system."""
        line = json.dumps(entry(prediction), allow_nan=False, ensure_ascii=False)
        self._write(csv=csv_text(prediction.rows()), json=(",\n" if self._cases else "\n") + line)
        self._cases += 1

    def finish(self, failures: Iterable[str]) -> None:
        """Say which cases failed, and close the JSON document."""
        lines = json.dumps(list(failures), ensure_ascii=False, indent=0)
        self._write(csv="", json=f'\n],\n"failures": {lines}\n}}\n')

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            with writing(self._folder):
                self._open.close()
                for path in self._paths.values() if kind is None else ():
                    os.replace(_part(path), path)  # noqa: PTH105 - one atomic step
        finally:
            if not self._cases:
                self._discard()

    def _begin(self) -> None:
        with writing(self._folder):
            for name, path in self._paths.items():
                # A file name that is not UTF-8 is spelt out, in JSON as JSON does.
                file = _part(path).open(
                    "w", encoding="utf-8", errors="backslashreplace", newline=""
                )
                # Opened in turn and kept, since they live as long as the batch.
                self._files[name] = self._open.enter_context(file)
        self._write(csv=csv_header(), json=f'{{"format": {json.dumps(FRAME)},\n"cases": [')

    def _discard(self) -> None:
        with suppress(OSError):  # a full disk refuses what is left in the buffers once more
            self._open.close()
        for path in self._paths.values():
            _part(path).unlink(missing_ok=True)

    def _write(self, **texts: str) -> None:
        with writing(self._folder):
            for name, file in self._files.items():
                file.write(texts[name])
                file.flush()


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _cell(value: object) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
