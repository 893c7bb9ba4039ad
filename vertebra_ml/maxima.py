"""Maxima of a CT along the body's depth and along its width, each voxel read about once.

Arrays are (x, y, z) in RAS order: voxels of the CT, or cells of some voxels each (see ``body``).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.body import Cells, Mask, body_mask, sample, trunk_only
from vertebra_ml.midline import Path, middle_depth, spine_path
from vertebra_ml.volume import AIR_HU, Volume

CHUNK_SLICES = 16
"""Slices a task: enough tasks for the threads, small in memory."""


@dataclass(frozen=True, eq=False)
class Field:
    """What is known of a CT before it is projected; cells and arrays are (x, y, z) in RAS order."""

    array: NDArray[Any]
    cells: Cells
    body: Mask
    middle: NDArray[np.int_]  # (z,) first y cell in front of the middle
    spine: Path  # (z,) x in cells


def survey(volume: Volume, body_threshold_hu: int) -> Field:
    """Find body, middle and spine of a CT in RAS order."""
    cells = sample(volume.array, volume.spacing_mm)
    whole = body_mask(cells, body_threshold_hu)
    spine = spine_path(cells, whole, middle_depth(whole, cells.spacing_mm))
    body = trunk_only(whole, spine, cells)
    middle = middle_depth(body, cells.spacing_mm)
    if body is not whole:  # arms are gone, and with them their bones
        spine = spine_path(cells, body, middle)
    return Field(volume.array, cells, body, middle, spine)


def posterior_half(body: Mask, middle: NDArray[np.int_]) -> Mask:
    """Return the cells of ``body`` that lie behind ``middle``, a y cell for each height."""
    result: Mask = body & (np.arange(body.shape[1])[:, None] < middle)
    return result


def maxima(field: Field, slab_mm: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the frontal (x, z) and sagittal (y, z) maxima at the resolution of the CT.

    Frontal: over the body behind its middle. Sagittal: over the body within ``slab_mm`` around the
    spine. ``AIR_HU`` where there is no body.
    """
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

    in_chunks(part, tall, max(1, CHUNK_SLICES // step))
    return frontal, sagittal


def _frontal(field: Field, heights: tuple[int, int], out: NDArray[Any]) -> None:
    """Write the maxima of the posterior half over y into ``out`` (x, slices of those cells)."""
    sx, sy, sz = field.cells.steps
    low, high = heights
    half = posterior_half(field.body[:, :, low:high], field.middle[low:high])
    across = span(np.logical_or.reduce(half, axis=(1, 2)))
    deep = span(np.logical_or.reduce(half, axis=(0, 2)))
    if across is None or deep is None:
        return
    columns = slice(across[0] * sx, voxel_of(across[1], half.shape[0], sx, out.shape[0]))
    block = field.array[columns, deep[0] * sy : deep[1] * sy, low * sz : low * sz + out.shape[1]]
    # A cell is wholly in or wholly out, so its maximum over y comes first and the mask after.
    lines = block.reshape(block.shape[0], deep[1] - deep[0], sy, block.shape[2]).max(axis=2)
    inside = half[across[0] : across[1], deep[0] : deep[1]]
    inside = _stretch(_stretch(inside, 0, sx, lines.shape[0]), 2, sz, lines.shape[2])
    out[columns] = np.where(inside, lines, lines.dtype.type(AIR_HU)).max(axis=1)


def _sagittal(field: Field, cell: int, slab_mm: float, out: NDArray[Any]) -> None:
    """Write the maxima of the slab over x into ``out`` (y, slices of one cell of height)."""
    sx, sy, sz = field.cells.steps
    width, depth, _ = field.array.shape
    body = field.body[:, :, cell]
    low, high = _slab(field, cell, slab_mm, width)
    columns = np.minimum(np.arange(low, high) // sx, body.shape[0] - 1)
    deep = span(np.logical_or.reduce(body[columns], axis=0))
    if deep is None:
        return
    rows = slice(deep[0] * sy, voxel_of(deep[1], body.shape[1], sy, depth))
    block = field.array[low:high, rows, cell * sz : cell * sz + out.shape[1]]
    inside = _stretch(body[columns, deep[0] : deep[1]], 1, sy, block.shape[1])
    out[rows] = np.where(inside[:, :, None], block, block.dtype.type(AIR_HU)).max(axis=0)


def _slab(field: Field, cell: int, slab_mm: float, width: int) -> tuple[int, int]:
    """Return first and past-last x voxel whose centres lie in the slab at one cell of height."""
    step = field.cells.steps[0]
    half = slab_mm / 2 * step / field.cells.spacing_mm[0]  # in voxels
    centre = (field.spine[cell] + 0.5) * step - 0.5
    low = int(np.clip(np.ceil(centre - half), 0, width - 1))
    return low, int(np.clip(np.floor(centre + half) + 1, low + 1, width))


def span(found: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Return the first True of (n,) and the place after the last; None where there is none."""
    places = np.flatnonzero(found)
    return (int(places[0]), int(places[-1]) + 1) if places.size else None


def voxel_of(cell: int, cells: int, step: int, voxels: int) -> int:
    """Return the voxel at which ``cell`` begins; the last cell holds all that is left."""
    return voxels if cell == cells else cell * step


def _stretch(mask: Mask, axis: int, step: int, voxels: int) -> Mask:
    """Repeat the cells of one axis so that they cover ``voxels``."""
    index = np.minimum(np.arange(voxels) // step, mask.shape[axis] - 1)
    result: Mask = mask.take(index, axis=axis)
    return result


def in_chunks(task: Callable[[int, int], None], length: int, chunk: int) -> None:
    """Call ``task(low, high)`` for successive chunks of ``range(length)`` on all cores."""
    bounds = [(low, min(low + chunk, length)) for low in range(0, length, chunk)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(lambda pair: task(*pair), bounds))
