"""Grey values as the networks see them: a scale whose steps grow with the value.

Soft tissue, contrast, cortical bone and metal all keep a say. On disk the scale is cut into whole
codes, a step near the noise of a coarse voxel, so that samples are small; training adds noise of a
step again, and the serving path, which rounds nothing, looks the same to the network.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LOWEST_HU: Final = -200.0
"""Lung, bowel gas and air are one to the networks; fat lies above."""
LINEAR_HU: Final = 300.0
STEP: Final = 0.1
OUTSIDE: Final = 255
"""Code of a voxel beyond the scan."""
HIGHEST: Final = float(np.log1p((3071 - LOWEST_HU) / LINEAR_HU))

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def scaled(hu: NDArray[Any]) -> Floats:
    """Return HU on the networks' scale: 0 at -200 HU and below, 0.5 in water, 1.6 at 1000 HU."""
    above = np.maximum(hu.astype(np.float32) - np.float32(LOWEST_HU), 0)
    result: Floats = np.log1p(above / np.float32(LINEAR_HU))
    return result


def encode(values: NDArray[Any], inside: NDArray[np.bool_]) -> Codes:
    """Return values of ``scaled`` as codes, ``OUTSIDE`` where not ``inside``."""
    codes = np.rint(values / STEP).astype(np.uint8)
    codes[~inside] = OUTSIDE
    return codes


def decode(codes: Codes) -> tuple[Floats, NDArray[np.bool_]]:
    """Return what ``encode`` was given, to half a step; values are 0 outside."""
    inside = codes != OUTSIDE
    values = np.where(inside, codes.astype(np.float32) * np.float32(STEP), np.float32(0))
    return values.astype(np.float32), inside


def tensor(values: Floats, inside: NDArray[np.bool_]) -> Floats:
    """Return (..., 2): grey value and 1 where the scan reaches; both 0 beyond it."""
    return np.stack([np.where(inside, values, 0), inside], axis=-1).astype(np.float32)
