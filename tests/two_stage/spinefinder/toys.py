"""A toy spine whose brightness tells the level, and networks that read it off: geometry alone."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.discs import gap_mm, label_volumes
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.spinefinder.grid import MIDDLE_HU, SCALE_HU
from vertebra_ml.volume import Volume

BASE_HU, STEP_HU = 160, 40  # a level of ordinal v is drawn with BASE_HU + STEP_HU * v


def column(*levels: str, top: float = 60.0, lean: float = 0.15) -> Landmarks:
    """Lay levels below each other, leaning to one side and to the front."""
    z, points = top, {}
    for level in levels:
        points[level] = (lean * z, -20 - 0.1 * z, z)
        z -= gap_mm(level)
    return Landmarks.of(points)


def scan(
    marks: Landmarks,
    spacing: tuple[float, float, float] = (2.0, 2.0, 3.0),
    half: tuple[float, float, float] = (40.0, 50.0, 90.0),
    orientation: str = "RAS",
) -> Volume:
    """Draw the toy of ``marks`` in a body of 40 HU that fills a box round the origin."""
    x, y, z = (int(n) for n in np.round(2 * np.array(half) / spacing))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array([x, y, z]) - 1) / 2 * spacing
    hu = np.full((x, y, z), 40, dtype=np.int16)
    if len(marks):
        _, levels = label_volumes(marks, affine, (x, y, z))
        hu[levels > 0] = BASE_HU + STEP_HU * levels[levels > 0].astype(np.int16)
    return Volume(hu, affine).reorient(orientation)


class Bright:
    """Says that what is brighter than the body, and nowhere near an edge, is spine."""

    jit_compile = False
    calls = 0

    def predict_on_batch(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, x, y, z, 1) to logits (n, x, y, z, 2)."""
        self.calls += 1
        hu = values[..., 0] * SCALE_HU + MIDDLE_HU
        near = (1, 3, 3, 3)
        flat = ndimage.maximum_filter(hu, near) - ndimage.minimum_filter(hu, near) < 1
        spine = ((hu > 150) & flat).astype(np.float32)
        return np.stack([1 - spine, spine], axis=-1)


class Named:
    """Reads the level off the brightness of the middle slice."""

    jit_compile = False

    def predict_on_batch(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (n, y, z, 8) to (n, y, z)."""
        hu = values[..., 4] * SCALE_HU + MIDDLE_HU
        return np.maximum(0, (hu - BASE_HU) / STEP_HU)
