"""A pair of MIPs on a network's grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models import toys
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.models.inputs import area_mean, bucket, regrid, sample_of, tensors, window
from vertebra_ml.targets import ABSENT, LABELLED, UNKNOWN
from vertebra_ml.volume import AIR_HU

WIDTHS = (256.0, 192.0)


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 3.0])
def test_landmarks_keep_their_height(spacing_mm: float) -> None:
    pair, truth = toys.pair_and_truth(1)
    grid = regrid(pair, spacing_mm=spacing_mm, widths_mm=WIDTHS)
    assert grid.frontal.shape == (round(240 / spacing_mm), round(256 / spacing_mm))
    for level in ("T12", "L3"):
        row = grid.row_of_z(truth.landmarks[level][2])
        assert grid.z_of_row(row) == pytest.approx(truth.landmarks[level][2])
        middle = grid.frontal[:, grid.frontal.shape[1] // 2]
        assert middle[round(row)] >= 350
        assert middle[round(row + 15 / spacing_mm)] < 100


def test_the_spine_comes_to_the_middle() -> None:
    pair, truth = toys.pair_and_truth(2)
    grid = regrid(pair, spacing_mm=2.0, widths_mm=WIDTHS)
    bright = np.flatnonzero(
        grid.frontal[round(float(grid.row_of_z(truth.landmarks["L3"][2])))] == 350
    )
    assert bright.mean() == pytest.approx((grid.frontal.shape[1] - 1) / 2, abs=1)
    assert (grid.frontal[:, :10] == AIR_HU).all()


@settings(derandomize=True)
@given(factor=st.floats(0.3, 5.0), seed=st.integers(0, 99))
def test_area_means_keep_the_sum(factor: float, seed: int) -> None:
    image = np.random.default_rng(seed).normal(size=(37, 3))
    count = int(np.ceil(37 / factor))
    edges = np.arange(count + 1) * factor
    means = area_mean(image, edges)
    total = ((means - AIR_HU) * factor).sum(axis=0)
    assert total == pytest.approx((image - AIR_HU).sum(axis=0))


def test_area_mean_of_the_same_grid_changes_nothing() -> None:
    image = np.random.default_rng(0).normal(size=(9, 4))
    assert area_mean(image, np.arange(10.0)) == pytest.approx(image)


def test_states_of_levels() -> None:
    pair, _ = toys.pair_and_truth(0)
    grid = regrid(pair, spacing_mm=2.0, widths_mm=WIDTHS)
    truth = Truth(Landmarks.of({"L3": (0, 0, 400.0)}), ("L2", "L3"))
    sample = sample_of(grid, truth, ("L1", "L2", "L3"))
    assert sample.states.tolist() == [ABSENT, UNKNOWN, LABELLED]
    assert sample.positions[2] == pytest.approx(grid.row_of_z(400.0))
    assert sample_of(grid, None, ("L1", "L3")).states.tolist() == [UNKNOWN, UNKNOWN]


def test_tensors_pad_with_nothing_and_say_where_a_body_is() -> None:
    picture = np.full((10, 6), AIR_HU, dtype=np.int16)
    picture[:, 2:4] = 500
    frontal, sagittal = tensors([(picture, picture[:, :4])], 16)
    assert frontal.shape == (1, 16, 6, 2)
    assert sagittal.shape == (1, 16, 4, 2)
    assert frontal[0, :10, 2:4, 1].all()
    assert frontal[..., 1].sum() == 20
    assert not frontal[0, 10:].any()
    assert frontal[0, 0, 2, 0] == pytest.approx(0.5)


def test_window_is_fixed() -> None:
    assert window(np.array([-1024, -250, 500, 1250, 3000])).tolist() == [0, 0, 0.5, 1, 1]


def test_bucket() -> None:
    assert [bucket(rows) for rows in (1, 64, 65, 300)] == [64, 64, 128, 320]
