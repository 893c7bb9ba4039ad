"""The only preparation: a CT becomes a pair of maximum intensity projections.

Frontal: the greatest value from the body's back to the middle between back and front. Sagittal: the
greatest value in a slab around the spine. Maxima are taken at the resolution of the CT (see
``maxima``), the two pictures are then brought to square pixels.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from vertebra_ml.maxima import Field, in_chunks, maxima, span, survey, voxel_of
from vertebra_ml.midline import spine_depth
from vertebra_ml.mip import Mip, MipPair, View
from vertebra_ml.volume import AIR_HU, Volume

HIGHEST_HU = 3071
"""12-bit scanners end here; metal beyond says nothing more."""

MARGIN_MM = 10.0
"""Air kept around the body in the pictures."""

OBLIQUE_DEG = 1.0
"""A grid turned more than this is straightened first; less moves the ribs by 3 mm at most."""

STRAIGHT_MM = 1.0
"""Least spacing of a straightened grid: finer would only cost memory."""

CHUNK_SLICES = 16
"""Slices straightened at a time on one core."""

Positions = NDArray[np.float64]


def project(
    volume: Volume, *, spacing_mm: float, body_threshold_hu: int, slab_mm: float
) -> MipPair:
    """Project a CT onto square pixels of ``spacing_mm``, the same for every order of its axes.

    Rows run over the whole height of the grid, from its upper outer face down, and columns over the
    body with a margin of air; the centre of row 0 lies half a pixel inside the outer face. Values
    are int16 HU clipped to -1024..3071, and ``AIR_HU`` where no body is crossed. What exceeds
    ``body_threshold_hu`` is body; ``slab_mm`` is the thickness of the sagittal slab.
    """
    straight = straighten(volume)
    field = survey(straight, body_threshold_hu)
    frontal, sagittal = maxima(field, slab_mm)
    centre = straight.voxel_to_world(_spine_voxel(field))
    rows, z_mm = _rows(straight, centre, spacing_mm)

    def picture(view: View, axis: int, image: NDArray[Any]) -> Mip:
        columns, across_mm = _columns(straight, field, centre, axis, spacing_mm)
        down = _weights(rows, z_mm, spacing_mm)
        aside = _weights(columns, across_mm, spacing_mm)
        values = np.nan_to_num(image.T.astype(np.float32), nan=AIR_HU).clip(AIR_HU, HIGHEST_HU)
        pixels = np.rint((aside @ (down @ values).T).T).astype(np.int16, order="C")
        origin = (float(rows[0]), float(columns[0]))
        return Mip(pixels, (spacing_mm, spacing_mm), origin, view)

    pair = picture("frontal", 0, frontal), picture("sagittal", 1, sagittal)
    return MipPair(*pair, spine_mm=(float(centre[0]), float(centre[1])))


def straighten(volume: Volume) -> Volume:
    """Return the CT in RAS order (a view), resampled along the world's axes only where oblique."""
    turned = volume.reorient("RAS")
    if turned.obliquity_deg <= OBLIQUE_DEG:
        return turned
    low, high = turned.bounds_mm()
    spacing = np.maximum(turned.spacing_mm, STRAIGHT_MM)
    shape = np.maximum(1, np.ceil((high - low) / spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low + spacing / 2
    return replace(turned, array=_resampled(turned, affine, shape), affine=affine)


def _resampled(volume: Volume, affine: Positions, shape: NDArray[np.int_]) -> NDArray[Any]:
    """Return linear samples of ``volume`` on another grid; air beyond its field."""
    change = np.linalg.inv(volume.affine) @ affine  # voxel of the new grid -> voxel of the old
    out = np.empty(tuple(shape), dtype=volume.array.dtype, order="F")

    def part(low: int, high: int) -> None:
        start = change[:3, :3] @ [0, 0, low] + change[:3, 3]
        new = out[:, :, low:high]
        ndimage.affine_transform(
            volume.array, change[:3, :3], start, output=new, order=1, cval=AIR_HU
        )

    in_chunks(part, int(shape[2]), CHUNK_SLICES)
    return out


def _spine_voxel(field: Field) -> Positions:
    """Return (3,) voxel: median x of the spine, y of its bodies, middle of the height."""
    x = float(np.median(field.spine))
    y = spine_depth(field.cells, field.body, field.middle, field.spine)
    sx, sy, _ = field.cells.steps
    return np.array([(x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5, (field.array.shape[2] - 1) / 2])


def _along(volume: Volume, centre_mm: Positions, axis: int) -> tuple[Positions, float]:
    """Return (n,) world mm of the voxels on the line along ``axis`` through ``centre_mm``.

    The second is their spacing. On that line they are right even on a slightly oblique grid.
    """
    spacing = volume.spacing_mm[axis]
    place = float(volume.world_to_voxel(centre_mm)[axis])
    return centre_mm[axis] + (np.arange(volume.shape[axis]) - place) * spacing, spacing


def _rows(volume: Volume, centre_mm: Positions, pixel_mm: float) -> tuple[Positions, Positions]:
    """Return falling z of the pixel rows, and growing z of the slices."""
    z_mm, spacing = _along(volume, centre_mm, 2)
    return _centres(z_mm[0] - spacing / 2, z_mm[-1] + spacing / 2, pixel_mm), z_mm


def _columns(
    volume: Volume, field: Field, centre_mm: Positions, axis: int, pixel_mm: float
) -> tuple[Positions, Positions]:
    """Return falling x or y of the pixel columns around the body, and growing of the voxels."""
    mm, spacing = _along(volume, centre_mm, axis)
    cells, step = field.body.shape[axis], field.cells.steps[axis]
    first, stop = span(np.logical_or.reduce(field.body, axis=(1 - axis, 2))) or (0, cells)
    last = voxel_of(stop, cells, step, mm.size) - 1
    reach = MARGIN_MM + spacing / 2
    low = max(mm[first * step] - reach, mm[0] - spacing / 2)
    high = min(mm[last] + reach, mm[-1] + spacing / 2)
    return _centres(low, high, pixel_mm), mm


def _centres(low: float, high: float, pixel_mm: float) -> Positions:
    """Return falling centres of whole pixels from the outer face ``high`` down to about ``low``."""
    count = max(1, round((high - low) / pixel_mm - 1e-6))
    return np.asarray(high - (np.arange(count) + 0.5) * pixel_mm, dtype=np.float64)


def _weights(wanted_mm: Positions, known_mm: Positions, pixel_mm: float) -> Any:
    """Return sparse (wanted, known) weights: linear between voxel centres, constant beyond them.

    Where voxels are finer than pixels the triangle is a pixel wide to each side, so none is missed.
    """
    spacing = known_mm[1] - known_mm[0] if known_mm.size > 1 else pixel_mm
    away = np.abs(np.clip(wanted_mm, known_mm[0], known_mm[-1])[:, None] - known_mm)
    weights = np.maximum(0.0, 1.0 - away / max(spacing, pixel_mm))
    return sparse.csr_array((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
