"""Layout ``plain``: a folder a case with one CT, and optionally its landmarks in RAS mm.

root/CASE/ct.nii.gz | ct.nii | ct/ (DICOM) | ct.zip
root/CASE/landmarks.json
"""

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from vertebra_ml.case import ID_PATTERN, Case
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.roots import check_within
from vertebra_ml.readers.scans import open_volume
from vertebra_ml.readers.writers import write_json, write_nifti
from vertebra_ml.volume import Volume

SCANS: Final = ("ct.nii.gz", "ct.nii", "ct", "ct.zip")
LANDMARKS: Final = "landmarks.json"
REQUIRED: Final = frozenset({"frame", "unit", "landmarks", "visible"})
OPTIONAL: Final = frozenset({"patient", "note"})
POINT_MAX_MM: Final = 1e6
"""A kilometre from the origin: no scanner's coordinates, whatever its frame of reference."""
JSON_BYTES_MAX: Final = 10_000_000
"""Far above any label file; a larger one is something else under that name."""


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of each folder below ``root`` that is not hidden.

    The patient is the optional ``patient`` of ``landmarks.json``, else the case itself. A case
    whose files links lead out of ``root`` fails when it is opened.

    Raises DatasetError for a folder whose name cannot be an id.
    """
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [_case(root, folder, voxels_max) for folder in folders]


def _case(root: Path, folder: Path, voxels_max: int) -> Case:
    labels = folder / LANDMARKS
    return Case(
        folder.name,
        patient_in(root, labels) or folder.name,
        folder,
        "plain",
        partial(read_scan, root, folder, voxels_max=voxels_max),
        partial(read_landmarks, labels, root) if os.path.lexists(labels) else None,
    )


def scans_in(folder: Path) -> list[Path]:
    """Return which of the names that a CT can have are there."""
    return [folder / name for name in SCANS if (folder / name).exists()]


def read_scan(root: Path, folder: Path, *, voxels_max: int) -> Volume:
    """Read the one CT of a case folder of the data set at ``root``.

    Raises DatasetError where there is none or more than one, LimitError where links lead out.
    """
    scans = scans_in(folder)
    if len(scans) != 1:
        raise DatasetError(
            folder,
            found=" and ".join(path.name for path in scans) or "no CT",
            expected=f"one of {', '.join(SCANS)}",
            fix="leave one scan in each case folder",
        )
    return open_volume(check_within(root, scans[0]), voxels_max=voxels_max)


def read_landmarks(path: Path, root: Path | None = None) -> Truth:
    """Read ``landmarks.json``: body centres in RAS mm, and every level in the scan.

    ``[null, null, z]`` is a point whose height alone is known. Raises DatasetError naming the key
    at fault, LimitError where links lead out of ``root``.
    """
    if root is not None:
        check_within(root, path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise _unlike(path, f"a JSON {type(content).__name__}")
    wrong = (REQUIRED - content.keys()) or (content.keys() - REQUIRED - OPTIONAL)
    if wrong:
        state = "unknown" if wrong <= content.keys() else "missing"
        raise _unlike(path, f"{state} keys {', '.join(sorted(wrong))}")
    if (content["frame"], content["unit"]) != ("RAS", "mm"):
        raise _unlike(path, f"frame {content['frame']!r} and unit {content['unit']!r}")
    points, visible = content["landmarks"], content["visible"]
    if not isinstance(points, dict) or not isinstance(visible, list):
        raise _unlike(path, "landmarks that are no object or visible that is no list")
    values = {label: _point(path, label, point) for label, point in points.items()}
    try:
        return Truth(Landmarks.of(values), tuple(str(level) for level in visible))
    except DatasetError as error:
        raise DatasetError(
            path, found=error.found, expected=error.expected, fix=error.fix
        ) from None


def read_json(path: Path) -> Any:
    """Read a small JSON file; raise DatasetError where it is not JSON, too large, or holds a key
    twice (of which Python would keep the last)."""
    try:
        if path.stat().st_size > JSON_BYTES_MAX:
            raise DatasetError(
                path,
                found=f"{path.stat().st_size:,} bytes",
                expected=f"a label file of at most {JSON_BYTES_MAX:,}",
                fix="check what kind of file this is",
            )
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            path, found=f"no readable JSON ({error})", expected="a JSON file", fix="repair the file"
        ) from None


def patient_in(root: Path, path: Path) -> str:
    """Return the patient that a label file names; a fault in the file is told when it is read."""
    try:
        patient = read_json(check_within(root, path)).get("patient", "") if path.exists() else ""
    except (DatasetError, LimitError, AttributeError):
        return ""
    return patient if isinstance(patient, str) and ID_PATTERN.fullmatch(patient) else ""


def _point(path: Path, label: str, point: object) -> list[float]:
    if isinstance(point, list) and len(point) == 3:
        numbers = [np.nan if value is None else _number(value) for value in point]
        if None not in numbers:
            return [value for value in numbers if value is not None]
    raise _unlike(path, f"{label} at {point!r}"[:100])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; raise ValueError for a key given twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"the key {twice[:40]!r} twice")
    return content


def _number(value: object) -> float | None:
    """Return a JSON number as float; None for anything else, and for one that no float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < POINT_MAX_MM else None


def _unlike(path: Path, found: str) -> DatasetError:
    return DatasetError(
        path,
        found=found,
        expected='{"frame": "RAS", "unit": "mm", "landmarks": {"L3": [x, y, z]}, "visible": [...]}',
        fix="correct the file; docs/data.md shows one",
    )


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case with its CT as ct.nii.gz; return that."""
    scan = root / case / "ct.nii.gz"
    write_nifti(scan, volume)
    write_landmarks(scan.with_name(LANDMARKS), truth, patient)
    return scan


def write_dicom(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case with its CT as a folder of DICOM slices; return that."""
    scan = root / case / "ct"
    write_dicom_folder(scan, volume, seed=case)
    write_landmarks(scan.with_name(LANDMARKS), truth, patient)
    return scan


def write_dicom_folder(folder: Path, volume: Volume, *, seed: str) -> None:
    """Write a series as a folder that replaces what was there, whole or not at all."""
    from vertebra_ml.readers.dicom_writer import write_series

    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    write_series(partial, volume, seed=seed)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def write_landmarks(path: Path, truth: Truth | None, patient: str) -> None:
    """Write ``landmarks.json`` as `read_landmarks` reads it; nothing where there is no truth."""
    if truth is None:
        return
    marks = truth.landmarks
    content = {
        "frame": "RAS",
        "unit": "mm",
        "patient": patient,
        "landmarks": {
            label: [None if np.isnan(v) else round(float(v), 3) for v in point]
            for label, point in zip(marks.labels, marks.points_mm, strict=True)
        },
        "visible": list(truth.visible),
    }
    write_json(path, content)
