"""Where the spine runs from side to side: a path through the bone of the back, height by height.

Arrays are (x, y, z) cells in RAS order, as in ``body``; y index 0 is the patient's back.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.body import Cells, Mask

Path = NDArray[np.float64]

BONE_HU = 180
"""Trabecular bone of the elderly starts near 100 HU, contrast-filled vessels lie above 150."""

COLUMN_SIGMA_MM = 12.0
"""Blur across: a vertebra with its processes is 40 to 90 mm wide."""

HEIGHT_SIGMA_MM = 10.0
"""Blur along: a rib passes at one height, the spine is there at all."""

FULL_MM = 40.0
"""Bone met on a line from the back (the front counts less) in a vertebra and its processes."""

CENTRE_PULL = 0.4
"""Cost of lying at the body's edge, in units of a full line: ribs, hips and shoulders are there."""

STIFFNESS = 0.05
"""Cost of leaning 45 degrees, in units of a full line for each height."""

HALF_WIDTH_MM = 150.0
"""From a body's side to its middle, where the field hides the other side."""

HIDDEN = 0.4
"""A side of the body lies on the field's border by this share of its depth more than the other:
that side is hidden."""

HALF_DEPTH_MM = 100.0
"""From a body's back to its middle at least, where the field hides the front."""

BODY_SHARE = 0.7
"""Share of the spine's bone behind the centres of the bodies, from five labelled real scans."""

MIDDLE_SIGMA_MM = 20.0
"""Blur along z of the plane between back and front."""


def middle_depth(mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.int_]:
    """Return (z,): first y cell in front of the middle between the body's back and its front.

    Back and front are means over the middle half of the body's width, smoothed along z, so that
    neither flanks nor a slanting field decide. Heights without a body get their neighbours' plane.
    """
    width, depth, height = mask.shape
    found = _any(mask, 1)  # (x, z)
    low, high = _ends(found)
    quarter = (high - low) / 4
    columns = np.arange(width)[:, None]
    inner = found & (columns >= low + quarter) & (columns <= high - quarter)
    count = np.where(_any(inner, 0), inner.sum(axis=0), np.nan)
    back = (mask.argmax(axis=1) * inner).sum(axis=0) / count
    front = ((depth - mask[:, ::-1].argmax(axis=1)) * inner).sum(axis=0) / count
    half = (front - back) / 2
    hidden = (mask[:, -1] & inner).sum(axis=0) > count / 2
    half = np.where(hidden, np.maximum(half, HALF_DEPTH_MM / spacing_mm[1]), half)
    smooth = _smooth(_bridged(back + half, depth / 2), MIDDLE_SIGMA_MM / spacing_mm[2])
    return np.clip(np.round(smooth), 1, depth).astype(int).reshape(height)


