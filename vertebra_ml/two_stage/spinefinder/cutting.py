"""What is kept of a labelled CT to teach the published networks: few patches, few slices."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.discs import Column, label_volumes
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.cuts import Arrays, Cut
from vertebra_ml.two_stage.spinefinder.grid import LOW_HU, SPACING_MM, Box, Grid
from vertebra_ml.volume import Volume

PATCH: Final[Box] = (64, 64, 80)
"""Voxels of a detection patch (x, y, z), as published."""

WITH_SPINE, WITHOUT = 4, 1
"""Patches of a case; published: five, of which at most one shows no spine."""

SLICES: Final = 8
MIDDLE: Final = 4
"""Of eight sagittal slices, the one whose levels are to be told, as published."""

CROP: Final = (80, 320)
"""Voxels of an identification sample from back to front and from foot to head, as published."""

SLABS: Final = 4
"""Identification samples of a case; published: 100, which would be 40 MB."""

ASIDE_MM: Final = 15.0
"""How far beside a centre a slice may lie, as published."""

LABELLED_MIN: Final = 500
"""Pixels with a level in a sample, as published."""

TRIES: Final = 12
BODY_MIN: Final = 0.3
"""Part of a patch without spine that is not air: air alone teaches nothing."""

UNKNOWN: Final = 2
"""Value in a detection mask beyond a column that may go on without labels: no lesson there."""

ENDS: Final = ({"C1"}, {"L5", "L6"})
"""Levels above and below which no vertebra is left to label."""

WIDE_MM, FLARE = 25.0, 0.5
"""Width of the unknown beyond an end, and how much wider a mm further out it is."""


def cut(volume: Volume, landmarks: Landmarks, seed: int) -> Cut:
    """Return samples of a CT whose vertebral body centres are ``landmarks``.

    Detection: ``hu`` (n, 64, 64, 80) int16 (see ``grid``) and ``mask`` uint8 of its shape: 0
    background, 1 spine, UNKNOWN. Identification: ``hu`` (n, 8, 80, 320) int16, axes slice to the
    right, front, head, and ``levels`` (n, 80, 320) uint8, ``discs.ordinal`` in slice MIDDLE, 0
    elsewhere. Both are of n = 0 where no level has a place in x, y and z.
    """
    rng = np.random.default_rng([seed, 3])
    marks = landmarks.select([n for n in landmarks.labels if np.isfinite(landmarks[n]).all()])
    grid = Grid.over(volume)
    return Cut(_patches(volume, grid, marks, rng), _slabs(volume, grid, marks, rng))


def mask(landmarks: Landmarks, grid: Grid, start: Box, shape: Box) -> NDArray[np.uint8]:
    """Return the detection mask of a box of the grid: 0 background, 1 spine, UNKNOWN."""
    spine, _ = label_volumes(landmarks, grid.affine(start), shape)
    column = Column.through(landmarks)
    ends = zip((0, -1), (1, -2), (landmarks.labels[0], landmarks.labels[-1]), ENDS, strict=True)
    for end, before, level, last in ends:
        if level in last:
            continue
        outward = column.places_mm[end] - column.places_mm[before]
        gone = _beyond(grid, start, shape, column.places_mm[end], outward)
        spine[gone & (spine == 0)] = UNKNOWN
    return spine


def _beyond(
    grid: Grid, start: Box, shape: Box, end_mm: NDArray[np.float64], outward: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which voxels lie in the widening cone beyond an end of the column."""
    axes = [
        (np.arange(n, dtype=np.float32) + s) * SPACING_MM + f - e
        for n, s, f, e in zip(shape, start, grid.first_mm, end_mm, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    unit = outward / np.linalg.norm(outward)
    ahead = x * unit[0] + y * unit[1] + z * unit[2]
    aside = np.sqrt(np.maximum(0, x**2 + y**2 + z**2 - ahead**2))
    inside: NDArray[np.bool_] = (ahead > 0) & (aside < WIDE_MM + FLARE * ahead)
    return inside


def _patches(volume: Volume, grid: Grid, marks: Landmarks, rng: np.random.Generator) -> Arrays:
    starts = [
        _start(grid.voxels(mark) - rng.uniform(0.15, 0.85, size=3) * PATCH, PATCH, grid)
        for mark in _some(marks, WITH_SPINE, rng)
    ]
    hu = [grid.sample(volume, start, PATCH) for start in starts]
    masks = [mask(marks, grid, start, PATCH) for start in starts]
    for _ in range(TRIES if len(marks) else 0):
        start = _start(rng.random(3) * np.subtract(grid.shape, PATCH), PATCH, grid)
        seen = grid.sample(volume, start, PATCH)
        if (seen > LOW_HU).mean() < BODY_MIN:
            continue
        taught = mask(marks, grid, start, PATCH)
        if not taught.any():
            hu.append(seen)
            masks.append(taught)
        if len(hu) == len(starts) + WITHOUT:
            break
    return {"hu": _stack(hu, PATCH, np.int16), "mask": _stack(masks, PATCH, np.uint8)}


def _slabs(volume: Volume, grid: Grid, marks: Landmarks, rng: np.random.Generator) -> Arrays:
    hu, levels = [], []
    for mark in _some(marks, SLABS, rng):
        for _ in range(TRIES):
            x, y, z = grid.voxels(mark)
            x += rng.uniform(-ASIDE_MM, ASIDE_MM)
            y -= rng.uniform(0.2, 0.8) * CROP[0]
            z -= rng.uniform(0.05, 0.95) * CROP[1]
            start = _start(np.array([x, y, z]), (1, *CROP), grid)
            _, taught = label_volumes(marks, grid.affine(start), (1, *CROP))
            if np.count_nonzero(taught) > LABELLED_MIN:
                first = (start[0] - MIDDLE, *start[1:])
                hu.append(grid.sample(volume, first, (SLICES, *CROP)))
                levels.append(taught[0])
                break
    return {
        "hu": _stack(hu, (SLICES, *CROP), np.int16),
        "levels": _stack(levels, CROP, np.uint8),
    }


def _some(marks: Landmarks, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Choose ``count`` centres, each once before any is taken twice; none where there are none."""
    if not len(marks):
        return marks.points_mm
    order = [rng.permutation(len(marks)) for _ in range(count // len(marks) + 1)]
    return marks.points_mm[np.concatenate(order)[:count]]


def _start(wanted: NDArray[np.float64], shape: Box, grid: Grid) -> Box:
    """Return where a box begins that lies within the grid where the grid is large enough."""
    room = np.maximum(0, np.subtract(grid.shape, shape))
    x, y, z = np.clip(np.rint(wanted), 0, room).astype(int)
    return (int(x), int(y), int(z))


def _stack(
    parts: Sequence[NDArray[Any]], shape: tuple[int, ...], kind: type[np.generic]
) -> NDArray[Any]:
    return np.stack(parts) if parts else np.zeros((0, *shape), dtype=kind)
