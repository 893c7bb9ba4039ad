"""A CT in memory: Hounsfield units on a grid that knows where it lies.

Arrays are (x, y, z) by voxel index in the order of the affine; the affine maps voxel indices
(centres at whole numbers) to world RAS+ millimetres.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import (
    WORLD_ENDS,
    Affine,
    check_affine,
    parse_orientation,
    spacing_of,
    voxel_to_world,
    world_axes,
    world_to_voxel,
)
from vertebra_ml.errors import GeometryError
from vertebra_ml.landmarks import SliceReference

AIR_HU = -1024
FILE_AXIS = 2  # the voxel axis along which DICOM files are stacked


@dataclass(frozen=True, eq=False)
class Source:
    """The grid of the file a volume came from; no change of the volume touches it.

    Parameters
    ----------
    affine : (4, 4), voxel index of the file -> RAS+ mm.
    shape : voxels of the file (x, y, z).
    instance_numbers, sop_instance_uids : per DICOM slice, along the last voxel axis in the order of
        position, whatever the files' names or numbers; None where the source is not DICOM.

    Raises GeometryError where one of the two does not hold one entry a slice.
    """

    affine: Affine
    shape: tuple[int, int, int]
    instance_numbers: tuple[int, ...] | None = None
    sop_instance_uids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for entries in (self.instance_numbers, self.sop_instance_uids):
            if entries is not None and len(entries) != self.shape[FILE_AXIS]:
                raise GeometryError(
                    "source",
                    found=f"{len(entries)} numbers or UIDs for {self.shape[FILE_AXIS]} slices",
                    expected="one a slice",
                    fix="this is a fault of the reader; report it",
                )

    @property
    def slice_axis(self) -> int:
        """The voxel axis that runs closest to head-foot."""
        return world_axes(self.affine).index(2)

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
        if self.slice_axis != FILE_AXIS:  # a sagittal or coronal stack: no one file holds the slice
            return SliceReference(index)
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
        return "".join(
            WORLD_ENDS[axis][int(self.affine[axis, i] > 0)]
            for i, axis in enumerate(world_axes(self.affine))
        )

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
        return np.asarray(inside.all(axis=-1))

    def reorient(self, orientation: str = "RAS") -> Self:
        """Return the same voxels with axes swapped and flipped to ``orientation``; a view, no copy.

        Raises GeometryError for anything but one letter each of L/R, P/A and I/S, in any order.
        """
        wanted = parse_orientation(orientation)
        held = world_axes(self.affine)
        order = [held.index(axis) for axis, _ in wanted]  # new axis -> old axis
        change = np.zeros((4, 4))  # new voxel index -> old voxel index
        change[3, 3] = 1
        flip = [slice(None)] * 3
        for new, (old, (axis, up)) in enumerate(zip(order, wanted, strict=True)):
            change[old, new] = 1
            if (self.affine[axis, old] > 0) != up:
                flip[new] = slice(None, None, -1)
                change[old, new] = -1
                change[old, 3] = self.shape[old] - 1
        array = self.array.transpose(order)[tuple(flip)]
        return replace(self, array=array, affine=self.affine @ change)

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
