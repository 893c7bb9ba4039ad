"""Where the body is: a coarse mask of a CT, without table, cables, blanket and separate arms.

Everything here works on cells of 4 to 6 mm, sampled one voxel each straight from the CT, so that
a whole trunk is under a million cells. Arrays are (x, y, z) in RAS order: x grows to the right,
y to the front, z to the head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

CELL_MM = (4.0, 4.0, 6.0)
"""Wanted edges of a cell: a body's outline is smooth at this scale, a table's shell vanishes."""

SHEET_MM = 10.0
"""Solid things thinner than this in a slice (table shell, blanket, cable, finger) are no body."""

BRIDGE_MM = 30.0
"""Parts of a slice that touch over less than this (arm and trunk) are two."""

LUNG_HU = -970
"""Most of a lung is brighter than this, also of an emphysematous one; air is at -1000."""

ARM_GAP_MM = 70.0
"""A part of a slice that comes no nearer than this to the spine is an arm, not the trunk."""

Box = tuple[slice, slice]

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
        int(np.clip(round(cell / mm), 1, n))
        for cell, mm, n in zip(CELL_MM, spacing_mm, array.shape, strict=True)
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
    Arms that hang together with the trunk are still there: see ``trunk_only``.
    """
    solid = cells.hu > threshold_hu
    times = _times(cells, SHEET_MM)
    core = largest(grown(shrunk(solid, times), times) & solid)
    box = _box(core)
    core[box] = filled(grown(core[box], 1) & solid[box], cells.hu[box])
    return core


def _times(cells: Cells, thickness_mm: float) -> int:
    """Return how often a slice is shrunk until what is thinner than ``thickness_mm`` is gone."""
    return max(1, round(thickness_mm / 2 / max(cells.spacing_mm[:2])))


def _box(mask: Mask) -> Box:
    """Return the x and y that hold ``mask``, with a cell of margin where the field has one."""
    ends = []
    for axis in (0, 1):
        places = np.flatnonzero(np.logical_or.reduce(mask, axis=(1 - axis, 2)))
        ends.append(slice(max(places[0] - 1, 0), places[-1] + 2) if places.size else slice(0))
    return ends[0], ends[1]


def shrunk(mask: Mask, times: int) -> Mask:
    """Take the skin off each slice; at the border of the field the body is thought to go on."""
    for _ in range(times):
        skin, mask = mask, mask.copy(order="K")
        mask[1:] &= skin[:-1]
        mask[:-1] &= skin[1:]
        mask[:, 1:] &= skin[:, :-1]
        mask[:, :-1] &= skin[:, 1:]
    return mask


def grown(mask: Mask, times: int) -> Mask:
    """Put a skin of one cell on each slice, so many times."""
    for _ in range(times):
        bare, mask = mask, mask.copy(order="K")
        mask[1:] |= bare[:-1]
        mask[:-1] |= bare[1:]
        mask[:, 1:] |= bare[:, :-1]
        mask[:, :-1] |= bare[:, 1:]
    return mask


def largest(mask: Mask) -> Mask:
    """Return the largest face-connected part of ``mask``; all False where there is none."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts[mask])
    result: Mask = parts == sizes.argmax()
    return result


def filled(mask: Mask, hu: NDArray[Any]) -> Mask:
    """Return ``mask`` with the holes of each slice filled.

    A hole does not reach the border of the field; or it does, but has body before and behind it and
    the values of lung, for a narrow field cuts the chest open.
    """
    gaps, count = ndimage.label(~mask, _IN_SLICE)
    if mask.size == 0 or count == 0:
        return mask
    inside = np.ones(count + 1, dtype=bool)
    inside[gaps[[0, -1]]] = False
    inside[gaps[:, [0, -1]]] = False
    behind = np.logical_or.accumulate(mask, axis=1)
    before = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    inside[0] = True
    inside |= _mostly(behind & before & ~inside[gaps] & (hu > LUNG_HU), gaps, count)
    result: Mask = inside[gaps]
    return result


def _mostly(found: Mask, parts: NDArray[Any], count: int) -> Mask:
    """Tell for each of the parts 0..count whether more than half of it is ``found``."""
    places = parts[found]
    if places.size == 0:
        return np.zeros(count + 1, dtype=bool)
    sizes = np.bincount(parts.ravel(order="K"), minlength=count + 1)
    result: Mask = np.bincount(places, minlength=count + 1) > sizes / 2
    return result


def trunk_only(mask: Mask, spine_cells: NDArray[np.float64], cells: Cells) -> Mask:
    """Return ``mask`` without the parts of each slice that lie far to the side of the spine.

    Parts that hang together by a narrow bridge, such as an arm that touches the trunk, are parted.
    A chest wall that a narrow field has parted from the spine stays: there is lung beside it.
    ``spine_cells`` is (z,): the spine's x in cells. Returns ``mask`` itself where it has no arms.
    """
    box = _box(mask)
    times = _times(cells, BRIDGE_MM)
    inner = mask[box]
    cores = shrunk(inner, times)
    away = np.abs(np.arange(mask.shape[0])[:, None] - spine_cells) * cells.spacing_mm[0]  # (x, z)
    near = np.broadcast_to((away[box[0]] <= ARM_GAP_MM)[:, None], inner.shape)
    trunk = _touching(cores, near)
    if trunk is cores:
        return mask
    slices = np.flatnonzero(np.logical_or.reduce(cores & ~trunk, axis=(0, 1)))
    inner, cores, near, hu = (a[:, :, slices] for a in (inner, cores, near, cells.hu[box]))
    near |= grown(_open_lung(inner, hu), times + 2)
    trunk = _touching(cores, near)
    arms, free = cores & ~trunk, inner & ~grown(trunk, times)
    for _ in range(times + 2):  # their skin grows back before they are taken away
        arms = grown(arms, 1) & free
    result = mask.copy(order="K")
    result[box[0], box[1], slices] = _touching(inner & ~arms, near | trunk)
    return result


def _touching(mask: Mask, places: Mask) -> Mask:
    """Return the parts of each slice that reach into ``places``; ``mask`` itself where all do."""
    parts, count = ndimage.label(mask, _IN_SLICE)
    stays = np.zeros(count + 1, dtype=bool)
    stays[parts[mask & places]] = True
    if stays[1:].all():
        return mask
    result: Mask = stays[parts]
    return result


def _open_lung(mask: Mask, hu: NDArray[Any]) -> Mask:
    """Return the gaps of each slice that are lung by their values but were left open."""
    gaps, count = ndimage.label(~mask, _IN_SLICE)
    lung = _mostly(~mask & (hu > LUNG_HU), gaps, count)
    result: Mask = lung[gaps]
    return result
