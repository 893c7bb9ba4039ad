"""A CT made ready for both networks: the far scan, and views of the near one along a path."""

from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.reduced import reduced
from vertebra_ml.two_stage.compact.column import (
    FAR,
    FAR_MM,
    NEAR,
    NEAR_MM,
    Arc,
    Doubles,
    Mask,
    Path,
    Window,
    halved,
    view,
)
from vertebra_ml.two_stage.compact.grey import Floats, scaled
from vertebra_ml.volume import Volume

Value = TypeVar("Value", bound=np.generic)

HALF_MM = np.array(NEAR_MM) / 2
"""From the first near voxel's centre to the first far one's: a far voxel is 2x2x2 near ones."""


@dataclass(frozen=True, eq=False)
class Views:
    """A stretch of the column, head to foot, seen along a path.

    Parameters
    ----------
    near, far : (rows, y, x) and (rows / 2, y, x), values of ``grey.scaled``; 0 beyond the scan.
    near_inside, far_inside : where the scan reaches.
    z_mm : (rows,) heights of the near rows, falling.
    xy_mm : (rows, 2) where the middle of each near row lies.
    arc : lengths along the path, in which near rows are even.
    """

    near: Floats
    near_inside: Mask
    far: Floats
    far_inside: Mask
    z_mm: Doubles
    xy_mm: Doubles
    arc: Arc

    def rows_of(self, z_mm: Doubles) -> Doubles:
        """Return the near rows, fractional, at these heights."""
        rows: Doubles = (self.arc.length(self.z_mm[0]) - self.arc.length(z_mm)) / NEAR_MM[2]
        return rows

    def heights_of(self, rows: Doubles) -> Doubles:
        """Return the heights of near rows, fractional."""
        return self.arc.height(self.arc.length(self.z_mm[0]) - rows * NEAR_MM[2])


@dataclass(frozen=True, eq=False)
class Scene:
    """The two grids of one CT; places on them are mm along its axes from the first near voxel.

    ``near`` and ``far`` are (x, y, z), values of ``grey.scaled``; ``grid`` is the near grid.
    """

    near: Floats
    far: Floats
    grid: Volume

    @classmethod
    def of(cls, volume: Volume) -> Self:
        """Reduce a CT. Raises GeometryError where it cannot be straightened."""
        grid = reduced(volume, NEAR_MM)
        near = scaled(grid.array)
        return cls(near, halved(near), grid)

    def place_of(self, points_mm: Doubles) -> Doubles:
        """Return (n, 3) places on the grids of RAS mm points."""
        voxels: Doubles = self.grid.world_to_voxel(np.reshape(points_mm, (-1, 3)))
        return voxels * NEAR_MM

    def world_of(self, places_mm: Doubles) -> Doubles:
        """Return (n, 3) RAS mm points of places on the grids."""
        points: Doubles = self.grid.voxel_to_world(np.reshape(places_mm, (-1, 3)) / NEAR_MM)
        return points

    def along(
        self, path: Path, top_mm: float, foot_mm: float, near: Window = NEAR, far: Window = FAR
    ) -> Views:
        """Return the column from the height ``top_mm`` down to ``foot_mm``, cut to the scan's.

        Near rows stand at equal steps along the path; they come in pairs, one pair a far row.
        """
        tall = self.near.shape[2]
        arc = Arc.of(path, (tall - 1) * NEAR_MM[2])
        # Up to a row at or above the last plane; sums of lengths are right to a millionth of a row.
        pairs = int(np.ceil(arc.s_mm[tall - 1] / NEAR_MM[2] - 1e-6)) // 2 + 1
        high, low = (
            int(np.clip(np.rint((arc.length(z) - HALF_MM[2]) / FAR_MM[2]), 0, pairs - 1))
            for z in (top_mm, foot_mm)
        )
        rows_mm = np.arange(2 * high + 1, 2 * low - 1, -1, dtype=np.float64) * NEAR_MM[2]
        z_mm = arc.height(rows_mm)
        planes = self._planes(z_mm)
        within = z_mm <= (tall - 0.5) * NEAR_MM[2]
        rows = np.where(within, np.arange(len(z_mm)), -1)
        xy_mm = path.at(z_mm)
        middles = (xy_mm.reshape(-1, 2, 2).mean(axis=1) - HALF_MM[:2]) / FAR_MM[:2]
        near_view = view(planes, near, rows, xy_mm / NEAR_MM[:2])
        far_view = view(halved(planes), far, np.arange(len(middles)), middles)
        return Views(*near_view, *far_view, z_mm, xy_mm, arc)

    def _planes(self, z_mm: Doubles) -> Floats:
        """Return (x, y, n) near planes at these heights, linear in between; beyond, the last."""
        last = self.near.shape[2] - 1
        place = np.clip(z_mm / NEAR_MM[2], 0, last)
        below = np.minimum(place.astype(int), max(0, last - 1))
        part = (place - below).astype(np.float32)
        above = np.minimum(below + 1, last)
        result: Floats = self.near[:, :, below] * (1 - part) + self.near[:, :, above] * part
        return result


def as_planes(values: NDArray[Value]) -> NDArray[Value]:
    """Return (x, y, z) as (rows, y, x), head first: the order in which networks see it."""
    return np.ascontiguousarray(values.transpose(2, 1, 0)[::-1])
