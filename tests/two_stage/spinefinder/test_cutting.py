"""Samples for the published networks: the right size, the right place, little of them."""

import io

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from tests.bodies import ORIENTATIONS
from tests.two_stage.spinefinder.toys import BASE_HU, STEP_HU, column, scan
from vertebra_ml.discs import ordinal
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.cuts import Cut
from vertebra_ml.two_stage.spinefinder.cutting import (
    CROP,
    LABELLED_MIN,
    MIDDLE,
    PATCH,
    SLABS,
    SLICES,
    UNKNOWN,
    WITH_SPINE,
    cut,
    mask,
)
from vertebra_ml.two_stage.spinefinder.grid import HIGH_HU, LOW_HU, Grid
from vertebra_ml.volume import Volume

MARKS = column("T11", "T12", "T13", "L1", "L2")
SCAN = scan(MARKS)
SEED = 3


@pytest.fixture(scope="module")
def samples() -> Cut:
    """Return what is cut of the toy."""
    return cut(SCAN, MARKS, SEED)


def test_samples_are_of_the_published_sizes_and_types(samples: Cut) -> None:
    hu, masks = samples.detection["hu"], samples.detection["mask"]
    slabs, levels = samples.identification["hu"], samples.identification["levels"]
    assert WITH_SPINE <= len(hu) == len(masks) <= WITH_SPINE + 1
    assert len(slabs) == len(levels) == SLABS
    assert (hu.shape[1:], masks.shape[1:]) == (PATCH, PATCH)
    assert (slabs.shape[1:], levels.shape[1:]) == ((SLICES, *CROP), CROP)
    assert (hu.dtype, slabs.dtype) == (np.int16, np.int16)
    assert (masks.dtype, levels.dtype) == (np.uint8, np.uint8)
    assert min(hu.min(), slabs.min()) >= LOW_HU
    assert max(hu.max(), slabs.max()) <= HIGH_HU
    assert set(np.unique(masks)) <= {0, 1, UNKNOWN}
    assert ((masks == 1).sum(axis=(1, 2, 3)) > 0)[:WITH_SPINE].all()
    assert (np.count_nonzero(levels, axis=(1, 2)) > LABELLED_MIN).all()
    assert {int(v) for v in np.unique(levels)} <= {0, *(ordinal(name) for name in MARKS.labels)}


def test_labels_lie_on_what_they_label(samples: Cut) -> None:
    hu, masks = samples.detection["hu"], samples.detection["mask"]
    assert (hu[masks == 1] > 100).mean() > 0.9
    assert (hu[masks == 0] < 100).mean() > 0.95
    slabs, levels = samples.identification["hu"], samples.identification["levels"]
    told = (slabs[:, MIDDLE][levels > 0] - BASE_HU) / STEP_HU
    assert np.median(np.abs(told - levels[levels > 0])) == 0


def test_another_seed_cuts_elsewhere(samples: Cut) -> None:
    one, other = samples.detection["hu"], cut(SCAN, MARKS, SEED + 1).detection["hu"]
    assert one.shape != other.shape or (one != other).any()


@pytest.mark.parametrize("orientation", ORIENTATIONS[5::17])
def test_the_order_of_axes_changes_no_sample(orientation: str, samples: Cut) -> None:
    turned = cut(SCAN.reorient(orientation), MARKS, SEED)
    for stage in ("detection", "identification"):
        for name, values in getattr(samples, stage).items():
            np.testing.assert_array_equal(getattr(turned, stage)[name], values)


def test_a_scan_without_places_gives_no_sample() -> None:
    for marks in (Landmarks.empty(), Landmarks.of({"L3": (np.nan, np.nan, 0)})):
        samples = cut(SCAN, marks, 1)
        assert samples.detection["hu"].shape == (0, *PATCH)
        assert samples.detection["mask"].shape == (0, *PATCH)
        assert samples.identification["hu"].shape == (0, SLICES, *CROP)
        assert samples.identification["levels"].shape == (0, *CROP)


def test_one_vertebra_in_a_small_crop_is_enough() -> None:
    marks = Landmarks.of({"L3": (0, 0, 0)})
    samples = cut(scan(marks, half=(25.0, 25.0, 25.0)), marks, 1)
    assert len(samples.detection["hu"]) >= WITH_SPINE
    assert len(samples.identification["hu"]) == SLABS


def test_beyond_labels_that_may_go_on_nothing_is_taught() -> None:
    marks = column("L3", "L4", "L5", top=40.0)
    grid = Grid.over(scan(marks))
    taught = mask(marks, grid, (0, 0, 0), grid.shape)
    top = round(float(grid.voxels(marks["L3"])[2])) + 30
    foot = round(float(grid.voxels(marks["L5"])[2])) - 30
    assert (taught[..., top:] == UNKNOWN).any()  # L2 may be there, unlabelled
    assert not taught[..., :foot].any()  # below L5 there is no vertebra


def test_samples_of_a_noisy_case_are_small() -> None:
    noise = np.random.default_rng(0).normal(0, 14, SCAN.shape).astype(np.int16)
    samples = cut(Volume(SCAN.array + noise, SCAN.affine), MARKS, 1)
    kept = 0
    for arrays in (samples.detection, samples.identification):
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        kept += file.getbuffer().nbytes
    assert kept < 1.5e6


@pytest.mark.parametrize("lean_deg", [0.0, 6.0])
def test_a_box_of_the_grid_holds_what_scipy_finds_there(lean_deg: float) -> None:
    rng = np.random.default_rng(3)
    hu = rng.integers(-300, 1300, (20, 18, 16)).astype(np.int16)
    turn = np.eye(4)
    c, s = np.cos(np.radians(lean_deg)), np.sin(np.radians(lean_deg))
    turn[1:3, 1:3] = [[c, -s], [s, c]]
    affine = turn @ np.diag([2.0, 2.5, 3.0, 1.0])
    affine[:3, 3] = (-10, 5, 7)
    volume = Volume(hu, affine)
    grid = Grid.over(volume)
    start, shape = (5, 9, 11), (12, 14, 10)
    found = grid.sample(volume, start, shape)
    points = np.argwhere(np.ones(shape, bool)) + np.array(start) + grid.first_mm
    reader = RegularGridInterpolator(
        [np.arange(n) for n in hu.shape], hu.astype(float), bounds_error=False, fill_value=-1024
    )
    wanted = reader(volume.world_to_voxel(points)).clip(LOW_HU, HIGH_HU).reshape(shape)
    assert np.abs(found - wanted).max() <= 5.01  # kept in steps of 10 HU


def test_a_box_outside_the_scan_is_air() -> None:
    grid = Grid.over(SCAN)
    assert (grid.sample(SCAN, (-500, 0, 0), (8, 8, 8)) == LOW_HU).all()
    edge = grid.sample(SCAN, (-4, 20, 20), (8, 4, 4))
    assert (edge[:4] == LOW_HU).all()
    assert (edge[5:] == 40).all()
