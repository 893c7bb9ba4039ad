"""The axial slice of a level as a reader of CT looks at it: from below, front up."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import spacing_of, voxel_to_world, world_axes, world_to_voxel
from vertebra_ml.landmarks import Points
from vertebra_ml.volume import AIR_HU, FILE_AXIS, Source, Volume

TILT_MAX_DEG: Final = 30.0
"""Beyond this a file's own slices show no axial anatomy; gantries tilt by 30 degrees at most."""
TILT_SAID_DEG: Final = 2.0
LEVEL_MM: Final = 1.0
"""Pixels of a plane that is cut anew."""
AXIS_NAMES: Final = ("first", "second", "third")


@dataclass(frozen=True, eq=False)
class Axial:
    """A slice to look at.

    Parameters
    ----------
    image : (row, col) HU; row 0 is the patient's front, column 0 the patient's right.
    spacing_mm : (row, col) distances between pixel centres.
    remark : what is unusual about the plane; empty where nothing is.
    """

    image: NDArray[Any]
    spacing_mm: tuple[float, float]
    remark: str = ""


def cut(volume: Volume, index: int | None, point_mm: Points) -> Axial:
    """Return the slice ``index`` of the scan's own file, each of its voxels a pixel.

    Where the file has no such slice, or its slices are not axial (more than ``TILT_MAX_DEG`` off),
    the plane level with the (3,) RAS+ mm point is cut out of the volume instead, and said so.
    """
    source = volume.origin
    tilt = _tilt_deg(source)
    if index is None or tilt > TILT_MAX_DEG:
        return _level(volume, float(point_mm[2]), tilt)
    axis = source.slice_axis
    if source.shape == volume.shape and np.allclose(source.affine, volume.affine):
        plane = np.take(volume.array, index, axis=axis)
    else:
        plane = _sampled(volume, _slice_points(source, index))
    remarks = []
    if axis != FILE_AXIS:
        remarks.append(f"counted along the {AXIS_NAMES[axis]} axis of the file")
    if tilt > TILT_SAID_DEG:
        remarks.append(f"the file's slices are tilted by {tilt:.0f}°")
    return _facing(plane, source, "; ".join(remarks))


def _tilt_deg(source: Source) -> float:
    """Return the angle between the slices' normal and the body axis."""
    direction = source.affine[2, source.slice_axis] / source.slice_spacing_mm
    return float(np.degrees(np.arccos(min(1.0, abs(direction)))))


def _facing(plane: NDArray[Any], source: Source, remark: str) -> Axial:
    """Turn a plane whose axes are the file's other two: front up, the patient's right at left."""
    others = [axis for axis in range(3) if axis != source.slice_axis]
    worlds = [world_axes(source.affine)[axis] for axis in others]
    row, column = others[worlds.index(1)], others[worlds.index(0)]
    if row > column:
        plane = plane.T
    if source.affine[1, row] > 0:  # rows would run to the front
        plane = plane[::-1]
    if source.affine[0, column] > 0:  # columns would run to the right
        plane = plane[:, ::-1]
    spacing = spacing_of(source.affine)
    return Axial(np.ascontiguousarray(plane), (float(spacing[row]), float(spacing[column])), remark)


def _slice_points(source: Source, index: int) -> Points:
    """Return (..., 3) RAS+ mm of the voxel centres of one slice, axes in the file's order."""
    shape = list(source.shape)
    shape[source.slice_axis] = 1
    voxels = np.moveaxis(np.indices(shape, dtype=np.float64), 0, -1)
    voxels[..., source.slice_axis] = index
    return voxel_to_world(source.affine, voxels.squeeze(source.slice_axis))


def _level(volume: Volume, z_mm: float, tilt: float) -> Axial:
    low, high = volume.bounds_mm()
    x = np.arange(high[0] - LEVEL_MM / 2, low[0], -LEVEL_MM)
    y = np.arange(high[1] - LEVEL_MM / 2, low[1], -LEVEL_MM)
    columns, rows = np.meshgrid(x, y)
    plane = _sampled(volume, np.stack([columns, rows, np.full_like(rows, z_mm)], axis=-1))
    remark = "cut level with the body axis at this height"
    if tilt > TILT_MAX_DEG:
        remark += f", since the file's slices are tilted by {tilt:.0f}°"
    return Axial(plane, (LEVEL_MM, LEVEL_MM), remark)


def _sampled(volume: Volume, points_mm: Points) -> NDArray[Any]:
    """Return the HU at (..., 3) RAS+ mm points, linear between voxels, air outside."""
    from scipy import ndimage

    voxels = np.moveaxis(world_to_voxel(volume.affine, points_mm), -1, 0)
    sampled: NDArray[Any] = ndimage.map_coordinates(
        volume.array, voxels, output=np.float32, order=1, cval=AIR_HU
    )
    return sampled
