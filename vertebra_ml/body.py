"""Where the body is: a coarse mask of a CT, without table, cables, blanket and separate arms.

Everything here works on cells of about 4 mm, sampled one voxel each straight from the CT, so that
a whole trunk is under a million cells. Arrays are (x, y, z) in RAS order: x grows to the right,
y to the front, z to the head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

CELL_MM = 4.0
"""Wanted edge of a cell: a body's outline is smooth at this scale, a table's shell vanishes."""

SHEET_MM = 10.0
"""Solid things thinner than this in a slice (table shell, blanket, cable, finger) are no body."""

BRIDGE_MM = 30.0
"""Parts of a slice that touch over less than this (arm and trunk) are two."""

LUNG_HU = -970
"""Most of a lung is brighter than this, also of an emphysematous one; air is at -1000."""

ARM_GAP_MM = 70.0
"""A part of a slice that comes no nearer than this to the spine is an arm, not the trunk."""

_IN_SLICE = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])
"""Neighbours in the same slice only: z is often thick, and thin fields have no z to lose."""


@dataclass(frozen=True, eq=False)
class Cells:
    """A CT sampled at one voxel a cell.

    Parameters
    ----------
    hu : (x, y, z) samples, RAS order.
    steps : voxels a cell along each axis; voxels past the last whole cell belong to that cell.
    spacing_mm : edges of a cell.
    """

    hu: NDArray[Any]
    steps: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]


def sample(array: NDArray[Any], spacing_mm: tuple[float, float, float]) -> Cells:
    """Sample an (x, y, z) array of voxels ``spacing_mm`` apart at the middle of each cell."""
    steps = [
        int(np.clip(round(CELL_MM / mm), 1, n))
        for mm, n in zip(spacing_mm, array.shape, strict=True)
    ]
    starts = tuple(
        slice(step // 2, n // step * step, step) for step, n in zip(steps, array.shape, strict=True)
    )
    x, y, z = (step * mm for step, mm in zip(steps, spacing_mm, strict=True))
    # One contiguous copy, x fastest, whatever the order of the CT in memory.
    hu = np.array(array[starts], order="F")
    return Cells(hu, (steps[0], steps[1], steps[2]), (float(x), float(y), float(z)))


def body_mask(cells: Cells, threshold_hu: float) -> Mask:
    """Return (x, y, z) True in cells of the body, lungs and bowel gas filled slice by slice.

    Solid is what exceeds ``threshold_hu``. Sheets are opened away, the largest connected thing is
    the body, and what the opening took from its skin is given back. All False where all is air.
    Arms that touch the trunk in 3D are still there: see ``trunk_only``.
    """
    solid = cells.hu > threshold_hu
    core = largest(_opened(solid, cells, SHEET_MM))
    return filled(ndimage.binary_dilation(core, _IN_SLICE) & solid, cells.hu)


def _opened(solid: Mask, cells: Cells, thickness_mm: float) -> Mask:
    """Return ``solid`` without what is thinner than ``thickness_mm`` in a slice."""
    core, times = _eroded(solid, cells, thickness_mm)
    return ndimage.binary_dilation(core, _IN_SLICE, iterations=times) & solid


def _eroded(solid: Mask, cells: Cells, thickness_mm: float) -> tuple[Mask, int]:
    """Return what is left of ``solid``, and how many cells of its skin are gone."""
    times = max(1, round(thickness_mm / 2 / max(cells.spacing_mm[:2])))
    # Beyond the field the body goes on: a border must not be eaten.
    return ndimage.binary_erosion(solid, _IN_SLICE, iterations=times, border_value=1), times


def largest(mask: Mask) -> Mask:
    """Return the largest face-connected part of ``mask``; all False where there is none."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel(order="K"))
    sizes[0] = 0
    result: Mask = parts == sizes.argmax()
    return result


def filled(mask: Mask, hu: NDArray[Any]) -> Mask:
    """Return ``mask`` with the holes of each slice filled.

    A hole does not reach the border of the field; or it does, but has body before and behind it and
    the values of lung, for a narrow field cuts the chest open.
    """
    gaps, count = ndimage.label(~mask, _IN_SLICE)
    inside = np.ones(count + 1, dtype=bool)
    inside[np.unique(gaps[[0, -1]])] = False
    inside[np.unique(gaps[:, [0, -1]])] = False
    behind = np.logical_or.accumulate(mask, axis=1)
    before = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    inside |= _mostly(behind & before & (hu > LUNG_HU), gaps, count)
    result: Mask = inside[gaps] | mask
    return result


def _mostly(found: Mask, parts: NDArray[Any], count: int) -> Mask:
    """Tell for each of the parts 0..count whether more than half of it is ``found``."""
    flat = parts.ravel(order="K")
    sizes = np.bincount(flat, minlength=count + 1)
    hits = np.bincount(flat, found.ravel(order="K"), minlength=count + 1)
    result: Mask = hits > sizes / 2
    return result


def trunk_only(mask: Mask, spine_cells: NDArray[np.float64], cells: Cells) -> Mask:
    """Return ``mask`` without the parts of each slice that lie far to the side of the spine.

    Parts that hang together by a narrow bridge, such as an arm that touches the trunk, are parted.
    A chest wall that a narrow field has parted from the spine stays: there is lung beside it.
    ``spine_cells`` is (z,): the spine's x in cells.
    """
    cores, times = _eroded(mask, cells, BRIDGE_MM)
    parts, count = ndimage.label(cores, _IN_SLICE)
    away = np.abs(np.arange(mask.shape[0])[:, None] - spine_cells) * cells.spacing_mm[0]  # (x, z)
    stays = np.zeros(count + 1, dtype=bool)
    stays[np.unique(parts[np.broadcast_to(away[:, None] <= ARM_GAP_MM, mask.shape)])] = True
    stays[0] = True
    if stays.all():
        return mask
    stays[
        np.unique(parts[ndimage.binary_dilation(_open_lung(mask, cells), iterations=times + 2)])
    ] = True
    trunk = ndimage.binary_dilation(cores & stays[parts], _IN_SLICE, iterations=times)
    # The skin that the erosion took grows back to the arms before they are taken away.
    arms = ndimage.binary_dilation(
        ~stays[parts], _IN_SLICE, iterations=times + 2, mask=mask & ~trunk
    )
    return mask & ~arms


def _open_lung(mask: Mask, cells: Cells) -> Mask:
    """Return the gaps of each slice that are lung by their values but were left open."""
    gaps, count = ndimage.label(~mask, _IN_SLICE)
    lung = _mostly(cells.hu > LUNG_HU, gaps, count)
    lung[0] = False
    result: Mask = lung[gaps]
    return result
