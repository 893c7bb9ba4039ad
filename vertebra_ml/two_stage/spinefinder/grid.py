"""The upright grid of 1 mm that both networks look at, sampled only where it is looked at."""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.affines import Affine
from vertebra_ml.volume import AIR_HU, Volume

Doubles = NDArray[np.float64]
Box = tuple[int, int, int]

SPACING_MM: Final = 1.0
LOW_HU, HIGH_HU = -300, 1300
"""Fat and less, dense cortical bone and more: beyond them nothing tells a vertebra."""

STEP_HU: Final = 10
"""HU are kept in such steps, below the noise of any scan: samples on disk halve in size."""

MIDDLE_HU, SCALE_HU = 100.0, 300.0
"""A network sees (HU - MIDDLE_HU) / SCALE_HU."""

STRAIGHT: Final = 1e-5
"""Source voxels a millimetre that an axis may run aside and still count as straight."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxels of 1 mm along the axes of the world: x to the right, y to the front, z to the head.

    ``first_mm`` is the centre of voxel (0, 0, 0), RAS mm.
    """

    first_mm: Doubles
    shape: Box

    @classmethod
    def over(cls, volume: Volume) -> Self:
        """Cover a CT: its lower outer faces are those of the grid."""
        low, high = volume.bounds_mm()
        x, y, z = np.maximum(1, np.ceil((high - low) / SPACING_MM - 1e-6)).astype(int)
        return cls(low + SPACING_MM / 2, (int(x), int(y), int(z)))

    def affine(self, start: Box = (0, 0, 0)) -> Affine:
        """Return the affine of the part of the grid that begins at ``start``."""
        affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
        affine[:3, 3] = self.first_mm + np.array(start) * SPACING_MM
        return affine

    def voxels(self, points_mm: Doubles) -> Doubles:
        """Map (..., 3) RAS mm to fractional voxels of the grid."""
        voxels: Doubles = (np.asarray(points_mm) - self.first_mm) / SPACING_MM
        return voxels

    def points_mm(self, voxels: Doubles) -> Doubles:
        """Map (..., 3) fractional voxels to RAS mm."""
        points: Doubles = np.asarray(voxels) * SPACING_MM + self.first_mm
        return points

    def sample(self, volume: Volume, start: Box, shape: Box) -> NDArray[np.int16]:
        """Return HU of a box (x, y, z) of the grid, which may reach out of the CT: air is there.

        Linear between voxel centres, clipped to LOW_HU..HIGH_HU in steps of STEP_HU.
        """
        turned = volume.reorient("RAS")
        change = np.linalg.inv(turned.affine) @ self.affine(start)
        crop, change = _around(turned.array, change, shape)
        if crop is None:
            return np.full(shape, LOW_HU, dtype=np.int16)
        matrix = change[:3, :3]
        aside = np.abs(matrix - np.diag(np.diag(matrix))).max()
        found = ndimage.affine_transform(
            crop,
            np.diag(matrix) if aside < STRAIGHT else matrix,
            change[:3, 3],
            output_shape=shape,
            output=np.float32,
            order=1,
            cval=AIR_HU,
        )
        coded = np.rint(found.clip(LOW_HU, HIGH_HU) / STEP_HU) * STEP_HU
        return coded.astype(np.int16)


def scaled(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return HU of a sample as a network sees them."""
    return (hu.astype(np.float32) - np.float32(MIDDLE_HU)) / np.float32(SCALE_HU)


def _around(array: NDArray[Any], change: Affine, shape: Box) -> tuple[Any, Affine]:
    """Return the part of the source that a box needs, and the map from the box into that part."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1).T
    places = corners @ change[:3, :3].T + change[:3, 3]
    low = np.maximum(0, np.floor(places.min(axis=0)).astype(int))
    high = np.minimum(array.shape, np.floor(places.max(axis=0)).astype(int) + 2)
    if (high <= low).any():
        return None, change
    moved = change.copy()
    moved[:3, 3] -= low
    return array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], moved
