"""What the scanner does to a body must not move it."""

from dataclasses import replace

import numpy as np
import pytest

from vertebra_ml.phantom.canvas import Canvas, ellipsoid
from vertebra_ml.phantom.scanner import Exposure, blur, degrade, reconstruct

PLAIN = Exposure(
    blur_mm=0.8, sharpness=0.0, noise_hu=0.0, grain_mm=0.6, drift_hu=0.0, gain=1.0,
    circle_mm=np.inf, filler_hu=-2000, top_hu=3071,
)  # fmt: skip


def water(spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> Canvas:
    return Canvas.over(np.full(3, -48.0), np.full(3, 48.0), np.array(spacing), 0.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("variance", [0.2, 0.5, 1.7])
def test_blur_adds_its_variance_and_keeps_mass_and_place(axis, variance):
    array = np.zeros((31, 33, 35), np.float32)
    array[15, 16, 17] = 1
    blur(array, axis, variance)
    profile = array.sum(axis=tuple(a for a in range(3) if a != axis))
    place = np.arange(len(profile)) - (15, 16, 17)[axis]
    assert profile.sum() == pytest.approx(1, abs=1e-5)
    assert (profile * place).sum() == pytest.approx(0, abs=1e-5)
    assert (profile * place**2).sum() == pytest.approx(variance, abs=1e-5)
    assert np.count_nonzero(array) == np.count_nonzero(profile)  # the other axes are untouched


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 2, 3), (1, 2, 4)])
@pytest.mark.parametrize("sharpness", [0.0, 0.9])
def test_reconstruction_keeps_a_ball_where_it_is(factors, sharpness):
    canvas, centre = water(), np.array([4.3, -7.7, 10.4])
    ellipsoid(canvas, centre, np.full(3, 12.0), hu=600)
    image = reconstruct(canvas, replace(PLAIN, sharpness=sharpness), factors)
    weights = image.array / image.array.sum()
    found = [float((weights * axis).sum()) for axis in image.axes_mm]
    assert found == pytest.approx(centre, abs=0.05)
    assert image.spacing_mm.tolist() == list(factors)


def test_noise_has_its_strength_and_no_offset():
    image = degrade(water(), replace(PLAIN, noise_hu=20.0), np.random.default_rng(1))
    middle = image[30:66, 30:66]
    assert abs(middle.mean()) < 1
    assert 10 < middle.std() < 40


def test_a_finer_grid_is_noisier():
    loud = replace(PLAIN, noise_hu=10.0)
    coarse = degrade(water((2.0, 2.0, 4.0)), loud, np.random.default_rng(1)).std()
    fine = degrade(water((1.0, 1.0, 1.0)), loud, np.random.default_rng(1)).std()
    assert fine > 1.2 * coarse


def test_outside_the_circle_lies_the_filler():
    image = degrade(water(), replace(PLAIN, circle_mm=30.0), np.random.default_rng(1))
    assert (image[0, 0] == -2000).all()
    assert (image[48, 48] > -100).all()


def test_the_range_is_cut_at_its_top():
    canvas = water()
    ellipsoid(canvas, np.zeros(3), np.full(3, 12.0), hu=3071)
    image = degrade(canvas, replace(PLAIN, top_hu=1023), np.random.default_rng(1))
    assert image.max() == 1023
