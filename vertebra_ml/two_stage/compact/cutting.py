"""What is kept of a labelled CT to learn from: the far scan, and its column seen near and far."""

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.compact.column import (
    FAR,
    FAR_MM,
    NEAR,
    NEAR_MM,
    Doubles,
    Path,
    Window,
    smooth,
)
from vertebra_ml.two_stage.compact.grey import encode
from vertebra_ml.two_stage.compact.scene import HALF_MM, Scene, as_planes
from vertebra_ml.two_stage.cuts import Arrays, Cut
from vertebra_ml.volume import Volume

MARGIN = 3
"""Voxels kept around the windows, so that training can move and turn the view."""
ABOVE_MM, BELOW_MM = (24.0, 66.0), (48.0, 96.0)
"""How far the kept column goes beyond its first and its last landmark: drawn a case, so that no
network learns that a column ends where its picture does."""
SMOOTH_MM = 12.0
RIBS = {"back": Window(48, 48, 24, 6), "whole": Window(48, 48, 28, 44)}
"""Near voxels of which each column keeps the brightest from behind to before: ribs' backs with the
vertebra alone, and all of the chest."""


def cut(volume: Volume, landmarks: Landmarks, seed: int) -> Cut:
    """Return both samples of a CT whose vertebral body centres are ``landmarks``.

    Detection: ``codes`` (rows, y, x), head first, of the far scan (see ``grey``), ``labels`` and
    ``places`` (n, 3): far voxels x, y and row of each landmark, fractional. Identification:
    ``near`` and ``far`` codes along the column with ``MARGIN``, ``back`` and ``whole`` (near rows,
    x), its frontal maxima (``RIBS``), ``labels`` and ``places`` (n, 3): mm from the middle of the
    view in x and y, and near row. It has no rows without a landmark.
    Both: ``spacing_mm``, of a voxel in x, of one in y and of a row.
    """
    scene = Scene.of(volume)
    places = scene.place_of(landmarks.points_mm)
    labels = np.array(landmarks.labels, dtype="U3")
    everywhere = np.ones(scene.far.shape, dtype=bool)
    codes = as_planes(encode(scene.far, everywhere))
    far_places = (places - HALF_MM) / FAR_MM
    far_places[:, 2] = len(codes) - 1 - far_places[:, 2]
    detection = {
        "codes": codes,
        "labels": labels,
        "places": far_places.astype(np.float32),
        "spacing_mm": np.array(FAR_MM),
    }
    return Cut(detection, _column(scene, places, labels, seed))


def _column(scene: Scene, places: Doubles, labels: NDArray[np.str_], seed: int) -> Arrays:
    near, far = NEAR.wider(MARGIN), FAR.wider(MARGIN)
    spacing = np.array(NEAR_MM)
    if not len(labels):
        empty = {"near": near, "far": far}
        arrays = {n: np.zeros((0, *window.shape), dtype=np.uint8) for n, window in empty.items()}
        nowhere = np.zeros((0, 3), dtype=np.float32)
        return arrays | {"labels": labels, "places": nowhere, "spacing_mm": spacing}
    rng = np.random.default_rng([seed, 1])
    path = path_through(places)
    top = float(places[:, 2].max() + rng.uniform(*ABOVE_MM))
    foot = float(places[:, 2].min() - rng.uniform(*BELOW_MM))
    views = scene.along(path, top, foot, near, far)
    rows = views.rows_of(places[:, 2])
    aside = places[:, :2] - path.at(places[:, 2])
    return _ribs(scene, path, top, foot) | {
        "near": encode(views.near, views.near_inside),
        "far": encode(views.far, views.far_inside),
        "labels": labels,
        "places": np.column_stack([aside, rows]).astype(np.float32),
        "spacing_mm": spacing,
    }


def _ribs(scene: Scene, path: Path, top: float, foot: float) -> Arrays:
    """Return (near rows, x) codes of ``RIBS``, with ``MARGIN``: maxima along y."""
    kept = {}
    for name, window in RIBS.items():
        views = scene.along(path, top, foot, window.wider(MARGIN))
        brightest = views.near.max(axis=1)  # 0 beyond the scan
        kept[name] = encode(brightest, np.any(views.near_inside, axis=1))
    return kept


def path_through(places: Doubles) -> Path:
    """Return the smooth path through (n, 3) places, in steps of a far row."""
    order = np.argsort(-places[:, 2], kind="stable")
    known = Path(places[order, 2], places[order, :2])
    count = int(np.ptp(places[:, 2]) // FAR_MM[2]) + 2
    z_mm = places[:, 2].max() - np.arange(count) * FAR_MM[2]
    return smooth(Path(z_mm, known.at(z_mm)), SMOOTH_MM)
