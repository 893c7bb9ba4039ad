"""Facts of a sample: one ``.npz`` of plain arrays cut from a labelled CT for a network to learn.

Every sample says whose it is (``case``, ``patient``, ``group``) and what was labelled in its CT
(``labels``, ``points_mm`` in RAS mm), and holds grids: arrays of three dimensions or more. What
else there is depends on the architecture. One that keeps ``places`` (n, 3) of the labels, whose
last column is the row in the tallest grid, head first, is held to them; one that keeps pictures
with their answers (``mask``, ``levels``) is held to having answers.
"""

import lzma
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import RANK
from vertebra_ml.errors import DatasetError
from vertebra_ml.limits.facts import Row, unreadable

Arrays = Mapping[str, NDArray[Any]]

ABOUT = ("case", "patient", "group", "labels", "points_mm")
ANSWERS = ("mask", "levels")

AIR_CODE, OUTSIDE_CODE = 0, 255
SHOWN_SHARE = 0.02
"""A plane of which less is anything but air and beyond the scan shows no body."""
EDGE_ROWS = 0.5
"""A coarse grid covers its CT to half a row: a landmark in the CT lies no farther beyond."""
LONG_MM = 60.0
"""Landmarks that lie apart by less say little about the scale."""


def read_sample(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a sample. Raises DatasetError where one is missing or unreadable."""
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise _fault(path, "no such file") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise _fault(path, f"a file that cannot be read ({type(error).__name__})") from error
    missing = [name for name in ABOUT if name not in arrays]
    if missing:
        raise _fault(path, f"no array {', '.join(missing)}")
    if len(arrays["labels"]) and not _grids(arrays):
        raise _fault(path, "no array of three dimensions")
    return arrays


def describe_sample(path: Path, *, row_mm: float | None = None) -> Row:
    """Return the facts of one sample; an unreadable one becomes a row with its ``fault``.

    ``row_mm`` is the height of a row where the sample keeps places. ``pieces`` is 0 where there is
    nothing to learn: of a CT without landmarks, or one of which no piece was cut.
    """
    try:
        arrays = read_sample(path)
    except DatasetError as error:
        return unreadable(path.stem, error)
    if str(arrays["case"]) != path.stem:
        return {"case": path.stem, "fault": f"found that of {arrays['case']}"}
    labels = [str(label) for label in arrays["labels"]]
    grid = max(_grids(arrays), key=len, default=np.empty(0))
    row: Row = {name: str(arrays[name]) for name in ("case", "patient", "group")}
    row |= {
        "fault": None,
        "labels": " ".join(labels),
        "pieces": len(grid),
        "shape": "x".join(map(str, grid.shape)),
        "unplaced": abs(len(labels) - len(arrays["points_mm"])),
    }
    row |= _named("not_finite", _not_finite(arrays))
    row |= _named("unknown", [label for label in labels if label not in RANK])
    row |= _named("repeated", sorted({label for label in labels if labels.count(label) > 1}))
    if "places" in arrays and not row["not_finite"] and len(grid):
        return row | _placed(arrays, labels, grid, row_mm)
    answers = [arrays[name] for name in ANSWERS if name in arrays]
    return row | {"taught": sum(int(np.count_nonzero(a)) for a in answers) if answers else None}


def _placed(arrays: Arrays, labels: list[str], grid: NDArray[Any], row_mm: float | None) -> Row:
    """Return the facts of landmarks that are kept as places on a grid."""
    places, points = arrays["places"].reshape(-1, 3), arrays["points_mm"].reshape(-1, 3)
    if not len(labels) == len(places) == len(points):
        return {"unplaced": max(abs(len(labels) - len(each)) for each in (places, points))}
    rows = places[:, 2]
    beyond = (rows < -0.5 - EDGE_ROWS) | (rows > len(grid) - 0.5 + EDGE_ROWS)
    empty = ~beyond & np.array([_is_empty(grid, row) for row in rows], dtype=bool)
    facts: Row = {"stretch": _stretch(rows * row_mm, points) if row_mm else None}
    for column, at_fault in (("outside", beyond), ("not_shown", empty)):
        facts |= _named(column, [label for label, off in zip(labels, at_fault, strict=True) if off])
    return facts


def _fault(path: Path, found: str) -> DatasetError:
    return DatasetError(path, found=found, expected="a sample", fix="run `dvc repro`")


def _grids(arrays: Arrays) -> list[NDArray[Any]]:
    return [array for array in arrays.values() if array.ndim >= 3]


def _not_finite(arrays: Arrays) -> list[str]:
    numbers = {name: a for name, a in arrays.items() if np.issubdtype(a.dtype, np.number)}
    return [name for name, array in numbers.items() if not np.isfinite(array).all()]


def _is_empty(grid: NDArray[Any], row: float) -> bool:
    nearest = int(np.clip(np.rint(row), 0, len(grid) - 1))
    planes = grid[max(0, nearest - 1) : nearest + 2]  # the edge of a tilted scan cuts planes aslant
    shown = (planes != AIR_CODE) & (planes != OUTSIDE_CODE)
    return bool(shown.reshape(len(planes), -1).mean(axis=1).max() < SHOWN_SHARE)


def _stretch(heights_mm: NDArray[Any], points_mm: NDArray[Any]) -> float | None:
    """Return the way down from first to last landmark in the sample against the truth's, in mm.

    The truth's is that from each to the next, as rows along the arc of a spine have it; where rows
    are heights, a curved column comes out shorter.
    """
    if len(points_mm) < 2:
        return None
    truth = float(np.linalg.norm(np.diff(points_mm, axis=0), axis=1).sum())
    return round(float(heights_mm[-1] - heights_mm[0]) / truth, 3) if truth >= LONG_MM else None


def _named(column: str, names: list[str]) -> Row:
    return {column: len(names), f"{column}_names": " ".join(names) or None}
