"""Layout ``masks`` written: balls around the points of a truth, for tests of the way in.

A truth holds points, not shapes: real masks come from networks or people, not from here.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import VERSE_ID
from vertebra_ml.landmarks import Truth
from vertebra_ml.readers.mask_tables import LABELS
from vertebra_ml.readers.masks import MASKS
from vertebra_ml.readers.writers import write_json, write_nifti
from vertebra_ml.volume import Volume

BALL_MM: Final = 10.0
APART: Final = 0.45
"""Radius of a ball at most, as a part of the way to the nearest other point."""


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case with one mask in VerSe's numbers: a ball around each landmark, no vertebra.

    ``visible`` and points of height alone are left out. Read back, a point is as exact as a ball
    is on the grid (about a tenth of a voxel), and one whose ball the edge cuts is unlabelled.
    """
    scan = root / case / "ct.nii.gz"
    write_nifti(scan, volume)
    if truth is not None:
        write_nifti(scan.with_name(MASKS[0]), Volume(_balls(volume, truth), volume.affine))
        write_json(scan.with_name(LABELS), {"table": "verse", "patient": patient})
    return scan


def _balls(volume: Volume, truth: Truth) -> NDArray[np.int16]:
    numbers = np.zeros(volume.shape, np.int16)
    marks = truth.landmarks
    known = {
        label: point
        for label, point in zip(marks.labels, marks.points_mm, strict=True)
        if np.isfinite(point).all()
    }
    for label, point in known.items():
        gaps = [np.linalg.norm(point - other) for name, other in known.items() if name != label]
        radius = min(BALL_MM, APART * float(min(gaps, default=np.inf)))
        _paint(numbers, volume, point, radius, VERSE_ID[label])
    return numbers


def _paint(
    numbers: NDArray[np.int16],
    volume: Volume,
    point_mm: NDArray[np.float64],
    radius_mm: float,
    number: int,
) -> None:
    """Write ``number`` to the voxels within ``radius_mm`` of a point, as far as the grid goes."""
    middle = volume.world_to_voxel(point_mm)
    reach = radius_mm / np.array(volume.spacing_mm)
    low = np.maximum(np.ceil(middle - reach), 0).astype(int)
    high = np.minimum(np.floor(middle + reach) + 1, volume.shape).astype(int)
    if (low >= high).any():
        return
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    away = np.linalg.norm((index - middle) * volume.spacing_mm, axis=-1)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    numbers[box][away <= radius_mm] = number