def _ends(found: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (z,) first and last True of (x, z); NaN where there is none."""
    some = _any(found, 0)
    low = np.where(some, found.argmax(axis=0), np.nan)
    return low, np.where(some, found.shape[0] - 1 - found[::-1].argmax(axis=0), np.nan)


def spine_path(cells: Cells, body: Mask, middle: NDArray[np.int_]) -> Path:
    """Return (z,): the spine's x in fractional cells.

    The path is the smooth line through the most bone behind ``middle`` (z,), counted from back to
    front; near the body's middle where there is none.
    """
    dx, dy, dz = cells.spacing_mm
    bone = (body & (cells.hu > BONE_HU)).astype(np.float32)
    weight = _backness(body, middle)  # (y, z)
    lines = np.einsum("xyz,yz->xz", bone, weight) * dy / FULL_MM
    sigma = (COLUMN_SIGMA_MM / dx, HEIGHT_SIGMA_MM / dz)
    score = ndimage.gaussian_filter(np.minimum(lines, 1.0), sigma, mode="nearest")
    score = score - CENTRE_PULL * _off_centre(body, dx) ** 2
    path = _best_path(score, reach=max(1, round(dz / dx)), stiffness=STIFFNESS * dx / dz)
    return _smooth(path, HEIGHT_SIGMA_MM / dz)


def spine_depth(cells: Cells, body: Mask, middle: NDArray[np.int_], path: Path) -> float:
    """Return the y, in fractional cells, of the vertebral bodies over the whole height.

    It is the depth behind which lies ``BODY_SHARE`` of the bone close to the spine; the middle of
    the field where there is no bone.
    """
    away = np.abs(np.arange(body.shape[0])[:, None] - path) * cells.spacing_mm[0]  # (x, z)
    behind = np.arange(body.shape[1])[:, None] < middle
    bone = body & (cells.hu > BONE_HU) & behind & (away <= COLUMN_SIGMA_MM)[:, None]
    counts = bone.sum(axis=(0, 2))
    if not counts.any():
        return float(body.shape[1] - 1) / 2
    return float(np.interp(BODY_SHARE, np.cumsum(counts) / counts.sum(), np.arange(counts.size)))


def _backness(body: Mask, middle: NDArray[np.int_]) -> NDArray[np.float32]:
    """Return (y, z): 1 at the body's back falling to 0 at its middle: vessels lie in front."""
    depth, height = body.shape[1:]
    rows = _any(body, 0)
    back = np.where(_any(rows, 0), rows.argmax(axis=0), 0)
    weight = (middle - np.arange(depth)[:, None]) / np.maximum(middle - back, 1)
    return np.clip(weight, 0, 1).astype(np.float32).reshape(depth, height)


def _off_centre(body: Mask, cell_mm: float) -> NDArray[np.float64]:
    """Return (x, z): distance from the body's middle in half widths."""
    found = _any(body, 1)
    width = found.shape[0]
    low, high = _ends(found)
    half = np.maximum((high - low) / 2, 1.0)
    middle = low + half
    # Where one side lies on the border of the field far more than the other, it is hidden.
    depth = np.maximum(_any(body, 0).sum(axis=0), 1)
    tilt = (body[-1].sum(axis=0) - body[0].sum(axis=0)) / depth / HIDDEN
    tilt = np.clip(_smooth(tilt, 5.0), -1, 1)
    half = np.maximum(half, HALF_WIDTH_MM / cell_mm)
    one_sided = np.where(tilt > 0, low + half, high - half)
    middle = middle + np.abs(tilt) * (one_sided - middle)
    middle, half = _bridged(middle, (width - 1) / 2), _bridged(half, width / 2)
    result: NDArray[np.float64] = (np.arange(width)[:, None] - middle) / half
    return result


def _best_path(score: NDArray[Any], *, reach: int, stiffness: float) -> Path:
    """Return (z,) columns of the path of highest total ``score`` (x, z), by dynamic programming."""
    width, height = score.shape
    steps = np.arange(-reach, reach + 1)
    cost = stiffness * np.abs(steps)[:, None]
    padded = np.full(width + 2 * reach, -np.inf)
    options = np.lib.stride_tricks.sliding_window_view(padded, width)  # (steps, x): a view
    columns, came = np.arange(width), np.zeros((height, width), dtype=int)
    total = padded[reach : reach + width]
    total[:] = score[:, 0]
    for z in range(1, height):
        reached = options - cost
        best = reached.argmax(axis=0)
        came[z] = columns + steps[best]
        total[:] = reached[best, columns] + score[:, z]
    path = np.empty(height)
    column = int(total.argmax())
    for z in range(height - 1, -1, -1):
        path[z] = column
        column = int(came[z, column])
    return path


def _bridged(values: NDArray[Any], otherwise: float) -> NDArray[np.float64]:
    """Replace NaN by what lies between its neighbours; all NaN by ``otherwise``."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size == 0:
        return np.full(values.size, otherwise)
    return np.asarray(np.interp(np.arange(values.size), known, values[known]), dtype=np.float64)


def _smooth(values: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    result: NDArray[np.float64] = ndimage.gaussian_filter1d(values, sigma, mode="nearest")
    return result


def _any(mask: Mask, axis: int) -> Mask:
    result: Mask = np.logical_or.reduce(mask, axis=axis)
    return result
