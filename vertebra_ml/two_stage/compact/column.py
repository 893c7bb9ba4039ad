"""The column of a coarse scan: the path of the spine, and the scan seen along it.

A path is the place (x, y) of the spine, in voxels, at each z of a coarse grid. A view along it is
axial planes of the scan, each shifted so that the spine stands in the middle, at equal steps along
the path: vertebrae of a neck that leans far forward stand as far apart as those of an upright one.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from vertebra_ml.two_stage.compact.grey import Floats

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEAR_MM: Final = (4.0, 4.0, 3.0)
"""Voxels of the near view: x, y, z."""
FAR_MM: Final = (8.0, 8.0, 6.0)
"""Voxels of the far view, and of the scan in which the spine is looked for."""


STEEPEST: Final = 1.5
"""mm along the path in a mm of height, at most: one that leans more than 48 degrees is in doubt."""


@dataclass(frozen=True)
class Window:
    """Voxels of a view across the path: to the left and right, behind and before it."""

    left: int
    right: int
    behind: int
    before: int

    def wider(self, voxels: int) -> "Window":
        """Return the window with a margin on all sides."""
        sides = (self.left, self.right, self.behind, self.before)
        return Window(*(side + voxels for side in sides))

    @property
    def shape(self) -> tuple[int, int]:
        """Depth and width in voxels."""
        return self.behind + self.before, self.left + self.right


NEAR: Final = Window(24, 24, 24, 16)
"""192 mm across, 96 mm behind and 64 mm before the middle of a vertebral body: the vertebra with
its processes, the heads of its ribs, the sacrum."""
FAR: Final = Window(24, 24, 14, 22)
"""384 mm across, 112 mm behind, 176 mm before: ribs, breastbone, lungs, kidneys, pelvis."""


@dataclass(frozen=True, eq=False)
class Path:
    """Where the spine stands: (n, 2) x and y, and the (n,) z they belong to, falling; in mm.

    All along the axes of one grid, from the centre of its first voxel.
    """

    z_mm: Doubles
    xy_mm: Doubles

    def at(self, z_mm: Doubles) -> Doubles:
        """Return (m, 2) at these heights; beyond the ends the path goes straight on."""
        rising = np.argsort(self.z_mm)
        return np.stack(
            [np.interp(z_mm, self.z_mm[rising], self.xy_mm[rising, i]) for i in (0, 1)], axis=1
        )


@dataclass(frozen=True, eq=False)
class Arc:
    """Lengths along a path by height: (n,) both, in mm, rising, 0 at height 0.

    Beyond its ends, where nothing is known of the path, a mm of height is a mm of length.
    """

    z_mm: Doubles
    s_mm: Doubles

    @classmethod
    def of(cls, path: Path, height_mm: float) -> Self:
        """Measure a path from height 0 to ``height_mm``, in steps of a near row."""
        z_mm = np.arange(0.0, height_mm + NEAR_MM[2], NEAR_MM[2])
        steep = np.interp(z_mm, path.z_mm[::-1], _steepness(path)[::-1], left=1.0, right=1.0)
        steps = (steep[1:] + steep[:-1]) / 2 * NEAR_MM[2]
        return cls(z_mm, np.concatenate([[0.0], np.cumsum(steps)]))

    def length(self, z_mm: Doubles | float) -> Doubles:
        """Return lengths at these heights."""
        return _straight_on(z_mm, self.z_mm, self.s_mm)

    def height(self, s_mm: Doubles | float) -> Doubles:
        """Return heights at these lengths."""
        return _straight_on(s_mm, self.s_mm, self.z_mm)


def _steepness(path: Path) -> Doubles:
    """Return mm along the path in a mm of height, at each of its places."""
    if len(path.z_mm) < 2:
        return np.ones(len(path.z_mm))
    slope = np.gradient(path.xy_mm, path.z_mm, axis=0)
    result: Doubles = np.minimum(np.sqrt(1 + (slope**2).sum(axis=1)), STEEPEST)
    return result


def _straight_on(at: Doubles | float, known: Doubles, values: Doubles) -> Doubles:
    """Interpolate; beyond the ends with a slope of one."""
    beyond = np.minimum(at - known[0], 0) + np.maximum(at - known[-1], 0)
    result: Doubles = np.interp(at, known, values) + beyond
    return result


def smooth(path: Path, sigma_mm: float) -> Path:
    """Return the path without jumps: a bell of ``sigma_mm`` over its (even) steps."""
    if len(path.z_mm) < 2:
        return path
    step = abs(float(path.z_mm[1] - path.z_mm[0]))
    even = gaussian_filter1d(path.xy_mm, sigma_mm / step, axis=0, mode="nearest")
    return Path(path.z_mm, even)


def view(
    values: Floats, window: Window, planes: NDArray[np.int_], places: Doubles
) -> tuple[Floats, Mask]:
    """Return a grid seen along the path, (rows, y, x) head to foot, and where the grid reaches.

    ``values`` are (x, y, z); a row is the plane ``planes`` (rows,), shifted by linear interpolation
    so that ``places`` (rows, 2), x and y in voxels, lie in the middle of ``window``, between two
    voxels. Values beyond the grid are 0.
    """
    depth, width = window.shape
    pad = max(width, depth) + 2
    padded = np.pad(values.transpose(2, 0, 1), ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    places = np.clip(places, -1, np.array(values.shape[:2]))
    out = np.zeros((len(planes), depth, width), dtype=np.float32)
    inside = np.zeros(out.shape, dtype=bool)
    for row in np.flatnonzero((planes >= 0) & (planes < values.shape[2])):
        corner = places[row] - (window.left, window.behind) + 0.5
        whole = np.floor(corner).astype(int)
        part = (corner - whole).astype(np.float32)
        out[row] = _shifted(padded[planes[row]], whole + pad, part, (width, depth)).T
        columns = [whole[i] + np.arange(size) for i, size in enumerate((width, depth))]
        x, y = ((c >= 0) & (c < n) for c, n in zip(columns, values.shape[:2], strict=True))
        inside[row] = y[:, None] & x
    return np.where(inside, out, 0), inside


def _shifted(plane: Floats, whole: NDArray[np.int_], part: Floats, size: tuple[int, int]) -> Floats:
    """Return (x, y) of ``size`` from ``whole`` + ``part`` on, linear in both."""
    x, y = int(whole[0]), int(whole[1])
    block = plane[x : x + size[0] + 1, y : y + size[1] + 1]
    block = block[:-1] * (1 - part[0]) + block[1:] * part[0]
    result: Floats = block[:, :-1] * (1 - part[1]) + block[:, 1:] * part[1]
    return result


def halved(values: Floats) -> Floats:
    """Return means of 2x2x2 voxels; an odd last plane is averaged with itself."""
    odd = [(0, size % 2) for size in values.shape]
    even = np.pad(values, odd, mode="edge")
    x, y, z = (size // 2 for size in even.shape)
    result: Floats = even.reshape(x, 2, y, 2, z, 2).mean(axis=(1, 3, 5))
    return result
