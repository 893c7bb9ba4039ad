"""Organs may lie off the level that they usually lie at; the spine does not move."""

import numpy as np
import pytest

from vertebra_ml.phantom.canvas import Canvas
from vertebra_ml.phantom.cohort import _person, _streams, phantom_seed
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.habits import TRAINING_HABITS
from vertebra_ml.phantom.slide import Slide, draw_slide
from vertebra_ml.phantom.tissue import Scene, field, paint_lungs


@pytest.fixture(scope="module")
def guide() -> Guide:
    return _person(_streams(11, "training"), "training", np.eye(3)).guide


def test_without_a_slide_organs_lie_at_their_level(guide: Guide) -> None:
    for level in ("C3", "T4", "T12", "L4"):
        np.testing.assert_allclose(Slide().point(guide, level), guide.level(level), atol=1e-3)


def test_chest_and_belly_slide_each_on_its_own_and_the_neck_stays(guide: Guide) -> None:
    slide = Slide(chest_mm=20.0, belly_mm=-30.0)
    moved = {n: slide.point(guide, n)[2] - guide.level(n)[2] for n in ("C3", "T5", "T8", "L2")}
    assert moved["C3"] == pytest.approx(0, abs=1e-6)
    assert moved["T5"] == moved["T8"] == pytest.approx(20)
    assert moved["L2"] == pytest.approx(-30)
    assert -30 < slide.point(guide, "T11")[2] - guide.level("T11")[2] < 20


def test_what_slides_stays_before_the_spine(guide: Guide) -> None:
    point = Slide(chest_mm=35.0).point(guide, "T8")
    x, y = guide.spine(np.array(point[2]))
    assert point[:2] == pytest.approx([float(x), float(y)])


def test_a_breath_moves_what_lies_round_the_diaphragm_together(guide: Guide) -> None:
    slide = Slide(breath_mm=-30.0)
    moved = {
        n: slide.point(guide, n)[2] - guide.level(n)[2]
        for n in ("C4", "T4", "T8", "T10", "T12", "L2", "L5")
    }
    assert moved["C4"] == moved["L5"] == pytest.approx(0, abs=1e-6)
    assert moved["T10"] == pytest.approx(-30)
    for organ in ("T8", "T12", "L2"):  # heart, liver, kidneys
        assert -30 < moved[organ] < -12
    assert -12 < moved["T4"] < 0


def test_a_breath_is_mostly_held_in() -> None:
    rng = np.random.default_rng(0)
    breaths = np.array([draw_slide(rng, TRAINING_HABITS).breath_mm for _ in range(400)])
    assert 0.7 < (breaths < 4).mean() < 0.95
    assert breaths.min() < -25
    assert breaths.max() > 25


def test_left_lungs_end_about_l1_and_at_no_one_level() -> None:
    # Both real chests with a labelled lung base end 3 and 4 mm above the middle of L1.
    ends = np.array([_lung_end(seed) for seed in range(14)])
    assert -15 < np.median(ends) < 30
    assert np.ptp(ends) > 55, "the level must not be told by the lungs"
    assert ends.min() > -75, "no lung reaches L3"


def _lung_end(seed: int) -> float:
    """Return how far the left lung's lowest point lies above (+) the middle of L1, mm."""
    streams = _streams(phantom_seed(5, seed), "training")
    person = _person(streams, "training", np.eye(3))
    here, rng = person.guide, streams["tissue"]
    x, y, _ = here.level("T10")
    low = np.array([x - 190, y - 110, here.level("L4")[2]])
    high = np.array([x + 10, y + 220, here.level("T7")[2]])
    canvas = Canvas.over(low, high, np.full(3, 6.0), 50.0)
    noise = [field(canvas, streams["texture"], size) for size in (7.0, 28.0)]
    slide = draw_slide(rng, person.habits)
    paint_lungs(Scene(canvas, here, person.outline, person.habits, rng, *noise, slide))
    left = (canvas.axes_mm[0] < x) & (canvas.array < -400)
    rows = np.flatnonzero(left.sum(axis=(0, 1)) >= 3)
    return float(canvas.axes_mm[2][0, 0, rows[0]] - here.level("L1")[2])
