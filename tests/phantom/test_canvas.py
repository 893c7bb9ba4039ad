"""Painting on a grid in mm."""

import numpy as np
import pytest

from vertebra_ml.phantom.canvas import Canvas, ellipsoid, enlarge, splat, tube


def blank(spacing: tuple[float, ...] = (1.0, 1.2, 2.0), reach: float = 40.0) -> Canvas:
    return Canvas.over(np.full(3, -reach), np.full(3, reach), np.array(spacing), 0.0)


def test_a_canvas_covers_what_was_asked_and_knows_its_voxels():
    canvas = Canvas.over(np.array([-10, 0, 5]), np.array([10, 9.9, 7]), np.array([2, 2, 0.5]), 7)
    assert canvas.array.shape == (10, 5, 4)
    assert [float(axis.ravel()[0]) for axis in canvas.axes_mm] == [-9.0, 1.0, 5.25]


def test_an_ellipsoid_has_its_volume():
    canvas = blank()
    ellipsoid(canvas, np.array([3.0, -4, 5]), np.array([20.0, 14, 25]), hu=100)
    volume = canvas.array.sum() / 100 * canvas.spacing_mm.prod()
    assert volume == pytest.approx(4 / 3 * np.pi * 20 * 14 * 25, rel=0.03)


def test_a_tube_has_its_volume():
    canvas = blank()
    tube(canvas, np.array([[-20.0, 0, 0], [20, 0, 0]]), 8.0, hu=50)
    volume = canvas.array.sum() / 50 * canvas.spacing_mm.prod()
    # A cylinder of 40 mm with half a ball on each end.
    assert volume == pytest.approx(np.pi * 64 * 40 + 4 / 3 * np.pi * 512, rel=0.05)


def test_what_lies_outside_paints_nothing():
    canvas = blank()
    tube(canvas, np.array([[100.0, 0, 0], [120, 0, 0]]), 8.0, hu=50)
    ellipsoid(canvas, np.array([0.0, 0, 90]), np.full(3, 10.0), hu=50)
    assert not canvas.array.any()


def test_splat_keeps_mass_and_centre():
    canvas = blank()
    points = np.random.default_rng(3).uniform(-30, 30, (400, 3))
    place, share = splat(canvas, points, np.full(400, 0.2))
    mass = share * canvas.spacing_mm.prod()
    assert mass.sum() == pytest.approx(80, rel=1e-4)
    mm = np.stack(place, axis=1) * canvas.spacing_mm + canvas.origin_mm
    assert (mm * mass[:, None]).sum(axis=0) / 80 == pytest.approx(points.mean(axis=0), abs=1e-2)


def test_enlarging_keeps_a_slope_in_mm():
    coarse, fine = blank((4.0, 5.0, 6.0)), blank((1.0, 1.2, 2.0), reach=30.0)
    x, y, z = coarse.axes_mm
    coarse.array[...] = 2 * x - 3 * y + z
    enlarge(coarse, fine)
    x, y, z = fine.axes_mm
    assert fine.array == pytest.approx(2 * x - 3 * y + z, abs=1e-3)
