"""A case's MIP pair on disk: one ``.npz`` file, no pickle, the same bytes for the same content.

The file holds ``frontal`` and ``sagittal`` (int16, row x col) and ``about``, a JSON text as bytes:
who, where in RAS+ mm, the grid of the scan, and the labels. It names no person and holds no UID of
the source; case and patient are the data set's own pseudonyms.
"""

import json
import math
import os
import re
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import check_affine
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import Mip, MipPair, View
from vertebra_ml.volume import Source

VERSION = 1
PIXELS_MAX = 4096 * 4096
"""A picture of 4 m by 4 m at 1 mm: more is not a MIP and no memory is taken for it."""

ABOUT_BYTES_MAX = 4 * 1024 * 1024
"""JSON of 24 levels and some thousand instance numbers takes 100 kB."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
_MEMBERS = ("frontal.npy", "sagittal.npy", "about.npy")
_FAULTS = (
    OSError, EOFError, KeyError, TypeError, ValueError, OverflowError, RecursionError,
    RuntimeError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What a damaged or foreign file makes zipfile, numpy, json and our own types raise."""


@dataclass(frozen=True, eq=False)
class Archive:
    """A projected case.

    Parameters
    ----------
    case, patient : pseudonyms; letters, digits, ``.``, ``_`` and ``-``.
    group : where it came from: the name of a layout, or ``phantom``.
    pair : the two views.
    source : the grid of the scan.
    truth : the labels; None where there are none.
    """

    case: str
    patient: str
    group: str
    pair: MipPair
    source: Source
    truth: Truth | None = None

    def __post_init__(self) -> None:
        for name in (self.case, self.patient, self.group):
            if not NAME.fullmatch(name):
                raise DatasetError(
                    "MIP archive",
                    found=f"the name {name[:80]!r}",
                    expected="1 to 128 letters, digits, '.', '_' or '-'",
                    fix="give the case, its patient and its group plain names",
                )


def write_archive(path: Path, entry: Archive) -> None:
    """Write ``entry`` to ``path`` in one step: whole or not at all."""
    about = np.frombuffer(json.dumps(_about(entry), allow_nan=False).encode(), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            # numpy stamps every member 1980-01-01, so equal content gives equal bytes.
            np.savez_compressed(
                file,
                frontal=np.ascontiguousarray(entry.pair.frontal.image),
                sagittal=np.ascontiguousarray(entry.pair.sagittal.image),
                about=about,
            )
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_archive(path: Path) -> Archive:
    """Read what ``write_archive`` wrote.

    Sizes are checked in the headers before memory is taken. Raises DatasetError naming the file.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return _entry(*_arrays(file))
    except _FAULTS as error:
        found = error.found if isinstance(error, VertebraError) else _reason(error)
    raise DatasetError(
        path,
        found=found,
        expected="a MIP archive (.npz) made by `vertebra-ml mips`",
        fix="project the scan again, or leave the file out",
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    text = str(error).strip("'\"") or type(error).__name__
    return f"a file that cannot be read ({text[:200]})"


def _arrays(file: zipfile.ZipFile) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
    names = [info.filename for info in file.infolist()]
    if sorted(names) != sorted(_MEMBERS):
        raise ValueError(f"members {names[:8]}")
    frontal, sagittal = (_array(file, name, np.int16, PIXELS_MAX) for name in _MEMBERS[:2])
    text = _array(file, _MEMBERS[2], np.uint8, ABOUT_BYTES_MAX)
    about = json.loads(text.tobytes().decode())
    if not isinstance(about, dict) or about.get("version") != VERSION:
        raise ValueError(f"no description of version {VERSION}")
    return frontal, sagittal, about


def _array(file: zipfile.ZipFile, name: str, dtype: type, items_max: int) -> NDArray[Any]:
    """Read one .npy member whose header agrees with what is expected and with its size."""
    info = file.getinfo(name)
    with file.open(info) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} of another numpy format")
        shape, fortran, found = np.lib.format.read_array_header_1_0(stream)
        count = math.prod(shape)
        if found != dtype or fortran or not 1 <= count <= items_max:
            raise ValueError(f"{name} of shape {shape} and type {found}")
        wanted = count * found.itemsize
        content = stream.read(wanted + 1)
    if len(content) != wanted:
        raise ValueError(f"{name} with {len(content)} bytes for shape {shape}")
    return np.frombuffer(content, dtype=found).reshape(shape)


def _about(entry: Archive) -> dict[str, Any]:
    pair, source = entry.pair, entry.source
    numbers = source.instance_numbers
    return {
        "version": VERSION,
        "case": entry.case,
        "patient": entry.patient,
        "group": entry.group,
        "frame": "RAS",
        "unit": "mm",
        "frontal": {"spacing": pair.frontal.spacing_mm, "origin": pair.frontal.origin_mm},
        "sagittal": {"spacing": pair.sagittal.spacing_mm, "origin": pair.sagittal.origin_mm},
        "spine": pair.spine_mm,
        "scan": {
            "affine": source.affine.tolist(),
            "shape": [int(n) for n in source.shape],
            "instance_numbers": None if numbers is None else [int(n) for n in numbers],
        },
        "truth": None if entry.truth is None else _truth_out(entry.truth),
    }


def _entry(frontal: NDArray[Any], sagittal: NDArray[Any], about: dict[str, Any]) -> Archive:
    x, y = (float(v) for v in about["spine"])
    pair = MipPair(
        _mip(frontal, about["frontal"], "frontal"), _mip(sagittal, about["sagittal"], "sagittal"),
        (x, y),
    )  # fmt: skip
    truth = about["truth"]
    return Archive(
        case=about["case"],
        patient=about["patient"],
        group=about["group"],
        pair=pair,
        source=_source(about["scan"]),
        truth=None if truth is None else _truth_in(truth),
    )


def _mip(image: NDArray[Any], place: dict[str, Any], view: View) -> Mip:
    (row_mm, column_mm), (z_mm, across_mm) = place["spacing"], place["origin"]
    spacing, origin = (float(row_mm), float(column_mm)), (float(z_mm), float(across_mm))
    return Mip(image, spacing, origin, view)


def _source(scan: dict[str, Any]) -> Source:
    x, y, z = (int(n) for n in scan["shape"])
    numbers = scan["instance_numbers"]
    source = Source(
        check_affine(scan["affine"]),
        (x, y, z),
        None if numbers is None else tuple(int(n) for n in numbers),
    )
    if min(source.shape) < 1:
        raise ValueError(f"a scan of shape {source.shape}")
    return source


def _truth_out(truth: Truth) -> dict[str, Any]:
    marks = truth.landmarks
    return {
        "labels": list(marks.labels),
        "points": [_plain(point) for point in marks.points_mm],
        "scores": _plain(marks.scores),
        "spread": _plain(marks.spread_mm),
        "visible": list(truth.visible),
    }


def _truth_in(truth: dict[str, Any]) -> Truth:
    labels = tuple(truth["labels"])
    points = np.array([_float(point) for point in truth["points"]]).reshape(len(labels), 3)
    marks = Landmarks(labels, points, _float(truth["scores"]), _float(truth["spread"]))
    return Truth(marks, tuple(truth["visible"]))


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    """Return a list for JSON, which has no NaN: None stands for it."""
    return [None if math.isnan(v) else float(v) for v in values]


def _float(values: list[float | None]) -> NDArray[np.float64]:
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)
