"""The served model, as MLflow's models-from-code: one row a scan in, the rows of slices.csv out.

A request is a table with one row a scan and the columns

    content   the scan itself: base64 text (JSON) or bytes (parquet) of a .nii.gz, .nii or DICOM
              file, a zipped DICOM folder, or a MIP archive (.npz)
    path      or: a file or folder below the root that the operator names, relative to it; a .raw
              with its sidecar beside it
    case      what to call the scan in the answer; where left out, made from ``path`` as on the
              command line, or ``scan-1``, ``scan-2``, ...

Where a row holds several CT series, or a published archive several entries, each is answered
for: as CASE-s3 for series 3, as CASE_ID for an entry.

The answer holds, for each scan and level, the columns of ``slices.csv`` and ``run``, ``data_hash``,
``seconds``, ``error``. Rows answer for themselves: a bad one among others gets a single row with
its ``error``. Where no row could be answered the status is 400 and ``message`` holds the line of
the first, ``errors`` those of all.

The operator's settings are environment variables, see ``vertebra_ml/served/settings.py`` and
``serving/README.md``.
"""

import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR
from mlflow.pyfunc.model import PythonModel

from vertebra_ml.case import Case
from vertebra_ml.errors import VertebraError
from vertebra_ml.landmarks import ROW_COLUMNS, Prediction
from vertebra_ml.served.facts import watched
from vertebra_ml.served.given import cases_of, in_their_words, word
from vertebra_ml.served.journal import Journal, answered, digest, refused
from vertebra_ml.served.settings import Settings
from vertebra_ml.served.turns import TookTooLong, Turns
from vertebra_ml.tracking.refusals import (
    RequestError,
    refuse_plainly,
    refuse_request,
    took_too_long,
)
from vertebra_ml.tracking.unlogged import UNLOGGED

logger = logging.getLogger(__name__)
COLUMNS = (*ROW_COLUMNS, "run", "data_hash", "seconds", "error")

Task = Callable[[], Prediction]


class SliceServer(PythonModel):
    """Answers requests with the model that was packed beside this file."""

    def load_context(self, context: Any) -> None:
        """Load the model once, and answer a made-up scan so that the first real one is not slow."""
        # The runtime and MLflow would otherwise repeat parts of a request in their messages.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("MLFLOW_DISABLE_SCHEMA_DETAILS", "true")
        from vertebra_ml.models import load_model
        from vertebra_ml.tracking import identity, made_up_scan

        settings = Settings.of_environment()
        refuse_plainly(settings)
        folder = Path(context.artifacts["model"])
        localiser = load_model(folder, identity(folder), outside=settings.outside)
        self.set_up(localiser, settings, Journal.of_environment())
        with suppress(VertebraError):
            self.localiser.locate(made_up_scan(), "warm-up")

    def set_up(self, localiser: Any, settings: Settings, journal: Journal | None) -> None:
        """Take the model, the operator's limits, and the log of requests where there is one."""
        self.localiser, self.settings, self.journal = localiser, settings, journal
        self.turns = Turns(settings.at_once, settings.timeout_s)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, object]]:
        """Return the answer's rows; a list, because a table would turn empty into NaN."""
        rows = _scans(model_input)
        try:
            with UNLOGGED, self.turns.turn() as check:
                return self._answers(rows, check)
        except TookTooLong:
            raise took_too_long(self.settings.timeout_s) from None

    def _answers(
        self, rows: list[dict[str, object]], check: Callable[[], None]
    ) -> list[dict[str, object]]:
        answers: list[dict[str, object]] = []
        errors: list[dict[str, object]] = []
        code = BAD_REQUEST
        for number, row in enumerate(rows):
            name = word(row["case"]) or word(row["path"]) or f"scan-{number + 1}"
            for case, task in self._tasks(name, row):
                check()
                started = time.perf_counter()
                try:
                    answers += _rows(task(), time.perf_counter() - started)
                    continue
                except VertebraError as error:
                    line = str(error)
                except Exception as error:  # noqa: BLE001  one bad scan must not cost the others
                    line, code = _fault(name, error), INTERNAL_ERROR
                errors.append({"row": number, "case": case, "error": line})
                answers.append({**dict.fromkeys(COLUMNS), "case": case, "error": line})
        if len(errors) == len(answers):
            raise RequestError(errors, code)
        return answers

    def _tasks(self, name: str, row: dict[str, object]) -> Iterator[tuple[str, Task]]:
        """Yield the name of each case in a row and what answers for it, or raises."""
        with ExitStack() as stack:
            try:
                cases, scan = stack.enter_context(cases_of(name, row, self.settings))
            except Exception as error:  # noqa: BLE001  told as the answer of this row
                yield name, partial(self._logged, partial(_raise, error), None, {})
                return
            for case in cases:
                seen, facts = watched(case) if self.journal else (case, {})
                task = partial(self._answer, seen, scan, row)
                called = name if len(cases) == 1 else case.id
                yield called, partial(self._logged, task, scan, facts)

    def _answer(self, case: Case, scan: bytes | Path, row: dict[str, object]) -> Prediction:
        from vertebra_ml.models import locate

        try:
            return locate(self.localiser, case)
        except VertebraError as error:
            if isinstance(scan, bytes):
                raise
            raise in_their_words(error, scan, row, self.settings.root) from error

    def _logged(
        self, task: Task, scan: bytes | Path | None, facts: dict[str, object]
    ) -> Prediction:
        """Do a task, and write a line about it where the operator wants a log."""
        if self.journal is None:
            return task()
        started = time.perf_counter()
        try:
            prediction = task()
        except Exception as error:
            # What was refused at a path is not read a second time, whole, for its digest.
            known = digest(scan) if isinstance(scan, bytes) else None
            entry = refused(self.localiser.identity, error, time.perf_counter() - started)
            self.journal.write({"scan": known, **entry, "facts": facts})
            raise
        entry = answered(prediction, time.perf_counter() - started)
        known = digest(scan) if scan is not None else None
        self.journal.write({"scan": known, **entry, "facts": facts})
        return prediction


def _raise(error: Exception) -> Prediction:
    raise error


def _fault(name: str, error: Exception) -> str:
    """Log where this program failed, without the message, which may quote the scan; tell that."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    fault = f"{type(error).__name__} in {Path(place.filename).name} line {place.lineno}"
    logger.error("a scan could not be answered: %s", fault)
    return str(
        VertebraError(
            name, found=f"a fault of this program ({fault})", expected="an answer", fix="report it"
        )
    )


def _scans(table: Any) -> list[dict[str, object]]:
    """Return ``content``, ``path``, ``case`` of each row; None where empty."""
    columns = list(map(str, table.columns)) if isinstance(table, pd.DataFrame) else []
    if not {"content", "path"} & set(columns) or len(table) == 0:
        found = "no rows" if columns else "no column content or path"
        expected = "a table with one row a scan and a column content or path (and case)"
        raise refuse_request(found, expected)
    return [
        {key: _filled(row.get(key)) for key in ("content", "path", "case")}
        for row in table.to_dict(orient="records")
    ]


def _filled(value: object) -> object:
    """Return ``value``, or None where the cell is empty (None, NaN, no characters)."""
    if value is None or (isinstance(value, float) and value != value) or value is pd.NA:
        return None
    return None if isinstance(value, str | bytes) and not value else value


def _rows(prediction: Prediction, seconds: float) -> list[dict[str, object]]:
    extra = {
        "run": prediction.model.run,
        "data_hash": prediction.model.data_hash,
        "seconds": round(seconds, 3),
        "error": None,
    }
    return [{**row, **extra} for row in prediction.rows()]


set_model(SliceServer())
