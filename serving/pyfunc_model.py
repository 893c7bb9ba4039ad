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

Environment of the server:

    VERTEBRA_ML_ROOT             folder below which ``path`` may read; unset: no ``path`` is read
    VERTEBRA_ML_CONTENT_MAX_MB   largest scan in ``content`` (default 1024), checked before decoding
    VERTEBRA_ML_VOXELS_MAX       most voxels that a header may claim, checked before memory is taken
"""

import base64
import binascii
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR
from mlflow.pyfunc.model import PythonModel

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.landmarks import ROW_COLUMNS, Prediction
from vertebra_ml.tracking.refusals import RequestError, refuse_plainly, refuse_request
from vertebra_ml.tracking.unlogged import UNLOGGED

logger = logging.getLogger(__name__)
ROOT_VARIABLE = "VERTEBRA_ML_ROOT"
SIZE_VARIABLE = "VERTEBRA_ML_CONTENT_MAX_MB"
VOXELS_VARIABLE = "VERTEBRA_ML_VOXELS_MAX"
CONTENT_MAX_MB = 1024
MB = 1 << 20
COLUMNS = (*ROW_COLUMNS, "run", "data_hash", "seconds", "error")

NAME_LENGTH_MAX = 500  # of a row's case or path in messages
SIDECARS = (".yaml", ".yml")

MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")  # zip, empty zip, gzip
DICOM = slice(128, 132)
NIFTI_MAGIC, NIFTI_MAGICS = slice(344, 347), (b"n+1", b"ni1")  # where a NIfTI-1 header has them
KINDS = "a .nii.gz, .nii or DICOM file, a zipped DICOM folder, or a MIP archive (.npz)"


class SliceServer(PythonModel):
    """Answers requests with the model that was packed beside this file."""

    def load_context(self, context: Any) -> None:
        """Load the model once, and answer a made-up scan so that the first real one is not slow."""
        # The runtime and MLflow would otherwise repeat parts of a request in their messages.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("MLFLOW_DISABLE_SCHEMA_DETAILS", "true")
        from vertebra_ml.models import load_model
        from vertebra_ml.readers import VOXELS_MAX
        from vertebra_ml.tracking import identity, made_up_scan

        refuse_plainly()
        folder = Path(context.artifacts["model"])
        root = os.environ.get(ROOT_VARIABLE)
        self.root = Path(root).resolve(strict=True) if root else None
        self.content_max = int(os.environ.get(SIZE_VARIABLE, CONTENT_MAX_MB)) * MB
        self.voxels_max = int(os.environ.get(VOXELS_VARIABLE, VOXELS_MAX))
        self.localiser = load_model(folder, identity(folder))
        with suppress(VertebraError):
            self.localiser.locate(made_up_scan(), "warm-up")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, object]]:
        """Return the answer's rows; a list, because a table would turn empty into NaN."""
        with UNLOGGED:
            return self._answers(model_input)

    def _answers(self, model_input: pd.DataFrame) -> list[dict[str, object]]:
        answers: list[dict[str, object]] = []
        errors: list[dict[str, object]] = []
        code = BAD_REQUEST
        for number, scan in enumerate(_scans(model_input)):
            name = str(scan["case"] or scan["path"] or f"scan-{number + 1}")[:NAME_LENGTH_MAX]
            for case, task in self._tasks(name, scan):
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

    def _tasks(
        self, name: str, scan: dict[str, object]
    ) -> Iterator[tuple[str, Callable[[], Prediction]]]:
        """Yield the name of each case in a row and what answers for it, or raises."""
        try:
            cases, file = self._cases(name, scan)
        except Exception as error:  # noqa: BLE001  told as the answer of this row
            yield name, partial(_raise, error)
            return
        for case in cases:
            yield name if len(cases) == 1 else case.id, partial(self._answer, case, file, scan)

    def _cases(self, name: str, scan: dict[str, object]) -> tuple[list[Case], Path | None]:
        content, path = scan["content"], scan["path"]
        if (content is None) == (path is None):
            raise DatasetError(
                name,
                found="both content and path" if content is not None else "no content and no path",
                expected="one of the two",
                fix="fill content or path in every row",
            )
        if path is None:
            most = self.content_max
            return _content_cases(name, content, most=most, voxels_max=self.voxels_max), None
        file = self._below_root(name, str(path))
        given = str(scan["case"] or "")[:NAME_LENGTH_MAX]
        return _path_cases(file, given, voxels_max=self.voxels_max), file

    def _answer(self, case: Case, file: Path | None, scan: dict[str, object]) -> Prediction:
        from vertebra_ml.models import locate

        try:
            return locate(self.localiser, case)
        except VertebraError as error:
            if file is None:
                raise
            shown = str(scan["path"])[:NAME_LENGTH_MAX]
            raise _renamed(error, {str(file): shown, f"{self.root}{os.sep}": ""}) from error

    def _below_root(self, name: str, path: str) -> Path:
        """Return the file that ``path`` means. Raises LimitError for one outside the root."""
        if self.root is None:
            raise LimitError(
                name,
                found="a path",
                expected=f"content: this server reads no files ({ROOT_VARIABLE} is not set)",
                fix="send the scan in content",
            )
        try:
            file = (self.root / path).resolve()
        except (OSError, ValueError, RuntimeError):  # NUL bytes, endless links, far too long
            file = Path()
        beside = [file.with_suffix(each) for each in SIDECARS if file.suffix.lower() == ".raw"]
        if not all(each.resolve().is_relative_to(self.root) for each in (file, *beside)):
            raise LimitError(
                name,
                found="a path outside the folder that this server may read",
                expected="a path below it, after resolving links",
                fix="give it relative to that folder, or send the scan in content",
            )
        return file


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


