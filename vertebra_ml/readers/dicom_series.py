"""Headers of DICOM slices to one right-angled grid in RAS+ mm, or to the reason why there is none.

Pure arithmetic on what the headers say; no file is opened here. Messages name files and counts,
never a value of a header that could tell who the patient is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import MAX_SHEAR, Affine, check_affine
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.dicom_tilt import Shear

RAS_OF_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
COSINE_TOLERANCE: Final = 1e-3  # orientations are written to six digits or so
SPACING_TOLERANCE_MM: Final = 1e-3
GAP_TOLERANCE: Final = 0.1  # share of the gap between slices
GAP_TOLERANCE_MM: Final = 0.1  # positions may be written to a tenth of a mm
DRIFT_TOLERANCE: Final = 0.25  # share of the gap by which a slice may lie off the even grid
SIDEWAYS_TOLERANCE_MM: Final = 0.5
DUPLICATE_MM: Final = 0.01
GROUPS_MAX: Final = 50
TILT_MAX_DEG: Final = 35.0  # gantries turn by 30 degrees at most
FIX_MIXED: Final = "put each series in its own folder"


@dataclass(frozen=True, eq=False)
class Slice:
    """What the header of one slice says.

    Parameters
    ----------
    name : the file, relative to its folder or archive.
    series : SeriesInstanceUID, to be compared only.
    size : (rows, columns).
    position : (3,) centre of the first pixel, LPS mm.
    orientation : (6,) direction along which columns grow, then rows, LPS.
    spacing : (2,) distance between rows, then columns, mm.
    slope, intercept : stored value -> HU.
    stored : how its file keeps the pixels; not looked at here.
    frame : which frame of the file it is, from 0.
    """

    name: str
    series: str
    sop_instance_uid: str
    instance_number: int | None
    size: tuple[int, int]
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: NDArray[np.float64]
    slope: float
    intercept: float
    stored: Any = None
    frame: int = 0

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) unit vector across the slice: rows x columns, LPS."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True, eq=False)
class Grid:
    """Slices in order, on a grid.

    Parameters
    ----------
    order : the slices along their normal.
    affine : (4, 4), voxel (column, row, slice) -> RAS+ mm, right-angled.
    shape : voxels (columns, rows, slices); larger than the slices where they are tilted.
    shear : how the slices lie on it; None where each fills its plane.
    """

    order: tuple[Slice, ...]
    affine: Affine
    shape: tuple[int, int, int]
    shear: Shear | None


def arrange(slices: Sequence[Slice], where: object) -> Grid:
    """Sort the slices of one series along their normal and place them on a grid.

    Voxels are (column, row, slice), slices in the order of position along rows x columns; the
    InstanceNumber plays no part.

    Raises DatasetError where the files are of more than one series, size, spacing or orientation,
    or where slices are missing, doubled, uneven or tilted too far; GeometryError for a bad spacing.
    """
    _check_alike(slices, where)
    first = slices[0]
    _check_directions(first, where)
    check_affine(np.diag([first.spacing[0], first.spacing[1], 1.0, 1.0]), str(where))
    normal = first.normal
    order = sorted(slices, key=lambda item: float(item.position @ normal))
    _check_gaps(order, normal, where)
    step = (order[-1].position - order[0].position) / (len(order) - 1)
    _check_straight(order, normal, step, where)
    shear = _shear(order, normal, step, where)
    rows, columns = first.size
    corner = order[0].position
    if shear is not None:
        aside = shear.first * first.spacing[::-1]
        corner = corner + aside[0] * first.orientation[:3] + aside[1] * first.orientation[3:]
        step = normal * (step @ normal)
        columns, rows = shear.size(columns, rows)
    lps = np.eye(4)
    lps[:3, 0] = first.orientation[:3] * first.spacing[1]
    lps[:3, 1] = first.orientation[3:] * first.spacing[0]
    lps[:3, 2] = step
    lps[:3, 3] = corner
    affine = check_affine(RAS_OF_LPS @ lps, str(where))
    return Grid(tuple(order), affine, (columns, rows, len(order)), shear)


def _check_alike(slices: Sequence[Slice], where: object) -> None:
    _check_one(slices, "series", lambda a, b: a.series == b.series, where)
    _check_one(slices, "image sizes", lambda a, b: a.size == b.size, where)
    _check_one(
        slices, "orientations (a localizer?)",
        lambda a, b: _near(a.orientation, b.orientation, COSINE_TOLERANCE), where,
    )  # fmt: skip
    _check_one(
        slices, "pixel spacings",
        lambda a, b: _near(a.spacing, b.spacing, SPACING_TOLERANCE_MM), where,
    )  # fmt: skip
    if len(slices) < 2:
        raise DatasetError(
            where, found="a single slice", expected="a series of at least two", fix=FIX_MIXED
        )


def _near(a: NDArray[Any], b: NDArray[Any], tolerance: float) -> bool:
    return bool(np.abs(a - b).max() <= tolerance)


def _check_one(
    slices: Sequence[Slice], what: str, same: Callable[[Slice, Slice], bool], where: object
) -> None:
    groups: list[list[Slice]] = []
    for item in slices:
        group = next((g for g in groups if same(g[0], item)), None)
        if group is None and len(groups) > GROUPS_MAX:
            break  # enough to say so, and to spare comparing everything with everything
        if group is None:
            groups.append([item])
        else:
            group.append(item)
    if len(groups) > 1:
        listed = "; ".join(_named(group) for group in groups[:4])
        raise DatasetError(
            where, found=f"{len(groups)} {what}: {listed}", expected="one", fix=FIX_MIXED
        )


def _check_directions(item: Slice, where: object) -> None:
    if item.spacing.min() < 0:  # it would turn the image over, left for right
        raise DatasetError(
            where,
            found=f"a negative PixelSpacing in {item.name}",
            expected="two distances in mm",
            fix="export the series again",
        )
    rows, columns = item.orientation[:3], item.orientation[3:]
    lengths = np.array([np.linalg.norm(rows), np.linalg.norm(columns)])
    if np.abs(lengths - 1).max() > 0.01 or abs(rows @ columns) > MAX_SHEAR:
        raise DatasetError(
            where,
            found=f"an image orientation that is no pair of right-angled directions in {item.name}",
            expected="two unit vectors",
            fix="export the series again",
        )


def _check_gaps(order: Sequence[Slice], normal: NDArray[np.float64], where: object) -> None:
    places = np.array([item.position @ normal for item in order])
    gaps = np.diff(places)
    doubled = np.flatnonzero(gaps < DUPLICATE_MM)
    if doubled.size:
        a, b = order[doubled[0]].name, order[doubled[0] + 1].name
        raise DatasetError(
            where,
            found=f"{doubled.size} duplicate slices, the first {a} and {b} at one position",
            expected="each slice once",
            fix="remove the copies, or part the series that were mixed",
        )
    usual = float(np.median(gaps))
    tolerance = max(GAP_TOLERANCE * usual, GAP_TOLERANCE_MM)
    off = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if not off.size:
        return
    times = np.round(gaps[off] / usual)
    missing = (times >= 2) & (np.abs(gaps[off] - times * usual) <= tolerance * times)
    k = int(off[0])
    place = f"{gaps[k]:.2f} mm after {order[k].name}, where the usual is {usual:.2f} mm"
    if missing.all():
        raise DatasetError(
            where,
            found=f"{int((times - 1).sum())} missing slices: a gap of {place}",
            expected="a complete series",
            fix="fetch the missing files",
        )
    raise DatasetError(
        where,
        found=f"{off.size} uneven gaps, the first {place}",
        expected="equal gaps between slices",
        fix="part the series, or resample it",
    )


def _check_straight(
    order: Sequence[Slice],
    normal: NDArray[np.float64],
    step: NDArray[np.float64],
    where: object,
) -> None:
    gap = float(step @ normal)
    even = order[0].position + np.arange(len(order))[:, None] * step
    off = np.array([item.position for item in order]) - even
    along = off @ normal
    aside = np.linalg.norm(off - along[:, None] * normal, axis=1)
    shares = np.maximum(
        np.abs(along) / (DRIFT_TOLERANCE * gap + GAP_TOLERANCE_MM), aside / SIDEWAYS_TOLERANCE_MM
    )
    worst = int(np.argmax(shares))
    if shares[worst] > 1:
        raise DatasetError(
            where,
            found=f"uneven positions: {order[worst].name} lies {abs(along[worst]):.2f} mm along "
            f"and {aside[worst]:.2f} mm aside of an even grid",
            expected="slices on an even grid",
            fix="part the series, or resample it",
        )


def _shear(
    order: Sequence[Slice],
    normal: NDArray[np.float64],
    step: NDArray[np.float64],
    where: object,
) -> Shear | None:
    """Return how a tilted gantry set the slices aside; None where it stood upright."""
    aside = step - (step @ normal) * normal
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(aside), step @ normal)))
    if np.sin(np.radians(tilt)) <= MAX_SHEAR:
        return None
    if tilt > TILT_MAX_DEG:
        raise DatasetError(
            where,
            found=f"a gantry tilt of {tilt:.1f} degrees",
            expected=f"at most {TILT_MAX_DEG:.0f}, as far as gantries turn",
            fix="check the positions, or resample the series to an upright grid first",
        )
    first = order[0]
    away = np.array([item.position for item in order]) - first.position
    along = np.stack([first.orientation[:3], first.orientation[3:]], axis=1)
    return Shear(away @ along / first.spacing[::-1], tilt)


def _named(slices: Sequence[Slice]) -> str:
    files = "file" if len(slices) == 1 else "files"
    return f"{len(slices)} {files} such as {slices[0].name}"
