"""Label volumes from centres: discs swept along the column, as wide as the vertebra they pass.

The column is the smooth curve through the body centres, head to foot, half a gap beyond both ends.
A voxel is spine where the nearest place of that curve lies no further than the radius there, and
it takes the level whose centre is nearest to that place along the curve.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from vertebra_ml.affines import Affine, spacing_of, voxel_to_world, world_to_voxel
from vertebra_ml.anatomy import GAP_MM, LEVELS, RANK, region, successors
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks

Doubles = NDArray[np.float64]

DIAMETER_MM: Final[dict[str, float]] = {
    "C1": 14.0, "C2": 15.0, "C3": 16.5, "C4": 17.0, "C5": 17.0, "C6": 19.0, "C7": 20.0,
    "T1": 19.3, "T2": 20.0, "T3": 22.0, "T4": 24.0, "T5": 25.0, "T6": 27.0, "T7": 29.0,
    "T8": 31.0, "T9": 33.0, "T10": 32.0, "T11": 33.5, "T12": 34.0, "T13": 34.0,
    "L1": 34.0, "L2": 37.0, "L3": 38.0, "L4": 36.0, "L5": 34.0, "L6": 34.0,
}  # fmt: skip
"""Diameter of the disc at each body centre, mm.

Source: the sizes that SpineFinder draws its discs with (McCouat & Glocker 2019, github
jfm15/SpineFinder utility_functions/labels.py 30c9284, VERTEBRAE_SIZES), close to the mean depth of
the endplates from front to back in cadavers (Panjabi et al., Spine 1991 and 1992, as remembered).
T13, which it does not know, has T12's; L6 has L5's, there as here.
"""

USUAL_GAP_MM: Final = {"cervical": 17.5, "thoracic": 32.0, "lumbar": 35.0}
"""Gap below a level that ``anatomy.GAP_MM`` does not tell of: C1, C2, T13, and across a variant."""

REACH: Final = 0.5
"""A level ends this part of its usual gap from its centre, where the neighbour has no label."""

STEP_MM: Final = 1.0
"""Distance between two places at which a disc is drawn."""


@dataclass(frozen=True, eq=False)
class Column:
    """The curve in steps of about STEP_MM, head to foot.

    Parameters
    ----------
    places_mm : (n, 3) RAS mm; radii_mm : (n,).
    values : (n,) uint8, the ``ordinal`` of the level, 0 where it cannot be told which.
    """

    places_mm: Doubles
    radii_mm: Doubles
    values: NDArray[np.uint8]

    @classmethod
    def through(cls, landmarks: Landmarks) -> Self:
        """Draw the curve through the centres of at least one level.

        Raises DatasetError where there is none, one without x and y, or two at the same place.
        """
        marks, levels = landmarks.points_mm, landmarks.labels
        gaps = np.linalg.norm(np.diff(marks, axis=0), axis=1)
        _check(landmarks, gaps)
        knots = np.concatenate([[0.0], np.cumsum(gaps)])
        start, end = -gap_mm(levels[0], up=True) / 2, knots[-1] + gap_mm(levels[-1]) / 2
        steps = np.linspace(start, end, round((end - start) / STEP_MM) + 1)
        sizes = np.array([DIAMETER_MM[level] / 2 for level in levels])
        radii = np.full(len(steps), sizes[0])
        if len(levels) > 1:
            radii = PchipInterpolator(knots, sizes)(np.clip(steps, 0, knots[-1]))
        return cls(_curve(knots, marks, steps), radii, _values(levels, knots, steps))

    def nearest(self, affine: Affine, shape: tuple[int, int, int]) -> tuple[Any, Any]:
        """Return for each voxel of a grid the nearest place and its distance in mm.

        Both (x, y, z): int16, -1 further than the widest radius off, and float32, there infinite.
        """
        index = np.full(shape, -1, dtype=np.int16)
        best = np.full(shape, np.inf, dtype=np.float32)
        reach = float(self.radii_mm.max())
        half = reach / spacing_of(affine)
        for i, voxel in enumerate(world_to_voxel(affine, self.places_mm)):
            low = np.maximum(0, np.ceil(voxel - half)).astype(int)
            high = np.minimum(shape, np.floor(voxel + half).astype(int) + 1)
            if (high <= low).any():
                continue
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            distance = _distances(affine, voxel, low, high)
            nearer = (distance < best[box]) & (distance <= reach)
            best[box] = np.where(nearer, distance, best[box])
            index[box] = np.where(nearer, np.int16(i), index[box])
        return index, best


def ordinal(level: str) -> int:
    """Return the value of a level in a label volume: C1 is 1, L6 is 26, in the order of LEVELS."""
    return RANK[level] + 1


def level_of(value: int) -> str:
    """Return the level of an ``ordinal``."""
    return LEVELS[value - 1]


def gap_mm(level: str, *, up: bool = False) -> float:
    """Return the usual gap below ``level``, or above it, mm."""
    pairs = [pair for pair in GAP_MM if pair[1 if up else 0] == level]
    if pairs:
        return GAP_MM[pairs[0]][0]
    if level == "L6":
        return GAP_MM["L5", "L6"][0]
    return USUAL_GAP_MM[region(level)]


def label_volumes(
    landmarks: Landmarks, affine: Affine, shape: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the spine and its levels on a grid (4x4 voxel -> RAS mm), both uint8 (x, y, z).

    Spine is 1 within the discs, 0 outside. Levels hold ``ordinal`` there, 0 outside and between
    two labels that are no neighbours, where spine is, but which vertebra cannot be told.
    """
    column = Column.through(landmarks)
    index, distance = column.nearest(affine, shape)
    near = np.argwhere(index >= 0)
    place = index[index >= 0]
    inside = distance[index >= 0] <= column.radii_mm[place]
    inside &= ~_beyond(column, voxel_to_world(affine, near.astype(np.float64)), place)
    spine = np.zeros(shape, dtype=np.uint8)
    levels = np.zeros(shape, dtype=np.uint8)
    kept = tuple(near[inside].T)
    spine[kept] = 1
    levels[kept] = column.values[place[inside]]
    return spine, levels


