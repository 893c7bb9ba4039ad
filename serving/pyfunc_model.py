"""The served model, as MLflow's models-from-code: one row a scan in, the rows of slices.csv out.

A request is a table with one row a scan and the columns

    content   the scan itself: base64 text (JSON) or bytes (parquet) of a .nii.gz or .nii file, a
              zipped DICOM folder, or a MIP archive (.npz)
    path      or: a file or folder below the root that the operator names, relative to it
    case      what to call the scan in the answer; where left out, made from ``path`` as on the
              command line, or ``scan-1``, ``scan-2``, ...

The answer holds, for each scan and level, the columns of ``slices.csv`` and ``run``, ``data_hash``,
``seconds``, ``error``. Rows answer for themselves: a bad one among others gets a single row with
its ``error``. Where no row could be answered the status is 400 and ``message`` holds the line of
the first, ``errors`` those of all.

Environment of the server:

    VERTEBRA_ML_ROOT             folder below which ``path`` may read; unset: no ``path`` is read
    VERTEBRA_ML_CONTENT_MAX_MB   largest scan in ``content`` (default 1024), checked before decoding
"""

import base64
import binascii
import io
import json
import logging
import os
import tempfile
import time
import traceback
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR
from mlflow.pyfunc.model import PythonModel

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.landmarks import ROW_COLUMNS, Prediction

logger = logging.getLogger(__name__)

ROOT_VARIABLE = "VERTEBRA_ML_ROOT"
SIZE_VARIABLE = "VERTEBRA_ML_CONTENT_MAX_MB"
CONTENT_MAX_MB = 1024
MB = 1 << 20
COLUMNS = (*ROW_COLUMNS, "run", "data_hash", "seconds", "error")

ZIP_MAGIC, GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"
NIFTI_MAGIC, NIFTI_MAGICS = slice(344, 347), (b"n+1", b"ni1")  # where a NIfTI-1 header has them
KINDS = "a .nii.gz or .nii file, a zipped DICOM folder, or a MIP archive (.npz)"


class RequestError(MlflowException):
    """A request of which no row could be answered; the body holds our lines and nothing else."""

    def __init__(self, errors: list[dict[str, object]], code: int = BAD_REQUEST) -> None:
        super().__init__(str(errors[0]["error"]), error_code=code)
        self.errors = errors

    def serialize_as_json(self) -> str:
        """Return the body. MLflow's own would repeat the request's data before our line."""
        first = str(self.errors[0]["error"])
        return json.dumps({"error_code": self.error_code, "message": first, "errors": self.errors})


class SliceServer(PythonModel):
    """Answers requests with the model that was packed beside this file."""

    def load_context(self, context: Any) -> None:
        """Load the model once, and answer a made-up scan so that the first real one is not slow."""
        # The runtime and MLflow would otherwise repeat parts of a request in their messages.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("MLFLOW_DISABLE_SCHEMA_DETAILS", "true")
        from vertebra_ml.models import load_model
        from vertebra_ml.tracking import identity, made_up_scan

        folder = Path(context.artifacts["model"])
        root = os.environ.get(ROOT_VARIABLE)
        self.root = Path(root).resolve(strict=True) if root else None
        self.content_max = int(os.environ.get(SIZE_VARIABLE, CONTENT_MAX_MB)) * MB
        self.localiser = load_model(folder, identity(folder))
        with suppress(VertebraError):
            self.localiser.locate(made_up_scan(), "warm-up")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, object]]:
        """Return the answer's rows; a list, because a table would turn empty into NaN."""
        answers: list[dict[str, object]] = []
        errors: list[dict[str, object]] = []
        code = BAD_REQUEST
        scans = _scans(model_input)
        for number, scan in enumerate(scans):
            name = str(scan["case"] or scan["path"] or f"scan-{number + 1}")
            started = time.perf_counter()
            try:
                prediction = self._answer(name, scan)
                answers += _rows(prediction, time.perf_counter() - started)
                continue
            except VertebraError as error:
                line = str(error)
            except Exception as error:  # noqa: BLE001  one bad scan must not cost the others
                line, code = _fault(name, error), INTERNAL_ERROR
            errors.append({"row": number, "case": name, "error": line})
            answers.append({**dict.fromkeys(COLUMNS), "case": name, "error": line})
        if len(errors) == len(scans):
            raise RequestError(errors, code)
        return answers

    def _answer(self, name: str, scan: dict[str, object]) -> Prediction:
        from vertebra_ml.models import locate

        content, path = scan["content"], scan["path"]
        if (content is None) == (path is None):
            raise DatasetError(
                name,
                found="both content and path" if content is not None else "no content and no path",
                expected="one of the two",
                fix="fill content or path in every row",
            )
        if path is None:
            return locate(self.localiser, _content_case(name, content, self.content_max))
        file = self._below_root(name, str(path))
        try:
            return locate(self.localiser, _path_case(file, scan["case"]))
        except VertebraError as error:
            raise _renamed(error, file, str(path)) from error

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
        if not file.is_relative_to(self.root):
            raise LimitError(
                name,
                found="a path outside the folder that this server may read",
                expected="a path below it, after resolving links",
                fix="give it relative to that folder, or send the scan in content",
            )
        return file


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
        line = str(
            DatasetError(
                "request",
                found=found,
                expected="a table with one row a scan and a column content or path (and case)",
                fix='for example {"dataframe_records": [{"path": "ct.nii.gz", "case": "a"}]}',
            )
        )
        raise RequestError([{"row": None, "case": None, "error": line}])
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


def _content_case(name: str, content: object, most: int) -> Case:
    """Make a case of what came with the request; what its first bytes say decides how."""
    from vertebra_ml.readers import open_content

    data = _decode(name, content, most)
    if data[:4] == ZIP_MAGIC:
        return _archive_case(name, data) if _holds_arrays(name, data) else open_content(data, name)
    if data[:2] == GZIP_MAGIC or data[NIFTI_MAGIC] in NIFTI_MAGICS:
        return open_content(data, name)
    raise _not_a_scan(name, "bytes of another kind" if data else "no bytes")


def _holds_arrays(name: str, data: bytes) -> bool:
    """Whether a zip holds numpy arrays only, as our MIP archives do."""
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _not_a_scan(name, "a broken zip") from error
    return bool(names) and all(member.endswith(".npy") for member in names)


def _archive_case(name: str, data: bytes) -> Case:
    """Read a MIP archive by way of a private file, which is gone before this returns."""
    from vertebra_ml.archive import read_archive

    with tempfile.TemporaryDirectory(prefix="vertebra-ml-") as folder:
        file = Path(folder) / "archive.npz"
        file.write_bytes(data)
        try:
            entry = read_archive(file)
        except VertebraError as error:
            raise _renamed(error, file, name) from error
    mips = (entry.pair, entry.source)
    return Case(safe_id(name), safe_id(name), Path(name), "archive", open_mips=lambda: mips)


def _path_case(file: Path, name: object) -> Case:
    from vertebra_ml.readers import open_case

    case = open_case(file)
    return replace(case, id=safe_id(str(name))) if name else case


def _not_a_scan(name: str, found: str) -> DatasetError:
    return DatasetError(name, found=found, expected=KINDS, fix="send the file as it is on disk")


def _renamed(error: VertebraError, file: Path, shown: str) -> VertebraError:
    """Say of the caller's name what was said of our file."""
    texts = {
        key: str(getattr(error, key)).replace(str(file), shown)
        for key in ("where", "found", "expected", "fix")
    }
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
