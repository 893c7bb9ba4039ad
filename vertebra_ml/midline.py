"""Where the spine runs from side to side: a path through the bone of the back, height by height.

Arrays are (x, y, z) cells in RAS order, as in ``body``; y index 0 is the patient's back.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.body import Cells, Mask

Path = NDArray[np.float64]

BONE_HU = 180
"""Trabecular bone of the elderly starts near 100 HU, contrast-filled vessels lie above 150."""

COLUMN_SIGMA_MM = 12.0
"""Blur across: a vertebra with its processes is 40 to 90 mm wide."""

HEIGHT_SIGMA_MM = 20.0
"""Blur along: a rib passes at one height, the spine is there at all."""

DEPTH_MM = 60.0
"""Bone met from back to front that counts as a full column of vertebra and processes."""

CENTRE_PULL = 0.6
"""Cost of lying at the body's edge, in units of a full column: ribs and hips are there."""

STIFFNESS = 0.3
"""Cost of a step of one cell aside a cell of height."""


def middle_depth(mask: Mask) -> NDArray[np.int_]:
    """Return (z,): first y cell in front of the middle between the body's back and its front.

    Back and front are medians over the middle half of the body's width, smoothed along z, so that
    neither breasts nor a slanting field decide. Heights without a body get that of their neighbours.
    """
    _, depth, height = mask.shape
    found = mask.any(axis=1)  # (x, z)
    back, front = mask.argmax(axis=1), depth - mask[:, ::-1].argmax(axis=1)
    middle = np.full(height, np.nan)
    for z in np.flatnonzero(found.any(axis=0)):
        columns = np.flatnonzero(found[:, z])
        quarter = columns.size // 4
        inner = columns[quarter : columns.size - quarter]
        middle[z] = (np.median(back[inner, z]) + np.median(front[inner, z])) / 2
    smooth = ndimage.gaussian_filter1d(_bridged(middle, depth / 2), 5, mode="nearest")
    return np.clip(np.round(smooth), 1, depth).astype(int)


def _bridged(values: NDArray[np.float64], otherwise: float) -> NDArray[np.float64]:
    known = np.flatnonzero(np.isfinite(values))
    if known.size == 0:
        return np.full(values.size, otherwise)
    return np.interp(np.arange(values.size), known, values[known])


def spine_path(cells: Cells, posterior: Mask) -> Path:
    """Return (z,): the spine's x in fractional cells.

    ``posterior`` is the posterior half of the body. The path is the smooth line through the most
    bone, as counted from back to front; the body's middle where there is none.
    """
    dx, dy, dz = cells.spacing_mm
    bone = posterior & (cells.hu > BONE_HU)
    depth = np.minimum(bone.sum(axis=1) * dy / DEPTH_MM, 1.0)  # (x, z)
    score = ndimage.gaussian_filter(
        depth, (COLUMN_SIGMA_MM / dx, HEIGHT_SIGMA_MM / dz), mode="nearest"
    )
    score -= CENTRE_PULL * _off_centre(posterior) ** 2
    path = _best_path(score, reach=max(1, round(dz / dx)), stiffness=STIFFNESS * dx / dz)
    return ndimage.gaussian_filter1d(path, HEIGHT_SIGMA_MM / dz, mode="nearest")


def _off_centre(posterior: Mask) -> NDArray[np.float64]:
    """Return (x, z): distance from the body's middle in half widths."""
    found = posterior.any(axis=1)
    width, height = found.shape
    low = np.where(found.any(axis=0), found.argmax(axis=0), np.nan)
    high = np.where(found.any(axis=0), width - 1 - found[::-1].argmax(axis=0), np.nan)
    middle = _bridged((low + high) / 2, (width - 1) / 2)
    half = np.maximum(_bridged((high - low) / 2, width / 2), 1.0)
    return np.abs(np.arange(width)[:, None] - middle) / half


def _best_path(score: NDArray[np.float64], *, reach: int, stiffness: float) -> Path:
    """Return (z,) columns of the path of highest total ``score`` (x, z), by dynamic programming."""
    width, height = score.shape
    steps = np.arange(-reach, reach + 1)
    total, came = score[:, 0], np.zeros((height, width), dtype=int)
    for z in range(1, height):
        padded = np.pad(total, reach, constant_values=-np.inf)
        options = np.stack([padded[reach + s : reach + s + width] for s in steps])
        options = options - stiffness * np.abs(steps)[:, None]
        best = options.argmax(axis=0)
        came[z] = np.arange(width) + steps[best]
        total = options[best, np.arange(width)] + score[:, z]
    path = np.empty(height)
    column = int(total.argmax())
    for z in range(height - 1, -1, -1):
        path[z] = column
        column = int(came[z, column])
    return path
