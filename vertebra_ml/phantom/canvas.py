"""A grid of Hounsfield units to paint on, in the frame of the scanner: axis aligned, mm.

Axes are (x, y, z): x to the patient's right, y to the front, z to the head, as in RAS+.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Box = tuple[slice, slice, slice]
SOFT_EDGE_VOX = 1.0  # a painted edge fades over one voxel: what a voxel that it halves would show


@dataclass(frozen=True, eq=False)
class Canvas:
    """HU values on a grid that is painted in place.

    Parameters
    ----------
    array : (x, y, z) float32 HU.
    origin_mm : (3,), centre of voxel (0, 0, 0).
    spacing_mm : (3,), all positive.
    """

    array: NDArray[np.float32]
    origin_mm: NDArray[np.float64]
    spacing_mm: NDArray[np.float64]

    @classmethod
    def over(cls, low_mm: Array, high_mm: Array, spacing_mm: Array, value: float) -> "Canvas":
        """Build one whose outer faces reach from ``low_mm`` to at least ``high_mm``, all (3,)."""
        low, spacing = np.asarray(low_mm, float), np.asarray(spacing_mm, float)
        shape = np.maximum(1, np.ceil((np.asarray(high_mm) - low) / spacing - 1e-9)).astype(int)
        return cls(np.full(shape, value, np.float32), low + spacing / 2, spacing)

    @property
    def axes_mm(self) -> tuple[Array, Array, Array]:
        """Voxel centres along each axis, shaped to broadcast over the array."""
        steps = [
            (self.origin_mm[a] + self.spacing_mm[a] * np.arange(n)).astype(np.float32)
            for a, n in enumerate(self.array.shape)
        ]
        return steps[0][:, None, None], steps[1][None, :, None], steps[2][None, None, :]

    def box(self, low_mm: Array, high_mm: Array) -> Box | None:
        """Return the voxels between two (3,) points, one more on each side; None where outside."""
        shape = np.array(self.array.shape)
        start = np.floor((np.asarray(low_mm) - self.origin_mm) / self.spacing_mm).astype(int) - 1
        stop = np.ceil((np.asarray(high_mm) - self.origin_mm) / self.spacing_mm).astype(int) + 2
        start, stop = np.clip(start, 0, shape), np.clip(stop, 0, shape)
        if (start >= stop).any():
            return None
        return (
            slice(int(start[0]), int(stop[0])),
            slice(int(start[1]), int(stop[1])),
            slice(int(start[2]), int(stop[2])),
        )

    def part(self, box: Box) -> "Canvas":
        """Return the voxels of ``box`` as a canvas on the same memory."""
        start = np.array([s.start for s in box])
        return replace(
            self, array=self.array[box], origin_mm=self.origin_mm + start * self.spacing_mm
        )

    def blend(self, fraction: Array, hu: Any) -> None:
        """Replace ``fraction`` (0..1, shape of the array) of each voxel by ``hu``."""
        self.array[...] += fraction * (hu - self.array)

    def inside(self, depth_mm: Array) -> Array:
        """Turn depth below a surface (mm, negative outside) into the filled part of each voxel."""
        edge = float(np.cbrt(self.spacing_mm.prod())) * SOFT_EDGE_VOX
        return np.clip(depth_mm / edge + 0.5, 0, 1)


def ellipsoid(
    canvas: Canvas,
    centre_mm: Array,
    radii_mm: Array,
    *,
    hu: float,
    wobble: Array | None = None,
    bend: float = 0.12,
) -> None:
    """Paint an ellipsoid, (3,) centre and half axes in mm.

    ``wobble`` (shape of the canvas, about -1..1) times ``bend`` is added to its radius, as a part
    of it.
    """
    centre, radii = np.asarray(centre_mm, float), np.asarray(radii_mm, float)
    box = canvas.box(centre - 1.4 * radii, centre + 1.4 * radii)
    if box is None:
        return
    part = canvas.part(box)
    reach = sum(((a - c) / r) ** 2 for a, c, r in zip(part.axes_mm, centre, radii, strict=True))
    bent = 0.0 if wobble is None else bend * wobble[box]
    depth = (1 + bent - np.sqrt(reach)) * float(radii.min())
    part.blend(part.inside(depth), hu)


def tube(canvas: Canvas, line_mm: Array, radius_mm: Any, *, hu: float) -> None:
    """Paint a tube round a polyline (n, 3) mm of one radius or (n,) radii, mm."""
    line, radii = _resampled(np.asarray(line_mm, float), radius_mm, canvas.spacing_mm.min())
    reach = radii.max() + canvas.spacing_mm.max()
    box = canvas.box(line.min(axis=0) - reach, line.max(axis=0) + reach)
    if box is None:
        return
    part = canvas.part(box)
    depth = np.full(part.array.shape, -1e3, np.float32)
    local = replace(part, array=depth)
    for point, radius in zip(line, radii, strict=True):
        _ball(local, point, radius)
    part.blend(part.inside(depth), hu)


def _ball(depths: Canvas, point: Array, radius: float) -> None:
    reach = radius + depths.spacing_mm.max()
    box = depths.box(point - reach, point + reach)
    if box is None:
        return
    near = depths.part(box)
    squares = sum((a - p) ** 2 for a, p in zip(near.axes_mm, point, strict=True))
    np.maximum(near.array, radius - np.sqrt(squares), out=near.array)


def _resampled(line: Array, radius: Any, spacing: float) -> tuple[Array, Array]:
    radii = np.broadcast_to(np.asarray(radius, float), len(line))
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    step = max(radii.min() * 0.4, spacing * 0.5)
    places = np.linspace(0, along[-1], max(2, int(along[-1] / step) + 1))
    points = np.stack([np.interp(places, along, line[:, a]) for a in range(3)], axis=1)
    return points, np.interp(places, along, radii)


def splat(canvas: Canvas, points_mm: Array, volumes_mm3: Array) -> tuple[tuple[Array, ...], Array]:
    """Return the voxels (x, y, z indices) filled by small volumes (n,) at points (n, 3) mm, and the
    part (0..1) of each.

    Each is shared among its eight nearest voxel centres by linear weights, so a sheet thinner than
    a voxel gets its right partial volume on any grid.
    """
    shape = np.array(canvas.array.shape)
    place = ((points_mm - canvas.origin_mm) / canvas.spacing_mm).astype(np.float32)
    near = ((place > -1) & (place < shape)).all(axis=1)
    place, weight = place[near], volumes_mm3[near] / canvas.spacing_mm.prod()
    low = np.floor(place).astype(np.int64)
    part = place - low
    sizes = shape + 2  # a border takes what falls outside, so that no point needs a test
    corner = np.ravel_multi_index(tuple(low.T + 1), tuple(sizes))
    across = [(1 - part[:, a], part[:, a]) for a in range(3)]
    steps = (int(sizes[1] * sizes[2]), int(sizes[2]), 1)
    cells = list(np.ndindex(2, 2, 2))
    shares = [weight * across[0][i] * across[1][j] * across[2][k] for i, j, k in cells]
    places = [corner + (i * steps[0] + j * steps[1] + k * steps[2]) for i, j, k in cells]
    total = np.bincount(np.concatenate(places), np.concatenate(shares), int(sizes.prod()))
    filled = total.reshape(sizes)[1:-1, 1:-1, 1:-1]
    touched = np.nonzero(filled)
    return touched, np.minimum(filled[touched], 1).astype(np.float32)


def enlarge(canvas: Canvas, target: Canvas) -> None:
    """Fill ``target`` with ``canvas``, linear between voxel centres, edges continued."""
    array = canvas.array
    for axis in (2, 1):
        low, weight = _places(axis, canvas, target)
        array = _interpolated(array, axis, low, weight)
    low, weight = _places(0, canvas, target)
    last = len(array) - 1
    for row, start, part in zip(target.array, low, weight, strict=True):  # stays in the cache
        np.subtract(array[min(start + 1, last)], array[start], out=row)
        row *= part
        row += array[start]


def _places(axis: int, source: Canvas, target: Canvas) -> tuple[Array, Array]:
    """Return for each target voxel the source voxel below it and how far it lies beyond (0..1)."""
    last = source.array.shape[axis] - 1
    mm = target.origin_mm[axis] + target.spacing_mm[axis] * np.arange(target.array.shape[axis])
    place = np.clip((mm - source.origin_mm[axis]) / source.spacing_mm[axis], 0, last)
    low = np.minimum(place.astype(int), max(last - 1, 0))
    return low, (place - low).astype(np.float32)


def _interpolated(array: Array, axis: int, low: Array, part: Array) -> Array:
    last = array.shape[axis] - 1
    weight = part.reshape([-1 if a == axis else 1 for a in range(3)])
    lower = array.take(low, axis=axis)
    upper = array.take(np.minimum(low + 1, last), axis=axis)
    upper -= lower
    upper *= weight
    upper += lower
    result: Array = upper
    return result
