"""The MIP pair from a CT in memory, against the way of the thesis code."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.timing import Figure, alternately
from vertebra_ml.config import Projection
from vertebra_ml.prepare import project
from vertebra_ml.volume import AIR_HU, Volume

BODY_HU = -120
AT_LEAST = 15.0


def measure(volume: Volume, settings: Projection, rounds: int) -> list[Figure]:
    """Time both ways on one CT in RAS order."""
    seconds = alternately(
        {
            "thesis": lambda: thesis_way(volume, settings.spacing_mm, settings.sagittal_slab_mm),
            "ours": lambda: project(
                volume,
                spacing_mm=settings.spacing_mm,
                body_threshold_hu=settings.body_threshold_hu,
                slab_mm=settings.sagittal_slab_mm,
            ),
        },
        rounds,
    )
    ratio = seconds["thesis"] / seconds["ours"]
    baseline, ours = (f"{seconds[name]:.2f} s" for name in ("thesis", "ours"))
    bound = f"at least {AT_LEAST:.0f} times as fast"
    return [Figure("MIP pair, CT in memory", baseline, ours, ratio, bound, ratio >= AT_LEAST)]


def thesis_way(
    volume: Volume, spacing_mm: float, slab_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return frontal and sagittal maxima (row, col) the way of dittohed/vertebrae-slice-detection.

    Slice by slice: what exceeds -120 HU, its largest connected part, holes filled; all else is air.
    Then the greatest values of the body's posterior half and of a slab at its middle, at 1 mm.
    """
    body = np.empty(volume.shape, dtype=np.int16, order="F")
    for z in range(volume.shape[2]):
        body[:, :, z] = np.where(_slice_mask(volume.array[:, :, z]), volume.array[:, :, z], AIR_HU)
    inside = body > AIR_HU
    x_low, x_high = _ends(np.logical_or.reduce(inside, axis=(1, 2)))
    y_low, y_high = _ends(np.logical_or.reduce(inside, axis=(0, 2)))
    half = round(slab_mm / 2 / volume.spacing_mm[0])
    middle = (x_low + x_high) // 2
    frontal = body[:, y_low : (y_low + y_high) // 2].max(axis=1)
    sagittal = body[middle - half : middle + half].max(axis=0)
    dx, dy, dz = (mm / spacing_mm for mm in volume.spacing_mm)
    return (
        ndimage.zoom(frontal, (dx, dz), order=1).T[::-1, ::-1],
        ndimage.zoom(sagittal, (dy, dz), order=1).T[::-1, ::-1],
    )


def _slice_mask(picture: NDArray[np.int16]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(picture > BODY_HU)
    if not count:
        return np.zeros(picture.shape, dtype=bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(parts == sizes.argmax())
    return filled


def _ends(found: NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(found)
    return int(places[0]), int(places[-1]) + 1
