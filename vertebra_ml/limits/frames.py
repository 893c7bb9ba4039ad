"""In which frame do labels fit their scan? Body centres lie in bone; in a wrong frame they do not.

Each level is judged by the median HU of a small ball around its point. Over 16 labelled scans and
the phantoms of all ranges a body centre's was 29 HU or more, while labels read in a wrong frame
scatter over lung, fat and air. A frame is blamed only where the labels as given do not fit and
where in that frame every one of them does, so a spine in the midline, which looks the same
mirrored, and a single stray label are not taken for a wrong frame.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import GAP_MM
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.volume import AIR_HU, Volume

RADIUS_MM: Final = 10.0
"""Within every body from C3 down, wide enough not to hang on one voxel."""
STEP_MM: Final = 2.5
NOT_BONE_HU: Final = -50.0
"""Below lie fat, lung and air; fatty marrow does not."""
BONE_LEAST_HU, BONE_USUAL_HU = 0.0, 40.0
"""What each level, and half of them, must reach for a frame to be believed."""
ALIKE_HU: Final = 20.0
"""Frames that fit alike (a spine in the midline fits mirrored too) go by how usual they are."""
GAP_SIGMAS: Final = 7.0
"""Gaps further off than this are no spine's (as ``limits.gap_sigmas``)."""

Points = NDArray[np.float64]


def bone_hu(volume: Volume, points_mm: Points) -> Points:
    """Return (n,): the median HU within ``RADIUS_MM`` of each (n, 3) RAS+ mm point.

    What lies outside the grid counts as air.
    """
    ball = _ball()
    voxels = np.round(volume.world_to_voxel(points_mm[:, None, :] + ball)).astype(int)
    last = np.array(volume.shape) - 1
    inside = ((voxels >= 0) & (voxels <= last)).all(axis=-1)
    held = np.clip(voxels, 0, last)
    values = volume.array[tuple(np.moveaxis(held, -1, 0))]
    found: Points = np.median(np.where(inside, values, AIR_HU), axis=1)
    return found


def fitting_frame(volume: Volume, marks: Landmarks) -> str | None:
    """Return in words the frame in which labels fit that do not as given; None if there is none.

    Levels whose height alone is known say nothing here.
    """
    full = np.flatnonzero(np.isfinite(marks.points_mm).all(axis=1))
    labels = [marks.labels[place] for place in full]
    points = marks.points_mm[full]
    if not labels:
        return None
    given = bone_hu(volume, points)
    stray = given < NOT_BONE_HU
    broken = _worst_gap(labels, points) > GAP_SIGMAS
    if not stray.any() and not broken:
        return None
    fitting = {
        name: float(np.median(bone_hu(volume, other)))
        for name, other in _readings(volume, points)
        if _fits(volume, labels, other)
    }
    if not fitting:
        return None
    best = max(fitting.values())
    name = next(each for each, hu in fitting.items() if hu > best - ALIKE_HU)
    where = labels[int(given.argmin())]
    return (
        f"labels look like {name} (median {fitting[name]:.0f} HU at their points as such, "
        f"{np.median(given):.0f} HU as given, {where} {given.min():.0f})"
    )


def _readings(volume: Volume, points: Points) -> Iterator[tuple[str, Points]]:
    """Yield what the numbers could have meant, the usual first, in words and as RAS+ mm."""
    middle = volume.bounds_mm().mean(axis=0)
    yield "voxel indices", volume.voxel_to_world(points)
    yield "voxel indices counted z, y, x", volume.voxel_to_world(points[:, ::-1])
    spacing = np.array(volume.spacing_mm)
    yield "mm from the first voxel", volume.voxel_to_world(points / spacing)
    yield "RAS mm read as voxel indices", volume.world_to_voxel(points)
    yield "LPS mm (x and y of the other sign)", points * [-1, -1, 1]
    yield "a mirror image, left for right", points * [-1, 1, 1]
    yield "a mirror image, front for back", points * [1, -1, 1]
    yield "the mirror image of the scan, left for right", _turned(points, middle, 0)


def _turned(points: Points, middle: Points, axis: int) -> Points:
    turned = points.copy()
    turned[:, axis] = 2 * middle[axis] - points[:, axis]
    return turned


def _fits(volume: Volume, labels: Sequence[str], points: Points) -> bool:
    if not volume.contains(points).all() or _worst_gap(labels, points) > GAP_SIGMAS:
        return False
    bone = bone_hu(volume, points)
    return bool(bone.min() >= BONE_LEAST_HU and np.median(bone) >= BONE_USUAL_HU)


def _worst_gap(labels: Sequence[str], points: Points) -> float:
    """Return how far the worst gap of neighbours is from the usual, in standard deviations."""
    worst = 0.0
    for (upper, a), (lower, b) in pairwise(zip(labels, points, strict=True)):
        if (upper, lower) in GAP_MM:
            mean, deviation = GAP_MM[upper, lower]
            worst = max(worst, abs(float(np.linalg.norm(a - b)) - mean) / deviation)
    return worst


def _ball() -> Points:
    steps = np.arange(-RADIUS_MM, RADIUS_MM + STEP_MM / 2, STEP_MM)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    ball: Points = grid[np.linalg.norm(grid, axis=1) <= RADIUS_MM]
    return ball
