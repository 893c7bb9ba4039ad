"""The chest seen from the front along the column: at 4 mm, where which rib leaves its vertebra.

The far view has voxels of 8 mm, in which a rib is a shade. Here the brightest voxel of each line
from back to front is kept, as on a radiograph: once of what lies beside and behind the vertebrae
(the backs of the ribs), once of all of the chest.
"""

from typing import Any, Final

import numpy as np

from vertebra_ml.two_stage.compact.column import Mask, Path
from vertebra_ml.two_stage.compact.cutting import RIBS
from vertebra_ml.two_stage.compact.grey import Floats
from vertebra_ml.two_stage.compact.scene import Scene

HALF: Final = RIBS["back"].left
"""Columns to each side of the path: 192 mm."""


def ribs(scene: Scene, path: Path, top_mm: float, foot_mm: float) -> Floats:
    """Return the view of a column as `tensor` gives it; the rows are those of the near view."""
    pictures, within = [], []
    for name in RIBS:
        views = scene.along(path, top_mm, foot_mm, RIBS[name])
        pictures.append(views.near.max(axis=1))  # 0 beyond the scan
        within.append(np.any(views.near_inside, axis=1))
    return tensor(pictures, within)


def tensor(pictures: list[Floats], within: list[Mask]) -> Floats:
    """Return (rows, 1, x, 3): the brightest behind, and of all, and 1 where the scan reaches.

    ``pictures`` and ``within`` are (rows, x) each, in the order of ``cutting.RIBS``.
    """
    seen: list[Any] = [np.where(a, b, 0) for a, b in zip(within, pictures, strict=True)]
    stacked: Floats = np.stack([*seen, within[-1]], axis=-1).astype(np.float32)
    return stacked[:, None]
