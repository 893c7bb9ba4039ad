"""Answered cases on any grid, for the tests of what comes out."""

import math
from itertools import permutations, product

import numpy as np

from tests.layouts import turn
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.volume import Volume

ORIENTATIONS = [
    "".join(letters)
    for axes in permutations(("LR", "PA", "IS"))
    for letters in product(*axes)
]  # fmt: skip
IDENTITY = ModelIdentity("two_stage", "7", "run1", "0f1e2d")
POINTS_MM = {
    "C1": (1.5, -2.25, 21.0), "T12": (3.0, 4.0, 9.5), "T13": (-2.0, 1.0, 0.125),
    "L3": (-4.5, 6.5, -8.0), "L6": (0.0, 0.0, -19.75),
}  # fmt: skip


def grid(orientation: str = "RAS", turned_deg: tuple[float, float, float] = (0, 0, 0)) -> Volume:
    """Return a small body of soft tissue around the origin, as a file of that orientation."""
    spacing, shape = np.array([2.0, 2.5, 3.0]), (21, 17, 19)
    affine = np.eye(4)
    affine[:3, :3] = turn(turned_deg) @ np.diag(spacing)
    affine[:3, 3] = affine[:3, :3] @ (-(np.array(shape) - 1) / 2) + [0.75, -0.5, 1.25]
    array = np.full(shape, -1000, np.int16)
    array[3:-3, 3:-3] = 40
    array[9:12, 4:7] = 700  # a column at the back
    turned = Volume(array, affine).reorient(orientation)
    return Volume(np.ascontiguousarray(turned.array), turned.affine)


def answer(
    volume: Volume,
    points_mm: dict[str, tuple[float, float, float]] | None = None,
    missing: tuple[str, ...] = (),
    warnings: tuple[str, ...] = (),
    case: str = "case-1",
) -> Answer:
    """Return an answer that finds these points, of score 0.9 and spread 3 mm."""
    points_mm = POINTS_MM if points_mm is None else points_mm
    marks = Landmarks.of(points_mm)
    n = len(marks)
    marks = Landmarks(marks.labels, marks.points_mm, np.full(n, 0.9), np.full(n, 3.0))
    places = tuple(volume.origin.slice_at(np.nan_to_num(point)) for point in marks.points_mm)
    scores = tuple(0.8 for _ in missing)
    said = Prediction(case, marks, missing, places, IDENTITY, 0.5, warnings, scores)
    return Answer(said, volume)


def height(z_mm: float) -> tuple[float, float, float]:
    """Return a point of height alone."""
    return (math.nan, math.nan, z_mm)
