"""Stents lie round the aorta and are as wide as real ones."""

import numpy as np

from vertebra_ml.phantom.canvas import Canvas
from vertebra_ml.phantom.foreign import _stent
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import TRAINING


def test_stents_of_chest_and_belly_are_as_wide_as_an_aorta() -> None:
    guide = Guide(draw_body(np.random.default_rng(4), TRAINING))
    low, high = guide.level("L5") - [60, 60, 0], guide.level("T1") + np.array([60, 120, 0])
    widths, chests = [], 0
    for seed in range(12):
        canvas = Canvas.over(low, high, np.full(3, 2.0), 0.0)
        _stent(canvas, guide, np.random.default_rng(seed))
        x, _, z = np.nonzero(canvas.array > 100)
        middle = np.abs(z - np.median(z)) < 12
        widths.append(np.ptp(x[middle]) * 2.0)
        chests += bool(canvas.axes_mm[2][0, 0, int(np.median(z))] > guide.level("T11")[2])
    assert min(widths) > 12
    assert max(widths) > 28  # ts_aorta_thorax: 30 to 40 mm
    assert 4 <= chests <= 11