def _check(landmarks: Landmarks, gaps: Doubles) -> None:
    found = ""
    if not len(landmarks):
        found = "no level"
    elif not np.isfinite(landmarks.points_mm).all():
        found = "a level with a height only"
    elif (gaps <= 0).any():
        found = "two levels at the same place"
    if found:
        raise DatasetError(
            "discs",
            found=found,
            expected="centres in x, y and z of at least one level, each its own",
            fix="correct the labels, or leave the case out of the samples",
        )


def _beyond(column: Column, points_mm: Doubles, place: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Tell which points lie beyond the flat ends of the column."""
    ends = column.places_mm[[0, -1]]
    outward = ends - column.places_mm[[1, -2]]
    gone = np.zeros(len(points_mm), dtype=bool)
    for end, direction, last in zip(ends, outward, (0, len(column.values) - 1), strict=True):
        gone |= (place == last) & ((points_mm - end) @ direction > 0)
    return gone


def _distances(affine: Affine, voxel: Doubles, low: Any, high: Any) -> NDArray[np.float32]:
    """Return the mm from a fractional voxel to each of a box of voxels."""
    x, y, z = (
        np.arange(a, b, dtype=np.float32) - v for a, b, v in zip(low, high, voxel, strict=True)
    )
    steps = affine[:3, :3].astype(np.float32)
    squared = sum(
        (row[0] * x[:, None, None] + row[1] * y[:, None] + row[2] * z) ** 2 for row in steps
    )
    distance: NDArray[np.float32] = np.sqrt(np.float32(1) * squared)
    return distance


def _curve(knots: Doubles, marks: Doubles, steps: Doubles) -> Doubles:
    """Return the places at ``steps`` along the chords: a cubic spline, straight beyond its ends."""
    if len(marks) == 1:  # one vertebra does not say how it is tilted: upright
        upright: Doubles = marks - steps[:, None] * np.array([0.0, 0.0, 1.0])
        return upright
    spline = CubicSpline(knots, marks, bc_type="natural")
    clipped = np.clip(steps, 0, knots[-1])
    places: Doubles = spline(clipped) + spline(clipped, 1) * (steps - clipped)[:, None]
    return places


def _values(levels: tuple[str, ...], knots: Doubles, steps: Doubles) -> NDArray[np.uint8]:
    """Return for each step the ordinal of the nearest level, 0 where it is beyond its reach."""
    nearest = np.abs(steps[:, None] - knots).argmin(axis=1)
    ordinals = np.array([ordinal(level) for level in levels], dtype=np.uint8)
    values: NDArray[np.uint8] = ordinals[nearest]
    for upper, lower, start, end in zip(levels, levels[1:], knots, knots[1:], strict=False):
        if lower not in successors(upper):
            between = (steps > start + REACH * gap_mm(upper)) & (
                steps < end - REACH * gap_mm(lower, up=True)
            )
            values[between] = 0
    return values
