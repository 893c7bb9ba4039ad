"""Layout ``masks``: a CT beside a mask of its vertebrae; the landmarks are the bodies' centres.

    root/labels.json                                  which table the numbers follow, for all cases
    root/CASE/ct.nii.gz | ct.nii | ct/ (DICOM) | ct.zip
    root/CASE/mask.nii.gz                             one mask, a number a vertebra
    root/CASE/labels.json                             optional: this case's own table, its patient
    root/CASE/segmentations/vertebrae_L3.nii.gz ...   or TotalSegmentator's file per vertebra

Masks are opened only when the truth is asked for. A vertebra that touches the first or last slice,
whose body meets another face of the grid, or of which only a thin part is there, is visible but
has no landmark; so has C1, which has no body.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.mask_centres import BODILESS, find_body, largest_piece
from vertebra_ml.readers.mask_sides import check_sides, pairs_of
from vertebra_ml.readers.mask_tables import (
    LABELS,
    NUMBER_MAX,
    PREFIX,
    Table,
    level_of_file,
    patient_of,
    read_table,
)
from vertebra_ml.readers.plain import read_scan, scans_in
from vertebra_ml.readers.roots import check_within
from vertebra_ml.volume import Volume

MASKS: Final = ("mask.nii.gz", "mask.nii")
FOLDER: Final = "segmentations"
ENDINGS: Final = (".nii.gz", ".nii")
GRID_TOLERANCE_MM: Final = 0.1
SIDED_PAIRS: Final = 3
"""Pairs of single files that are read to tell left from right; each is a whole grid."""

Found = dict[str, NDArray[np.float64] | None]
"""Level -> (3,) RAS mm of its body's centre; None where it is visible without a landmark."""


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of each folder below ``root`` that is not hidden.

    The patient is the optional ``patient`` of the case's ``labels.json``, else the case. A case
    whose files links lead out of ``root`` fails when it is opened.

    Raises DatasetError for a folder whose name cannot be an id.
    """
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [
        Case(
            folder.name,
            patient_of(folder / LABELS) or folder.name,
            folder,
            "masks",
            partial(read_scan, root, folder, voxels_max=voxels_max),
            partial(read_truth, root, folder, voxels_max=voxels_max) if masks_in(folder) else None,
        )
        for folder in folders
    ]


def masks_in(folder: Path) -> list[Path]:
    """Return which of the names that a mask can have are there."""
    return [folder / name for name in (*MASKS, FOLDER) if os.path.lexists(folder / name)]


def read_truth(root: Path, folder: Path, *, voxels_max: int) -> Truth:
    """Read the masks of a case: body centres in RAS mm, and every level in them as visible.

    Raises DatasetError for two kinds of mask, no or an unfit ``labels.json``, a grid other than the
    CT's, numbers that the table does not hold, and left and right exchanged; LimitError where
    links lead out of ``root``; and whatever reading a NIfTI raises.
    """
    check_within(root, folder)
    masks = masks_in(folder)
    if len(masks) != 1:
        raise DatasetError(
            folder, found=" and ".join(path.name for path in masks) or "no mask",
            expected=f"one of {', '.join((*MASKS, FOLDER))}", fix="leave the right one",
        )  # fmt: skip
    grid = _grid(root, folder, voxels_max=voxels_max)
    if masks[0].name == FOLDER:
        found = _single_files(root, masks[0], grid, voxels_max=voxels_max)
    else:
        table = _table(root, folder)
        volume = _read_mask(root, masks[0], grid, voxels_max=voxels_max)
        found = _numbered(volume, table, masks[0])
    points = {level: point for level, point in found.items() if point is not None}
    return Truth(Landmarks.of(points), tuple(found))


def _table(root: Path, folder: Path) -> Table:
    """Return the case's own table, else the data set's."""
    places = [folder / LABELS, root / LABELS]
    path = next((place for place in places if os.path.lexists(place)), None)
    if path is None:
        raise DatasetError(
            folder, found=f"no {LABELS}", expected="the table that the mask's numbers follow",
            fix=f'write {{"table": "totalsegmentator"}} or "verse" to {LABELS} in the data set',
        )  # fmt: skip
    return read_table(check_within(root, path))


def _grid(root: Path, folder: Path, *, voxels_max: int) -> Volume:
    """Return the CT's grid in RAS without its voxels where the format allows that."""
    from vertebra_ml.readers.nifti import read_grid

    scans = scans_in(folder)
    if len(scans) == 1 and scans[0].name.endswith(ENDINGS):
        affine, shape = read_grid(check_within(root, scans[0]), voxels_max=voxels_max)
        return Volume(np.broadcast_to(np.int16(0), shape), affine).reorient()
    volume = read_scan(root, folder, voxels_max=voxels_max)
    return Volume(np.broadcast_to(np.int16(0), volume.shape), volume.affine).reorient()


