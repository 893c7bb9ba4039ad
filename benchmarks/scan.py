"""The CT that everything is timed on: a phantom's trunk of 512 x 512 x 400 voxels, from a seed."""

import numpy as np
from scipy import ndimage

from vertebra_ml.phantom import trunk
from vertebra_ml.volume import AIR_HU, Volume

SHAPE = (512, 512, 400)
FIELD_MM = 400.0
NOISE_HU = 14
"""Of a soft kernel in the abdomen: the noise is what makes a real .nii.gz large."""


def draw(seed: int) -> Volume:
    """Draw the trunk of ``seed`` on the full grid, noisy inside the circle of view, int16, RAS."""
    rng = np.random.default_rng([seed, 1])
    coarse = trunk(seed).volume
    low, high = coarse.bounds_mm()
    spacing = np.array([FIELD_MM / SHAPE[0], FIELD_MM / SHAPE[1], (high[2] - low[2]) / SHAPE[2]])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - (np.array(SHAPE) - 1) / 2 * spacing
    change = np.linalg.inv(coarse.affine) @ affine
    array = np.empty(SHAPE, dtype=np.int16, order="F")
    x, y = np.ogrid[: SHAPE[0], : SHAPE[1]]
    outside = np.hypot(x - SHAPE[0] / 2, y - SHAPE[1] / 2) > SHAPE[0] / 2
    for z in range(SHAPE[2]):
        start = change[:3, :3] @ [0, 0, z] + change[:3, 3]
        ndimage.affine_transform(
            coarse.array, change[:3, :3], start, output=array[:, :, z : z + 1], order=1, cval=-1000
        )
        noise = rng.normal(0, NOISE_HU, SHAPE[:2]).astype(np.int16)
        array[:, :, z] = np.where(outside, AIR_HU, array[:, :, z] + noise)
    return Volume(array, affine)
