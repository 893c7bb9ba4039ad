"""How far inside the file a place lies: from the nearest side, and from the nearer end."""

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import spacing_of, world_to_voxel
from vertebra_ml.volume import Source

Doubles = NDArray[np.float64]


def margins(source: Source, points_mm: Doubles) -> tuple[Doubles, Doubles]:
    """Return two (n,) arrays, mm, for (n, 3) RAS mm: to the sides, and to the ends head and foot.

    Measured along the axes of the file, from the outer faces of its voxels; below 0 beyond them.
    """
    voxels = world_to_voxel(source.affine, points_mm)
    room = np.minimum(voxels + 0.5, np.array(source.shape) - 0.5 - voxels)
    room *= spacing_of(source.affine)
    end = source.slice_axis
    return np.delete(room, end, axis=1).min(axis=1), room[:, end]
