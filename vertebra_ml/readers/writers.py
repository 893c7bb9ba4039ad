"""Cases to disk in the layouts that `readers` reads: for the phantom and for tests."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np

from vertebra_ml.anatomy import VERSE_ID
from vertebra_ml.case import check_id
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Truth
from vertebra_ml.readers.plain import LANDMARKS
from vertebra_ml.volume import Volume

Writer = Callable[[Path, str, Volume, Truth | None, str], Path]


def write_case(
    root: Path,
    case: str,
    volume: Volume,
    truth: Truth | None,
    layout: str,
    *,
    patient: str = "",
) -> Path:
    """Write one case below ``root``, each file whole or not at all; return its scan.

    ``layout`` is ``plain``, ``plain-dicom`` (the same with a DICOM folder) or ``verse``, which can
    hold neither ``visible`` nor points of height alone: these are left out. The volume keeps its
    own grid; ``patient`` defaults to the case.

    Raises DatasetError for an unknown layout or an id that cannot name a file.
    """
    if layout not in WRITERS:
        raise DatasetError(
            root,
            found=f"the layout name {layout!r}",
            expected=f"one of {', '.join(sorted(WRITERS))}",
            fix="correct the name",
        )
    return WRITERS[layout](
        root, check_id(case, root), volume, truth, check_id(patient or case, root)
    )


def write_nifti(path: Path, volume: Volume) -> None:
    """Write a volume as .nii or .nii.gz with its own grid, in sform and qform, and its own HU."""
    image = nib.Nifti1Image(volume.array, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    nib.save(image, partial)
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write a small JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _write_plain(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    scan = root / case / "ct.nii.gz"
    write_nifti(scan, volume)
    _write_landmarks(scan.with_name(LANDMARKS), truth, patient)
    return scan


def _write_dicom(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    from vertebra_ml.readers.dicom_writer import write_series

    scan = root / case / "ct"
    partial = scan.with_name(".partial-ct")
    shutil.rmtree(partial, ignore_errors=True)
    write_series(partial, volume, seed=case)
    shutil.rmtree(scan, ignore_errors=True)
    partial.replace(scan)
    _write_landmarks(scan.with_name(LANDMARKS), truth, patient)
    return scan


def _write_landmarks(path: Path, truth: Truth | None, patient: str) -> None:
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


def _write_verse(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    if "_" in case + patient:
        raise DatasetError(
            root, found=f"the names {case!r} and {patient!r}",
            expected="names without underscore: it parts the entities of a BIDS name",
            fix="use hyphens",
        )  # fmt: skip
    subject = f"sub-{patient}"
    stem = subject if patient == case else f"{subject}_split-{case}"
    scan = root / "rawdata" / subject / f"{stem}_ct.nii.gz"
    write_nifti(scan, volume)
    if truth is not None:
        path = root / "derivatives" / subject / f"{stem}_seg-subreg_ctd.json"
        write_json(path, _centroids(volume, truth))
    return scan


def _centroids(volume: Volume, truth: Truth) -> list[dict[str, object]]:
    """Return VerSe's entries: voxel indices of the image in its own orientation."""
    entries: list[dict[str, object]] = [{"direction": list(volume.orientation)}]
    marks = truth.landmarks
    for label, voxel in zip(marks.labels, volume.world_to_voxel(marks.points_mm), strict=True):
        if np.isfinite(voxel).all():
            x, y, z = (round(float(v), 4) for v in voxel)
            entries.append({"label": VERSE_ID[label], "X": x, "Y": y, "Z": z})
    return entries


WRITERS: Final[dict[str, Writer]] = {
    "plain": _write_plain,
    "plain-dicom": _write_dicom,
    "verse": _write_verse,
}