def _read_mask(root: Path, path: Path, grid: Volume, *, voxels_max: int) -> Volume:
    """Read a mask as whole numbers in RAS order; its grid must be the CT's, in any axis order."""
    from vertebra_ml.readers.nifti import read_volume

    mask = read_volume(check_within(root, path), path, voxels_max=voxels_max).reorient()
    last = np.array(grid.shape) - 1
    corners = np.stack([np.zeros(3), last, last * [1, 0, 0], last * [0, 1, 0]])
    apart = np.abs(mask.voxel_to_world(corners) - grid.voxel_to_world(corners)).max()
    if mask.shape != grid.shape or apart > GRID_TOLERANCE_MM:
        by = f", up to {apart:.1f} mm apart" if mask.shape == grid.shape else ""
        raise DatasetError(
            path,
            found=f"a grid of {' x '.join(map(str, mask.shape))} voxels{by}",
            expected=f"the CT's grid of {' x '.join(map(str, grid.shape))}, within "
            f"{GRID_TOLERANCE_MM} mm",
            fix="resample the mask to the CT (nearest neighbour)",
        )
    low, high = float(mask.array.min()), float(mask.array.max())
    if low < 0 or high > NUMBER_MAX:
        raise _numbers(path, f"values from {low:g} to {high:g}")
    if mask.array.dtype != np.int16 and (mask.array % 1).any():
        raise _numbers(path, "values that are not whole")
    return Volume(mask.array.astype(np.int16, copy=False), mask.affine)


def _numbered(mask: Volume, table: Table, path: Path) -> Found:
    """Return the levels of a mask with a number a structure."""
    from scipy import ndimage

    numbers = mask.array
    boxes = {n: box for n, box in enumerate(ndimage.find_objects(numbers), start=1) if box}
    unknown = [str(n) for n in boxes if n not in table]
    if unknown:
        raise _numbers(path, f"the numbers {', '.join(unknown[:5])}")
    parts = {table[n]: (n, box) for n, box in boxes.items()}
    sided = {name for pair in pairs_of(parts) for name in pair}
    x_mm = {
        name: _middle_x(mask, numbers[box] == n, box)
        for name, (n, box) in parts.items()
        if name in sided
    }
    check_sides(x_mm, path)
    return {
        name: _centre(mask, numbers[box] == n, box, name)
        for name, (n, box) in parts.items()
        if name in LEVELS
    }


def _single_files(root: Path, folder: Path, grid: Volume, *, voxels_max: int) -> Found:
    """Return the levels of a folder with a file a structure, opened one after the other."""
    check_within(root, folder)
    paths = {p.name.split(".")[0]: p for p in sorted(folder.iterdir()) if p.name.endswith(ENDINGS)}
    levels = {level_of_file(path): path for name, path in paths.items() if name.startswith(PREFIX)}
    if not levels:
        raise DatasetError(
            folder, found=f"{len(paths)} masks, none of a vertebra",
            expected=f"{PREFIX}L3.nii.gz and the like", fix="check the folder",
        )  # fmt: skip
    open_one = partial(_single, root, grid=grid, voxels_max=voxels_max)
    check_sides(_sides_of_files(paths, open_one), folder)
    found: Found = {}
    for level, path in levels.items():
        mask, box = open_one(path)
        if level and box is not None:
            found[level] = _centre(mask, mask.array[box] != 0, box, level)
    return found


Box = tuple[slice, ...]
Opener = Callable[[Path], tuple[Volume, Box | None]]


def _sides_of_files(paths: dict[str, Path], open_one: Opener) -> dict[str, float]:
    """Return the RAS x of the first few pairs of structures that are not empty."""
    x_mm: dict[str, float] = {}
    for pair in pairs_of(paths):
        if len(x_mm) >= 2 * SIDED_PAIRS:
            break
        read = {name: open_one(paths[name]) for name in pair}
        places = {
            name: _middle_x(mask, mask.array[box] != 0, box)
            for name, (mask, box) in read.items()
            if box is not None
        }
        x_mm |= places if len(places) == 2 else {}
    return x_mm


def _single(root: Path, path: Path, *, grid: Volume, voxels_max: int) -> tuple[Volume, Box | None]:
    """Read the mask of one structure and the box around it; None where it is empty."""
    from scipy import ndimage

    mask = _read_mask(root, path, grid, voxels_max=voxels_max)
    if mask.array.max() > 1:
        raise _numbers(path, f"values up to {mask.array.max()} in the mask of one structure")
    boxes = ndimage.find_objects(mask.array)
    return mask, boxes[0] if boxes else None


def _middle_x(mask: Volume, part: NDArray[np.bool_], box: Box) -> float:
    """Return the RAS x of the middle of a structure, mm."""
    index = [
        np.average(np.arange(n), weights=part.sum(axis=tuple({0, 1, 2} - {axis})))
        for axis, n in enumerate(part.shape)
    ]
    return float(mask.voxel_to_world(np.array(index) + [s.start for s in box])[0])


def _centre(
    mask: Volume, part: NDArray[np.bool_], box: Box, level: str
) -> NDArray[np.float64] | None:
    """Return the RAS mm of a body's centre; None for a vertebra that is cut or has no body."""
    if level == BODILESS:
        return None
    start = np.array([s.start for s in box])
    whole = largest_piece(part)
    # In RAS order the last axis runs to the head.
    slices = np.flatnonzero(whole.any(axis=(0, 1))) + start[2]
    if slices[0] == 0 or slices[-1] == mask.shape[2] - 1:
        return None
    body = find_body(whole, np.array(mask.spacing_mm))
    if body is None:
        return None
    low, high = body.low + start, body.high + start
    if (low <= 0.0).any() or (high >= np.array(mask.shape) - 1.0).any():
        return None
    return mask.voxel_to_world(body.centre + start)


def _numbers(path: Path, found: str) -> DatasetError:
    return DatasetError(
        path, found=found, expected="whole numbers that the table holds, 0 around them",
        fix=f"correct the table in {LABELS}, or the mask; docs/data.md shows both",
    )  # fmt: skip
