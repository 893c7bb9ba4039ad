"""How far inside the file a place lies, and whether the outermost slice holds one just beyond."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import spacing_of, voxel_to_world, world_to_voxel
from vertebra_ml.volume import Source

Doubles = NDArray[np.float64]

SEEN: Final = 0.5
"""Heat from which a vertebra is answered though its place lies beyond. Its centre is seldom inside
(of 16 measured three), its body is: docs/decisions.md, 2026-11-23."""


def margins(source: Source, points_mm: Doubles) -> tuple[Doubles, Doubles]:
    """Return two (n,) arrays, mm, for (n, 3) RAS mm: to the sides, and to the ends head and foot.

    Measured along the axes of the file, from the outer faces of its voxels; below 0 beyond them.
    """
    voxels = world_to_voxel(source.affine, points_mm)
    room = np.minimum(voxels + 0.5, np.array(source.shape) - 0.5 - voxels)
    room *= spacing_of(source.affine)
    end = source.slice_axis
    return np.delete(room, end, axis=1).min(axis=1), room[:, end]


def drawn_in(source: Source, points_mm: Doubles, heat: Doubles, row_mm: float) -> Doubles:
    """Return (n, 3) RAS mm, those just beyond the head or foot end moved to the outermost slice.

    Of a vertebra that an end cuts, the place is read off one half and is off by millimetres either
    way. Where the network sees a vertebra (``heat``, 0..1) and the place lies beyond by at most one
    row, ``row_mm``, of the picture in which it is seen, the outermost slice is the answer.
    """
    _, end_mm = margins(source, points_mm)
    moved = (end_mm < 0) & (end_mm >= -row_mm) & (heat >= SEEN)
    voxels = world_to_voxel(source.affine, points_mm[moved])
    axis = source.slice_axis
    voxels[:, axis] = np.clip(voxels[:, axis], 0, source.shape[axis] - 1)
    result = points_mm.copy()
    result[moved] = voxel_to_world(source.affine, voxels)
    return result
