"""One scan stored in each of 48 ways is answered to the same millimetre."""

from pathlib import Path

import numpy as np
import pytest

from tests.answers import ORIENTATIONS
from tests.layouts import make_scan
from vertebra_ml.landmarks import Prediction
from vertebra_ml.models import Localiser, load_model
from vertebra_ml.volume import Volume

SAME_MM = 0.01


@pytest.fixture(scope="module")
def model(untrained_two_stage: Path) -> Localiser:
    return load_model(untrained_two_stage)


def answer(model: Localiser, orientation: str) -> Prediction:
    turned = make_scan().reorient(orientation)
    return model.locate(Volume(np.ascontiguousarray(turned.array), turned.affine), "a")


def test_every_orientation_gives_the_same_vertebrae(model: Localiser) -> None:
    expected = answer(model, "RAS")
    assert len(expected.landmarks) > 0
    assert len(set(ORIENTATIONS)) == 48
    for orientation in ORIENTATIONS:
        found = answer(model, orientation)
        assert found.landmarks.labels == expected.landmarks.labels, orientation
        np.testing.assert_allclose(
            found.landmarks.points_mm, expected.landmarks.points_mm, atol=SAME_MM
        )
        np.testing.assert_allclose(found.landmarks.scores, expected.landmarks.scores, atol=1e-3)
        assert found.warnings == expected.warnings
