"""Layout ``verse``: the subject-based form of the VerSe data, named as BIDS names files.

    root/.../rawdata/sub-X/sub-X[_ENTITY-VALUE ...]_ct.nii.gz
    root/.../derivatives/sub-X/sub-X[_ENTITY-VALUE ...]_seg-subreg_ctd.json

Centroids are voxel indices, centres at whole numbers, of the image turned to the ``direction`` that
the file's first entry names (osf.io/4skx2: "voxels in the image space"; anjany/verse
``data_utilities.py``). The challenge's own form (``_iso-ctd.json``, 1 mm) is another layout.
"""

from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from vertebra_ml.anatomy import (
    LEVEL_OF_VERSE_ID,
    LEVELS,
    RANK,
    SACRUM_VERSE_ID,
    VERSE_ID,
    successors,
)
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, GeometryError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.plain import read_json
from vertebra_ml.readers.roots import check_within, files_below
from vertebra_ml.readers.scans import open_volume
from vertebra_ml.readers.writers import write_json, write_nifti
from vertebra_ml.volume import Volume

SCAN_ENDINGS: Final = ("_ct.nii.gz", "_ct.nii")
CENTROIDS: Final = "_ctd.json"
NOT_VERTEBRAE: Final = frozenset({SACRUM_VERSE_ID, 27})  # 27: coccyx
RAW: Final = "rawdata"
DERIVED: Final = "derivatives"


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of each CT below ``root`` named ``sub-...``; that entity is the patient.

    A case whose files links lead out of ``root`` fails when it is opened.

    Raises LimitError for a linked folder that leads out of ``root``.
    """
    scans = [path for path in files_below(root) if path.name.startswith("sub-")]
    return [_case(root, path, voxels_max) for path in scans if path.name.endswith(SCAN_ENDINGS)]


def _case(root: Path, scan: Path, voxels_max: int) -> Case:
    name = next(scan.name.removesuffix(e) for e in SCAN_ENDINGS if scan.name.endswith(e))
    labels = _centroid_files(scan, name)
    return Case(
        name,
        name.split("_")[0],
        scan,
        "verse",
        partial(_read_scan, root, scan, voxels_max=voxels_max),
        partial(_read_labels, root, labels, scan, voxels_max=voxels_max) if labels else None,
    )


def _centroid_files(scan: Path, name: str) -> tuple[Path, ...]:
    """Return the files of centroids beside a scan or in the twin folder below ``derivatives``."""
    parts = [DERIVED if part == RAW else part for part in scan.parent.parts]
    folders = dict.fromkeys((scan.parent, Path(*parts)))
    patterns = (f"{name}_seg-*{CENTROIDS}", f"{name}{CENTROIDS}")
    return tuple(
        sorted(path for folder in folders for each in patterns for path in folder.glob(each))
    )


def _read_scan(root: Path, scan: Path, *, voxels_max: int) -> Volume:
    return open_volume(check_within(root, scan), voxels_max=voxels_max)


def _read_labels(root: Path, files: tuple[Path, ...], scan: Path, *, voxels_max: int) -> Truth:
    for path in (*files, scan):
        check_within(root, path)
    if len(files) > 1:
        raise DatasetError(
            scan,
            found=f"centroids in {' and '.join(path.name for path in files)}",
            expected="one file of them",
            fix="leave the right one",
        )
    return read_centroids(files[0], scan, voxels_max=voxels_max)


def read_centroids(path: Path, scan: Path, *, voxels_max: int) -> Truth:
    """Read ``_ctd.json`` as points in RAS mm, through the header of ``scan``.

    VerSe labels no vertebra that the edge of the scan cuts, so each level that can follow either
    end counts as present but unlabelled. Sacrum, coccyx and entries of NaN are passed over; of an
    entry that our own `locate` marked ``"height_only": true`` the height alone is taken.

    Raises DatasetError naming the entry at fault, and whatever reading the header raises.
    """
    from vertebra_ml.readers.nifti import read_grid

    entries = read_json(path)
    if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
        raise _unlike(path, f"a JSON {type(entries).__name__} without a direction")
    affine, shape = read_grid(scan, voxels_max=voxels_max)
    # A grid without memory behind it: only its geometry is asked for.
    grid = Volume(np.broadcast_to(np.int16(0), shape), affine)
    try:
        turned = grid.reorient("".join(map(str, entries[0].get("direction", ""))))
    except (GeometryError, TypeError):
        raise _unlike(path, f"the direction {entries[0].get('direction')!r}"[:80]) from None
    read = [_centroid(path, number, entry) for number, entry in enumerate(entries[1:], start=2)]
    voxels = [pair for pair in read if pair is not None]
    if len(dict(voxels)) != len(voxels):
        raise _unlike(path, "a label given twice")
    points = {level: turned.voxel_to_world(np.array(voxel)) for level, voxel in voxels}
    for level in _heights_only(entries[1:]) & set(points):
        points[level][:2] = np.nan
    return Truth(Landmarks.of(points), neighbours(tuple(points)))


def _centroid(path: Path, number: int, entry: Any) -> tuple[str, tuple[float, ...]] | None:
    try:
        label, voxel = int(entry["label"]), tuple(float(entry[axis]) for axis in "XYZ")
    except (TypeError, KeyError, ValueError, OverflowError):
        raise _unlike(path, f"entry {number} without label, X, Y and Z") from None
    if label in NOT_VERTEBRAE or np.isnan(voxel).any():
        return None
    if label not in LEVEL_OF_VERSE_ID or not np.isfinite(voxel).all():
        raise _unlike(path, f"label {label} at {voxel} in entry {number}"[:100])
    return LEVEL_OF_VERSE_ID[label], voxel


def _heights_only(entries: list[dict[str, Any]]) -> set[str]:
    """Return the levels of which ``vertebra-ml locate`` knew the height alone."""
    return {
        LEVEL_OF_VERSE_ID.get(int(entry["label"]), "")
        for entry in entries
        if entry.get("height_only") is True
    }


def neighbours(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the levels that can follow the labelled ones at either end."""
    if not labels:
        return ()
    order = sorted(labels, key=RANK.__getitem__)
    above = [level for level in LEVELS if order[0] in successors(level)]
    return (*above, *successors(order[-1]))


