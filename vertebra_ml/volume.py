"""A CT in memory: Hounsfield units on a grid that knows where it lies.

Arrays are (x, y, z) by voxel index in the order of the affine; the affine maps voxel indices
(centres at whole numbers) to world RAS+ millimetres.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import nibabel as nib
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

from vertebra_ml.errors import GeometryError
from vertebra_ml.landmarks import SliceReference

Affine = NDArray[np.float64]
MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 50.0  # beyond both, the unit of the file is not mm
AIR_HU = -1024
MAX_SHEAR = 0.02
"""Largest cosine between two axes of a grid: 1.1 degrees. Gantry tilt is its reader's business."""


@dataclass(frozen=True, eq=False)
class Source:
    """The grid of the file a volume came from; no change of the volume touches it.

    Parameters
    ----------
    affine : (4, 4), voxel index of the file -> RAS+ mm.
    shape : voxels of the file (x, y, z).
    instance_numbers, sop_instance_uids : per slice, in order of the file; None where not DICOM.
    """

    affine: Affine
    shape: tuple[int, int, int]
    instance_numbers: tuple[int, ...] | None = None
    sop_instance_uids: tuple[str, ...] | None = None

    @property
    def slice_axis(self) -> int:
        """The voxel axis that runs closest to head-foot."""
        directions = np.abs(self.affine[:3, :3]) / spacing_of(self.affine)
        return int(np.argmax(directions[2]))

    @property
    def slice_spacing_mm(self) -> float:
        """Distance between two slices, mm."""
        return float(spacing_of(self.affine)[self.slice_axis])

    def slice_position(self, point_mm: NDArray[np.float64]) -> float:
        """Return the fractional slice index of a (3,) RAS+ mm point, within the file or not."""
        voxel = world_to_voxel(self.affine, point_mm)
        return float(voxel[..., self.slice_axis])

    def slice_at(self, point_mm: NDArray[np.float64]) -> SliceReference | None:
        """Return the slice nearest to a (3,) RAS+ mm point; None outside the file."""
        index = int(np.floor(self.slice_position(point_mm) + 0.5))
        if not 0 <= index < self.shape[self.slice_axis]:
            return None
        numbers, uids = self.instance_numbers, self.sop_instance_uids
        return SliceReference(
            index, numbers[index] if numbers else None, uids[index] if uids else None
        )


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """A CT: HU values (x, y, z), int16 or float32, and the affine voxel -> RAS+ mm.

    ``source`` is the grid of the file; a volume built without one is its own source.
    Methods return new volumes; the array is never written to.

    Raises GeometryError for an array that is not 3D or not int16/float32, an affine that is not
    4x4, not finite, singular or sheared, and a spacing outside 0.01..50 mm.
    """

    array: NDArray[Any]
    affine: Affine
    source: Source | None = None

    def __post_init__(self) -> None:
        affine = check_affine(self.affine)
        if self.array.ndim != 3 or min(self.array.shape) < 1:
            raise GeometryError(
                "volume",
                found=f"an array of shape {self.array.shape}",
                expected="three axes (x, y, z), each at least 1 long",
                fix="give one CT volume, not a picture or a time series",
            )
        if self.array.dtype not in (np.int16, np.float32):
            raise GeometryError(
                "volume",
                found=f"values of type {self.array.dtype}",
                expected="int16 or float32 Hounsfield units",
                fix="convert the array",
            )
        object.__setattr__(self, "affine", affine)
        if self.source is None:
            object.__setattr__(self, "source", Source(affine, self.shape))

    def __repr__(self) -> str:
        spacing = " ".join(f"{s:.3g}" for s in self.spacing_mm)
        return f"Volume({self.shape}, spacing {spacing} mm, {self.orientation}, {self.array.dtype})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (x, y, z)."""
        x, y, z = self.array.shape
        return (x, y, z)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along each axis, mm."""
        x, y, z = spacing_of(self.affine)
        return (float(x), float(y), float(z))

    @property
    def orientation(self) -> str:
        """Where each axis points: ``RAS`` means to the right, the front and the head."""
        return "".join(nib.orientations.aff2axcodes(self.affine))

    @property
    def obliquity_deg(self) -> float:
        """Largest angle between a voxel axis and the world axis nearest to it, degrees."""
        cosines = np.abs(self.affine[:3, :3]) / spacing_of(self.affine)
        return float(np.degrees(np.arccos(np.clip(cosines.max(axis=0).min(), -1, 1))))

    @property
    def origin(self) -> Source:
        """The grid of the file this volume came from."""
        return self.source or Source(self.affine, self.shape)

    def voxel_to_world(self, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (..., 3) voxel indices to RAS+ mm."""
        return voxel_to_world(self.affine, voxels)

    def world_to_voxel(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map (..., 3) RAS+ mm to fractional voxel indices."""
        return world_to_voxel(self.affine, points_mm)

    def bounds_mm(self) -> NDArray[np.float64]:
        """Return (2, 3): least and largest RAS+ mm of the grid's outer faces."""
        corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in self.shape])).reshape(3, -1).T
        world = self.voxel_to_world(corners)
        return np.stack([world.min(axis=0), world.max(axis=0)])

    def contains(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell for (..., 3) RAS+ mm points whether they lie within the grid's outer faces."""
        voxels = self.world_to_voxel(points_mm)
        inside = (voxels >= -0.5) & (voxels <= np.array(self.shape) - 0.5)
        result: NDArray[np.bool_] = inside.all(axis=-1)
        return result

    def reorient(self, orientation: str = "RAS") -> Self:
        """Return the same voxels with axes swapped and flipped to ``orientation``, as a view."""
        change = ornt_transform(io_orientation(self.affine), axcodes2ornt(orientation))
        array = apply_orientation(self.array, change)
        affine = self.affine @ inv_ornt_aff(change, self.shape)
        return replace(self, array=array, affine=affine)

    def crop(self, start: tuple[int, int, int], stop: tuple[int, int, int]) -> Self:
        """Return voxels ``start`` (inclusive) to ``stop`` (exclusive) along each axis.

        Raises GeometryError where that box is empty or leaves the grid.
        """
        if any(not 0 <= a < b <= n for a, b, n in zip(start, stop, self.shape, strict=True)):
            raise GeometryError(
                "volume",
                found=f"a crop from {start} to {stop}",
                expected=f"a box within {self.shape}",
                fix="intersect the box with the grid first",
            )
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        return replace(self, array=self.array[box], affine=_shifted(self.affine, start))

    def pad(
        self, before: tuple[int, int, int], after: tuple[int, int, int], value: float = AIR_HU
    ) -> Self:
        """Return the volume with voxels of ``value`` added before and after each axis."""
        widths = list(zip(before, after, strict=True))
        array = np.pad(self.array, widths, constant_values=value)
        start = (-before[0], -before[1], -before[2])
        return replace(self, array=array, affine=_shifted(self.affine, start))

    def resample(self, spacing_mm: tuple[float, float, float]) -> Self:
        """Return the volume on a grid of the same axes and outer faces at about ``spacing_mm``.

        Linear between voxel centres, the edge value beyond them; the dtype is kept. The number of
        voxels is rounded, the first outer face stays where it is and the spacing is met exactly.
        """
        wanted = np.asarray(spacing_mm, dtype=np.float64)
        scale = wanted / np.array(self.spacing_mm)  # old voxels a new voxel
        shape = np.maximum(1, np.round(np.array(self.shape) / scale)).astype(int)
        array = self.array.astype(np.float32)
        for axis in range(3):
            array = _resample_axis(array, axis, float(scale[axis]), int(shape[axis]))
        if self.array.dtype == np.int16:
            array = np.round(array).astype(np.int16)
        change = np.diag([*scale, 1.0])
        change[:3, 3] = (scale - 1) / 2  # outer faces, not centres, stay together
        return replace(self, array=array, affine=self.affine @ change)


def spacing_of(affine: Affine) -> NDArray[np.float64]:
    """Return (3,): length in mm of each column of a 4x4 affine."""
    spacing: NDArray[np.float64] = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return spacing


def voxel_to_world(affine: Affine, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (..., 3) voxel indices through a 4x4 affine to RAS+ mm."""
    return np.asarray(voxels, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]


def world_to_voxel(affine: Affine, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (..., 3) RAS+ mm back through a 4x4 affine to fractional voxel indices."""
    shifted = np.asarray(points_mm, dtype=np.float64) - affine[:3, 3]
    return shifted @ np.linalg.inv(affine[:3, :3]).T


def check_affine(affine: object, where: str = "volume") -> Affine:
    """Return a 4x4 float64 copy of ``affine``, or raise GeometryError naming what is wrong."""
    matrix = np.array(affine, dtype=np.float64)
    found = _affine_fault(matrix)
    if found:
        raise GeometryError(
            where,
            found=found,
            expected="a finite 4x4 affine of right-angled axes, spacing 0.01 to 50 mm",
            fix="repair the header from the original DICOM, or drop the scan",
        )
    matrix.flags.writeable = False
    return matrix


def _affine_fault(matrix: Affine) -> str:
    if matrix.shape != (4, 4):
        return f"an affine of shape {matrix.shape}"
    if not np.isfinite(matrix).all():
        return "an affine with NaN or infinity"
    if not np.allclose(matrix[3], [0, 0, 0, 1]):
        return f"an affine whose last row is {matrix[3].tolist()}"
    spacing = spacing_of(matrix)
    if spacing.min() < MIN_SPACING_MM or spacing.max() > MAX_SPACING_MM:
        return f"a spacing of {np.round(spacing, 4).tolist()} mm"
    directions = matrix[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > MAX_SHEAR:
        return "an affine with axes that are not at right angles"
    return ""


def _shifted(affine: Affine, start: tuple[int, int, int]) -> Affine:
    moved = affine.copy()
    moved[:3, 3] = voxel_to_world(affine, np.array(start))
    return moved


def _resample_axis(array: NDArray[Any], axis: int, scale: float, length: int) -> NDArray[Any]:
    if scale == 1.0 and length == array.shape[axis]:
        return array
    last = array.shape[axis] - 1
    place = np.clip((np.arange(length) + 0.5) * scale - 0.5, 0, last)
    low = np.minimum(place.astype(int), max(last - 1, 0))
    weight = (place - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    lower = array.take(low, axis=axis)
    upper = array.take(np.minimum(low + 1, last), axis=axis)
    result: NDArray[Any] = lower + (upper - lower) * weight
    return result
