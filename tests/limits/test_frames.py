"""Labels in another frame are told from good ones by where bone is, where that can be seen."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pipelines.planted import TRUTH, person
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.limits import describe
from vertebra_ml.limits.frames import bone_hu, fitting_frame
from vertebra_ml.readers import find
from vertebra_ml.volume import Volume

SCAN = person(1)
POINTS = TRUTH.landmarks.points_mm
Change = Callable[[np.ndarray], np.ndarray]

READINGS: dict[str, Change] = {
    "voxel indices (": SCAN.world_to_voxel,
    "voxel indices counted z, y, x": lambda points: SCAN.world_to_voxel(points)[:, ::-1],
    "mm from the first voxel": lambda points: SCAN.world_to_voxel(points) * SCAN.spacing_mm,
    "RAS mm read as voxel indices": SCAN.voxel_to_world,
    "LPS mm": lambda points: points * [-1, -1, 1],
    "a mirror image, left for right": lambda points: points * [-1, 1, 1],
}


def _marks(points: np.ndarray) -> Landmarks:
    return Landmarks(TRUTH.landmarks.labels, points)


@pytest.mark.parametrize("name", READINGS)
def test_another_frame_is_named(name: str) -> None:
    found = fitting_frame(SCAN, _marks(READINGS[name](POINTS)))
    assert found is not None
    assert found.startswith(f"labels look like {name}")


def test_the_mirrored_scan_is_named() -> None:
    """The array was turned over, left for right, and the header was not."""
    moved = Volume(SCAN.array[::-1], SCAN.affine)
    found = fitting_frame(moved, TRUTH.landmarks)
    assert found is not None
    assert "mirror image" in found


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "SLA"])
def test_good_labels_are_not_blamed(orientation: str) -> None:
    scan = SCAN.reorient(orientation)
    assert fitting_frame(scan, TRUTH.landmarks) is None
    assert bone_hu(scan, POINTS).min() > 200


def test_a_spine_in_the_midline_looks_the_same_mirrored() -> None:
    shift = np.eye(4)
    shift[0, 3] = -POINTS[0, 0]
    scan = Volume(SCAN.array, shift @ SCAN.affine)
    assert fitting_frame(scan, _marks(POINTS * [0, 1, 1])) is None


def test_one_stray_label_is_no_frame() -> None:
    points = POINTS.copy()
    points[2] = (-40.0, 0.0, points[2, 2])  # in a lung
    assert fitting_frame(SCAN, _marks(points)) is None
    row = describe("a", SCAN, Truth(_marks(points), ()))
    assert (row["not_bone"], row["not_bone_levels"]) == (1, "T11")
    assert row["frame"] is None


def test_levels_outside_the_scan_lie_in_air() -> None:
    assert bone_hu(SCAN, np.array([[0.0, 0.0, 900.0]]))[0] == -1024


def test_heights_alone_say_nothing() -> None:
    points = POINTS.copy()
    points[:, :2] = np.nan
    assert fitting_frame(SCAN, _marks(points)) is None
    assert fitting_frame(SCAN, Landmarks.empty()) is None


def test_real_scans_are_not_blamed(real: Path) -> None:
    seen = 0
    for case in find(real / "scans", "plain"):
        truth = case.truth()
        if truth is not None and case.open_volume is not None:
            row = describe(case.id, case.open_volume(), truth)
            assert (row["frame"], row["not_bone"]) == (None, 0), case.id
            assert row["tissue_share"] > 0.2  # type: ignore[operator]
            seen += 1
    assert seen >= 4
