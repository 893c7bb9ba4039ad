"""Organs may lie off the level that they usually lie at; the spine does not move."""

import numpy as np
import pytest

from vertebra_ml.phantom.cohort import _person, _streams
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.slide import Slide


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
