"""The CT that the two-stage models are timed on: a phantom's trunk with slices of 1 mm, any count.

Up to the height of the trunk the scan is its middle; a higher one begins at the skull, and below
the thighs goes on as they are: legs, and no spine, as in a scan of the whole body.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vertebra_ml.landmarks import Landmarks
from vertebra_ml.phantom import Phantom
from vertebra_ml.volume import AIR_HU, Volume

SIDE = 512
FIELD_MM = 400.0
SLICE_MM = 1.0
NOISE_HU = 14


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT in memory and the body centres in it."""

    volume: Volume
    truth: Landmarks


def draw(phantom: Phantom, slices: int, seed: int) -> Scan:
    """Draw a trunk on 512 x 512 x ``slices`` voxels of 0.78 x 0.78 x 1 mm, int16, RAS, noisy."""
    coarse = phantom.volume
    low, high = coarse.bounds_mm()
    spacing = np.array([FIELD_MM / SIDE, FIELD_MM / SIDE, SLICE_MM])
    shape = np.array([SIDE, SIDE, slices])
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (low + high) / 2 - (shape - 1) / 2 * spacing
    if slices * SLICE_MM > high[2] - low[2]:
        affine[2, 3] = high[2] - (slices - 0.5) * SLICE_MM
    change = np.linalg.inv(coarse.affine) @ affine
    array = np.empty(tuple(shape), dtype=np.int16, order="F")
    noise = np.random.default_rng([seed, 1]).normal(0, NOISE_HU, (SIDE, SIDE)).astype(np.int16)
    x, y = np.ogrid[:SIDE, :SIDE]
    outside = np.hypot(x - SIDE / 2, y - SIDE / 2) > SIDE / 2
    lowest = -change[2, 3] / change[2, 2]  # slice that lies on the phantom's last
    for z in range(slices):
        start = change[:3, :3] @ [0, 0, max(z, np.ceil(lowest))] + change[:3, 3]
        plane = array[:, :, z : z + 1]
        ndimage.affine_transform(
            coarse.array, np.diag(change[:3, :3]), start, output=plane, order=1, cval=-1000
        )
        plane[..., 0] = np.where(outside, AIR_HU, plane[..., 0] + np.roll(noise, 37 * z))
    volume = Volume(array, affine)
    marks = phantom.truth.landmarks
    inside = volume.contains(marks.points_mm)
    held = [name for name, i in zip(marks.labels, inside, strict=True) if i]
    return Scan(volume, marks.select(held))
