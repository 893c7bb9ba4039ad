"""Gantry tilt: slices that lie askew on each other, moved in their own planes onto a straight grid.

Each picture stays in its plane, so that slice k of the volume is the k-th file and no value is
mixed with that of another slice. Pure arithmetic.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.volume import AIR_HU

NEARLY: Final = 1e-6  # of a pixel


@dataclass(frozen=True, eq=False)
class Shear:
    """How far each slice lies aside of a straight stack.

    Parameters
    ----------
    pixels : (n, 2), along columns and rows, in pixels.
    degrees : the angle between the stack and the normal of its slices.
    """

    pixels: NDArray[np.float64]
    degrees: float

    @property
    def first(self) -> NDArray[np.int_]:
        """(2,) column and row of the first pixel as the straight grid's are numbered."""
        return np.asarray(np.floor(self.pixels.min(axis=0) + NEARLY), dtype=int)

    def size(self, columns: int, rows: int) -> tuple[int, int]:
        """Return columns and rows of the straight grid that holds every picture."""
        last = np.ceil(self.pixels.max(axis=0) - NEARLY).astype(int)
        wider, higher = (int(v) for v in last - self.first)
        return columns + wider, rows + higher


def straightened(array: NDArray[Any], shear: Shear) -> NDArray[Any]:
    """Return (column, row, slice) on the straight grid: linear between pixels, air beyond them."""
    columns, rows, count = array.shape
    out = np.full((*shear.size(columns, rows), count), AIR_HU, array.dtype, order="F")
    places = shear.pixels - shear.first
    for k in range(count):
        plane = array[:, :, k].astype(np.float32)
        for axis in (0, 1):
            plane = _moved(plane, axis, float(places[k, axis]), out.shape[axis])
        out[:, :, k] = np.rint(plane) if out.dtype == np.int16 else plane
    return out


def _moved(plane: NDArray[np.float32], axis: int, by: float, length: int) -> NDArray[np.float32]:
    """Return the plane moved ``by`` pixels up one axis, which is then ``length`` long."""
    whole = int(np.floor(by + NEARLY))
    share = max(by - whole, 0.0)
    if axis:
        return _moved(plane.T, 0, by, length).T
    out = np.full((length, plane.shape[1]), AIR_HU, np.float32)
    if share <= NEARLY:
        out[whole : whole + len(plane)] = plane
        return out
    wide = np.pad(plane, ((1, 1), (0, 0)), constant_values=AIR_HU)
    out[whole : whole + len(plane) + 1] = (1 - share) * wide[1:] + share * wide[:-1]
    return out