def _decode(name: str, content: object, most: int) -> bytes:
    """Return the bytes of ``content``; its size is checked before anything is decoded."""
    if not isinstance(content, str | bytes | bytearray | memoryview):
        raise _not_a_scan(name, f"content of type {type(content).__name__}")
    size = len(content) * 3 // 4 if isinstance(content, str) else len(content)
    if size > most:
        raise LimitError(
            name,
            found=f"a scan of {size / MB:.0f} MB",
            expected=f"at most {most / MB:.0f} MB",
            fix=f"put the scan on shared storage and send its path, or raise {SIZE_VARIABLE}",
        )
    if not isinstance(content, str):
        return bytes(content)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _not_a_scan(name, "content that is not base64") from error


def _content_cases(name: str, content: object, *, most: int, voxels_max: int) -> list[Case]:
    """Make cases of what came with the request; what its first bytes say decides how."""
    from vertebra_ml.readers import open_contents

    data = _decode(name, content, most)
    known = data.startswith(MAGICS) or data[NIFTI_MAGIC] in NIFTI_MAGICS or data[DICOM] == b"DICM"
    if not known:
        raise _not_a_scan(name, "bytes of another kind" if data else "no bytes")
    return open_contents(data, name, voxels_max=voxels_max)


def _path_cases(file: Path, name: str, *, voxels_max: int) -> list[Case]:
    """Make cases of a file or folder; ``name`` takes the place of its own where it is given."""
    from vertebra_ml.readers import open_cases
    from vertebra_ml.readers.given import case_name

    cases, own = open_cases([file], voxels_max=voxels_max), case_name(file)
    ids = [case.id.removeprefix(own) if case.id.startswith(own) else None for case in cases]
    return [
        replace(case, id=safe_id(name + end)) if name and end is not None else case
        for case, end in zip(cases, ids, strict=True)
    ]


def _not_a_scan(name: str, found: str) -> DatasetError:
    return DatasetError(name, found=found, expected=KINDS, fix="send the file as it is on disk")


def _renamed(error: VertebraError, names: dict[str, str]) -> VertebraError:
    """Say of the caller's names what was said of our files."""
    texts = {key: str(getattr(error, key)) for key in ("where", "found", "expected", "fix")}
    for ours, theirs in names.items():
        texts = {key: text.replace(ours, theirs) for key, text in texts.items()}
    where = texts.pop("where")
    return type(error)(where, **texts)


def _rows(prediction: Prediction, seconds: float) -> list[dict[str, object]]:
    extra = {
        "run": prediction.model.run,
        "data_hash": prediction.model.data_hash,
        "seconds": round(seconds, 3),
        "error": None,
    }
    return [{**row, **extra} for row in prediction.rows()]


set_model(SliceServer())