def _unlike(path: Path, found: str) -> DatasetError:
    return DatasetError(
        path,
        found=found,
        expected='[{"direction": ["P", "I", "R"]}, {"label": 20, "X": ..., "Y": ..., "Z": ...}], '
        "labels 1-25 and 28 for vertebrae, each once",
        fix="correct the file, or drop the case",
    )


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case as BIDS names it; ``visible`` and points of height alone are left out.

    Raises DatasetError for an underscore in either name.
    """
    if "_" in case + patient:
        raise DatasetError(
            root,
            found=f"the names {case!r} and {patient!r}",
            expected="names without underscore: it parts the entities of a BIDS name",
            fix="use hyphens",
        )
    subject = f"sub-{patient}"
    stem = subject if patient == case else f"{subject}_split-{case}"
    scan = root / RAW / subject / f"{stem}_ct.nii.gz"
    write_nifti(scan, volume)
    if truth is not None:
        path = root / DERIVED / subject / f"{stem}_seg-subreg_ctd.json"
        write_json(path, _entries(volume, truth))
    return scan


def _entries(volume: Volume, truth: Truth) -> list[dict[str, object]]:
    """Return VerSe's entries: voxel indices of the image in its own orientation."""
    entries: list[dict[str, object]] = [{"direction": list(volume.orientation)}]
    marks = truth.landmarks
    for label, voxel in zip(marks.labels, volume.world_to_voxel(marks.points_mm), strict=True):
        if np.isfinite(voxel).all():
            x, y, z = (round(float(v), 4) for v in voxel)
            entries.append({"label": VERSE_ID[label], "X": x, "Y": y, "Z": z})
    return entries
