"""Toy MIP pairs with known landmarks: enough to tell levels apart, drawn in milliseconds."""

from pathlib import Path

import numpy as np

from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import AIR_HU, Source

LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4")
GAP_MM = 34.0
TOP_MM = 500.0
SIDE_MM = 100.0


def pair_and_truth(seed: int, rows: int = 240) -> tuple[MipPair, Truth]:
    """Draw six vertebrae at 1 mm; each level has its own width, ribs on the two thoracic ones."""
    rng = np.random.default_rng([seed, 17])
    frontal = np.full((rows, 2 * int(SIDE_MM)), AIR_HU, dtype=np.int16)
    sagittal = frontal.copy()
    frontal[:, 20:-20] = rng.integers(20, 60)
    sagittal[:, 30:-30] = rng.integers(20, 60)
    points = {}
    first = rng.uniform(20, 40)
    for i, level in enumerate(LEVELS):
        row = first + i * GAP_MM
        top, foot = int(row - 11), int(row + 11)
        if row > rows - 1:
            break
        half = 14 + 3 * i
        frontal[max(0, top) : foot, 100 - half : 100 + half] = 350
        sagittal[max(0, top) : foot, 90 : 90 + half] = 350
        if level.startswith("T"):
            frontal[int(row) - 6 : int(row) + 2, 30:170] = 420
        points[level] = (0.0, 0.0, TOP_MM - row)
    views = [
        Mip(image, (1.0, 1.0), (TOP_MM, SIDE_MM), name)
        for image, name in ((frontal, "frontal"), (sagittal, "sagittal"))
    ]
    truth = Truth(Landmarks.of(points), tuple(points))
    return MipPair(views[0], views[1], (0.0, 0.0)), truth


def source_of(pair: MipPair) -> Source:
    """Give a grid of 1 mm slices on the rows of ``pair``, first slice at the foot."""
    affine = np.eye(4)
    affine[:3, 3] = (-SIDE_MM, -SIDE_MM, pair.frontal.z_of_row(pair.rows - 1))
    return Source(affine, (200, 200, pair.rows))


def archives(folder: Path, count: int, rows: int = 240) -> list[Path]:
    """Write ``count`` toy cases and return their paths."""
    paths = []
    for seed in range(count):
        pair, truth = pair_and_truth(seed, rows)
        paths.append(folder / f"toy-{seed}.npz")
        entry = Archive(f"toy-{seed}", f"toy-{seed}", "phantom", pair, source_of(pair), truth)
        write_archive(paths[-1], entry)
    return paths


def settings(**changes: object) -> dict[str, object]:
    """Give settings of a training that takes seconds."""
    usual: dict[str, object] = {
        "levels": ["T12", "L3"],
        "auxiliary_levels": list(LEVELS),
        "architecture": "compact",
        "loss": "bce",
        "target": "gaussian",
        "target_sigma_mm": 4.0,
        "epochs": 2,
        "steps_per_epoch": 2,
        "batch": 2,
        "learning_rate": 0.003,
        "patience": 20,
        "minutes": 5.0,
        "validation_fields": 1,
        "presence_threshold": 0.5,
        "warning_score": 0.6,
        "start_from": "",
    }
    return usual | changes


PROJECTION = {"spacing_mm": 1.0, "body_threshold_hu": -300, "sagittal_slab_mm": 60.0}
