"""A CT on a coarse grid, every voxel of it counted: what networks in three dimensions look at.

Axes are those of the CT in RAS order. A grid that is turned against the world by no more than
``prepare.OBLIQUE_DEG`` stays turned (its affine says so); one that is turned more is straightened.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from vertebra_ml.affines import Affine
from vertebra_ml.maxima import in_chunks
from vertebra_ml.prepare import HIGHEST_HU, straighten
from vertebra_ml.volume import AIR_HU, Volume

BLOCK = 8
"""Slices of the result that are made at a time on one core."""

Spacing = tuple[float, float, float]


def reduced(volume: Volume, spacing_mm: Spacing) -> Volume:
    """Return the CT as float32 HU on a grid of ``spacing_mm`` along its own axes in RAS order.

    Each new voxel is a mean weighted by a triangle as wide as the coarser of both spacings to each
    side: linear interpolation where the CT is coarser, and no voxel missed where it is finer.
    Values are clipped to -1024..3071 before. The grid covers the CT to half a new voxel.
    """
    straight = straighten(volume)
    wanted = np.asarray(spacing_mm, dtype=np.float64)
    known = np.asarray(straight.spacing_mm)
    shape = np.maximum(1, np.rint(straight.shape * known / wanted)).astype(int)
    down = [_weights(*args) for args in zip(straight.shape, known, shape, wanted, strict=True)]
    out = np.zeros(tuple(shape), dtype=np.float32, order="F")

    def part(low: int, high: int) -> None:
        _block(straight.array, down, low, high, out)

    in_chunks(part, int(shape[2]), BLOCK)
    return Volume(out, _affine(straight.affine, known, wanted))


def _block(array: NDArray[Any], down: list[Any], low: int, high: int, out: NDArray[Any]) -> None:
    """Write the slices ``low`` to ``high`` of the result, reading each slice needed once."""
    along_z = down[2][low:high].tocsc()
    for index in np.flatnonzero(np.diff(along_z.indptr)):
        plane = array[:, :, index].astype(np.float32).clip(AIR_HU, HIGHEST_HU)
        small = (down[1] @ (down[0] @ plane).T).T
        for place in range(along_z.indptr[index], along_z.indptr[index + 1]):
            out[:, :, low + along_z.indices[place]] += along_z.data[place] * small


def _weights(known: int, known_mm: float, wanted: int, wanted_mm: float) -> Any:
    """Return sparse (wanted, known) weights whose rows sum to 1; both grids begin at one face."""
    centres = np.clip((np.arange(wanted) + 0.5) * wanted_mm / known_mm - 0.5, 0, known - 1)
    reach = max(1.0, wanted_mm / known_mm)
    first = np.ceil(centres - reach).astype(int)
    columns = first[:, None] + np.arange(int(2 * reach) + 2)
    values = np.maximum(0.0, 1.0 - np.abs(columns - centres[:, None]) / reach)
    values[(columns < 0) | (columns >= known)] = 0.0
    values /= values.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(wanted)[:, None], columns.shape)
    kept = values > 0
    entries = (values[kept].astype(np.float32), (rows[kept], columns[kept]))
    return sparse.csr_array(entries, shape=(wanted, known))


def _affine(affine: Affine, known_mm: NDArray[Any], wanted_mm: NDArray[Any]) -> Affine:
    """Return the affine of the coarse grid, whose lower outer faces are those of the fine one."""
    result = affine.copy()
    result[:3, :3] = affine[:3, :3] / known_mm * wanted_mm
    first = (wanted_mm / known_mm - 1) / 2  # voxel of the fine grid at the first coarse centre
    result[:3, 3] = affine[:3, :3] @ first + affine[:3, 3]
    return result
