"""The only preparation: a CT becomes a pair of maximum intensity projections.

Frontal: the greatest value from the body's back to the middle between back and front. Sagittal: the
greatest value in a slab around the spine. Maxima are taken at the resolution of the CT, the two
pictures are then brought to square pixels. The CT is read about once; nothing of its size is made.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.body import Cells, Mask, body_mask, sample, trunk_only
from vertebra_ml.midline import BONE_HU, Path, middle_depth, spine_path
from vertebra_ml.mip import Mip, MipPair, View
from vertebra_ml.volume import AIR_HU, Volume

HIGHEST_HU = 3071
"""12-bit scanners end here; metal beyond says nothing more."""

MARGIN_MM = 10.0
"""Air kept around the body in the pictures."""

OBLIQUE_DEG = 1.0
"""A grid turned more than this is straightened first; less moves a point by millimetres at most."""

CHUNK_SLICES = 16
"""Slices a task: enough for the threads, small in memory."""


@dataclass(frozen=True, eq=False)
class Field:
    """What is known of a CT before it is projected; cells and arrays are (x, y, z) in RAS order."""

    array: NDArray[Any]
    cells: Cells
    body: Mask
    middle: NDArray[np.int_]  # (z,) first y cell in front of the middle
    spine: Path  # (z,) x in cells


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
    frontal, sagittal = _maxima(field, slab_mm)
    spine = _spine_voxel(field)
    centre = straight.voxel_to_world(spine)
    mips = []
    views: tuple[tuple[View, NDArray[Any], int], ...] = (
        ("frontal", frontal, 0),
        ("sagittal", sagittal, 1),
    )
    for view, image, axis in views:
        mips.append(_to_pixels(straight, field, image, (view, axis, centre), spacing_mm))
    return MipPair(mips[0], mips[1], (float(centre[0]), float(centre[1])))


def survey(volume: Volume, body_threshold_hu: int) -> Field:
    """Find body, middle and spine of a CT in RAS order."""
    cells = sample(volume.array, volume.spacing_mm)
    whole = body_mask(cells, body_threshold_hu)
    spine = spine_path(cells, whole, middle_depth(whole, cells.spacing_mm))
    body = trunk_only(whole, spine, cells.spacing_mm[0])
    middle = middle_depth(body, cells.spacing_mm)
    spine = spine_path(cells, body, middle)
    return Field(volume.array, cells, body, middle, spine)


def posterior_half(body: Mask, middle: NDArray[np.int_]) -> Mask:
    """Return the cells of ``body`` that lie behind ``middle``, a y cell for each height."""
    result: Mask = body & (np.arange(body.shape[1])[:, None] < middle)
    return result


def straighten(volume: Volume) -> Volume:
    """Return the CT in RAS order (a view), resampled along the world's axes only where oblique."""
    turned = volume.reorient("RAS")
    if turned.obliquity_deg <= OBLIQUE_DEG:
        return turned
    bounds = turned.bounds_mm()
    spacing = np.maximum(turned.spacing_mm, 1.0)
    shape = np.maximum(1, np.ceil((bounds[1] - bounds[0]) / spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = bounds[0] + spacing / 2
    return replace(turned, array=_resampled(turned, affine, shape), affine=affine)


def _resampled(volume: Volume, affine: NDArray[Any], shape: NDArray[np.int_]) -> NDArray[Any]:
    """Return linear samples of ``volume`` on another grid; air beyond its field."""
    from scipy import ndimage

    between = np.linalg.inv(volume.affine) @ affine  # voxel of the new grid -> voxel of the old
    out = np.empty(tuple(shape), dtype=volume.array.dtype, order="F")

    def part(low: int, high: int) -> None:
        start = between[:3, :3] @ [0, 0, low] + between[:3, 3]
        ndimage.affine_transform(
            volume.array, between[:3, :3], start, output=out[:, :, low:high],
            output_shape=(shape[0], shape[1], high - low), order=1, cval=AIR_HU,
        )  # fmt: skip

    _in_chunks(part, int(shape[2]), CHUNK_SLICES)
    return out


def _in_chunks(task: Any, length: int, chunk: int) -> None:
    """Call ``task(low, high)`` for successive chunks of ``range(length)`` on all cores."""
    bounds = [(low, min(low + chunk, length)) for low in range(0, length, chunk)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(lambda pair: task(*pair), bounds))


def _maxima(field: Field, slab_mm: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the maxima (x, z) and (y, z) at the resolution of the CT."""
    width, depth, height = field.array.shape
    frontal = np.full((width, height), AIR_HU, field.array.dtype, order="F")
    sagittal = np.full((depth, height), AIR_HU, field.array.dtype, order="F")
    step, tall = field.cells.steps[2], field.body.shape[2]

    def part(low: int, high: int) -> None:
        end = height if high == tall else high * step
        _frontal(field, (low, high), frontal[:, low * step : end])
        for cell in range(low, high):
            stop = height if cell == tall - 1 else (cell + 1) * step
            _sagittal(field, cell, slab_mm, sagittal[:, cell * step : stop])

    _in_chunks(part, tall, max(1, CHUNK_SLICES // step))
    return frontal, sagittal


def _frontal(field: Field, heights: tuple[int, int], out: NDArray[Any]) -> None:
    """Write the maxima of the posterior half over y into ``out`` (x, slices of those cells)."""
    sx, sy, sz = field.cells.steps
    low, high = heights
    half = posterior_half(field.body[:, :, low:high], field.middle[low:high])
    span = _span(np.logical_or.reduce(half, axis=(0, 2)))
    across = _span(np.logical_or.reduce(half, axis=(1, 2)))
    if span is None or across is None:
        return
    columns = slice(across[0] * sx, _voxels(across[1], half.shape[0], sx, out.shape[0]))
    block = field.array[columns, span[0] * sy : span[1] * sy, low * sz : low * sz + out.shape[1]]
    # A cell is wholly in or wholly out, so its maximum over y comes first and the mask after.
    tall = block.reshape(block.shape[0], span[1] - span[0], sy, block.shape[2]).max(axis=2)
    inside = half[across[0] : across[1], span[0] : span[1]]
    inside = _stretch(_stretch(inside, 0, sx, tall.shape[0]), 2, sz, tall.shape[2])
    out[columns] = np.where(inside, tall, tall.dtype.type(AIR_HU)).max(axis=1)


def _sagittal(field: Field, cell: int, slab_mm: float, out: NDArray[Any]) -> None:
    """Write the maxima of the slab over x into ``out`` (y, slices of one cell of height)."""
    sx, sy, sz = field.cells.steps
    width, depth, _ = field.array.shape
    mm = field.cells.spacing_mm[0] / sx
    centre = (field.spine[cell] + 0.5) * sx - 0.5  # in voxels
    low = int(np.clip(np.ceil(centre - slab_mm / 2 / mm), 0, width - 1))
    high = int(np.clip(np.floor(centre + slab_mm / 2 / mm) + 1, low + 1, width))
    body = field.body[:, :, cell]
    columns = np.minimum(np.arange(low, high) // sx, body.shape[0] - 1)
    inside = body[columns]
    span = _span(np.logical_or.reduce(inside, axis=0))
    if span is None:
        return
    rows = slice(span[0] * sy, _voxels(span[1], body.shape[1], sy, depth))
    block = field.array[low:high, rows, cell * sz : cell * sz + out.shape[1]]
    inside = _stretch(inside[:, span[0] : span[1]], 1, sy, block.shape[1])
    out[rows] = np.where(inside[:, :, None], block, block.dtype.type(AIR_HU)).max(axis=0)


def _span(found: NDArray[np.bool_]) -> tuple[int, int] | None:
    places = np.flatnonzero(found)
    return (int(places[0]), int(places[-1]) + 1) if places.size else None


def _voxels(stop: int, cells: int, step: int, voxels: int) -> int:
    """Return the voxel at which cell ``stop`` begins; the last cell holds all that is left."""
    return voxels if stop == cells else stop * step


def _stretch(mask: Mask, axis: int, step: int, voxels: int) -> Mask:
    """Repeat the cells of one axis so that they cover ``voxels``."""
    index = np.minimum(np.arange(voxels) // step, mask.shape[axis] - 1)
    result: Mask = mask.take(index, axis=axis)
    return result


def _spine_voxel(field: Field) -> NDArray[np.float64]:
    """Return (3,) voxel: median x of the spine, mean y of the bone in it, middle of the height."""
    x = float(np.median(field.spine))
    near = max(1, round(20.0 / field.cells.spacing_mm[0]))
    columns = slice(max(0, round(x) - near), round(x) + near + 1)
    half = posterior_half(field.body, field.middle)[columns]
    bone = (half & (field.cells.hu[columns] > BONE_HU)).sum(axis=(0, 2))
    depth = np.arange(bone.size)
    y = float((bone * depth).sum() / bone.sum()) if bone.any() else (bone.size - 1) / 2
    z = (field.array.shape[2] - 1) / 2
    sx, sy, _ = field.cells.steps
    return np.array([(x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5, z])


def _to_pixels(
    volume: Volume,
    field: Field,
    image: NDArray[Any],
    place: tuple[View, int, NDArray[np.float64]],
    pixel_mm: float,
) -> Mip:
    """Turn maxima (across, z) with growing mm into a picture (row, col) with falling mm."""
    view, axis, centre = place
    spacing, middle = volume.spacing_mm, volume.world_to_voxel(centre)
    # Positions are those on the lines through the spine, right there even if slightly oblique.
    z_mm = centre[2] + (np.arange(image.shape[1]) - middle[2]) * spacing[2]
    across_mm = centre[axis] + (np.arange(image.shape[0]) - middle[axis]) * spacing[axis]
    found = _span(np.logical_or.reduce(field.body, axis=(1 - axis, 2)))
    step, cells = field.cells.steps[axis], field.body.shape[axis]
    first, stop = found or (0, cells)
    half = spacing[axis] / 2
    left = max(across_mm[first * step] - half - MARGIN_MM, across_mm[0] - half)
    last = _voxels(stop, cells, step, image.shape[0]) - 1
    right = min(across_mm[last] + half + MARGIN_MM, across_mm[-1] + half)
    rows = _centres(z_mm[0] - spacing[2] / 2, z_mm[-1] + spacing[2] / 2, pixel_mm)
    columns = _centres(left, right, pixel_mm)
    down = _weights(rows, z_mm, max(spacing[2], pixel_mm))
    aside = _weights(columns, across_mm, max(spacing[axis], pixel_mm))
    values = np.nan_to_num(image.T.astype(np.float32), nan=AIR_HU).clip(AIR_HU, HIGHEST_HU)
    picture = np.rint(down @ values @ aside.T).astype(np.int16)
    return Mip(picture, (pixel_mm, pixel_mm), (float(rows[0]), float(columns[0])), view)


def _centres(low: float, high: float, pixel_mm: float) -> NDArray[np.float64]:
    """Return falling centres of whole pixels from the outer face ``high`` down to about ``low``."""
    count = max(1, round((high - low) / pixel_mm - 1e-6))
    return np.asarray(high - (np.arange(count) + 0.5) * pixel_mm, dtype=np.float64)


def _weights(
    wanted_mm: NDArray[np.float64], known_mm: NDArray[np.float64], reach_mm: float
) -> NDArray[np.float32]:
    """Return (wanted, known) weights of linear interpolation, or of a triangle where pixels shrink.

    ``reach_mm`` is the greater of the two spacings; beyond the outermost centres their value holds.
    """
    away = np.abs(np.clip(wanted_mm, known_mm[0], known_mm[-1])[:, None] - known_mm)
    weights = np.maximum(0.0, 1.0 - away / reach_mm)
    result: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result
