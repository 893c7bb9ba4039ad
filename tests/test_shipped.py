"""How the shipped model behaves: on unseen phantoms, in every orientation, on real scans."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from vertebra_ml import phantom
from vertebra_ml.models import Localiser, load_model
from vertebra_ml.readers import find
from vertebra_ml.volume import Volume

PAIRS = ("RL", "AP", "SI")
ORIENTATIONS = tuple(
    "".join(ends)
    for order in permutations(PAIRS)
    for ends in product(*order)
)  # fmt: skip

UNSEEN = 70_000_000
"""Far above the seeds of the training, validation and test parts (pipelines/phantoms.py)."""

SAME_MM = 1.0
"""Turns by right angles move no voxel; this is what a slice of thin scans is thick."""


@pytest.fixture(scope="module")
def model(shipped: Path) -> Localiser:
    return load_model(shipped)


def _heights(model: Localiser, volume: Volume) -> dict[str, float]:
    marks = model.locate(volume, "case").landmarks
    return {label: float(marks[label][2]) for label in marks.labels}


def _turned(volume: Volume, orientation: str) -> Volume:
    turned = volume.reorient(orientation)
    return Volume(np.ascontiguousarray(turned.array), turned.affine)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


def test_unseen_phantoms_are_answered_within_a_slice(model: Localiser) -> None:
    errors, wrong = [], 0
    for seed in range(UNSEEN, UNSEEN + 6):
        person = phantom.draw(seed, voxels_max=6_000_000)
        found = _heights(model, person.volume)
        for level in model.levels:
            present = level in person.truth.landmarks
            partly = level in person.truth.visible and not present
            if present and level in found:
                errors.append(abs(found[level] - float(person.truth.landmarks[level][2])))
            elif not partly:
                wrong += present != (level in found)
    assert wrong <= 1
    assert len(errors) >= 3
    assert np.median(errors) <= 2.5


def test_every_orientation_gives_the_same_mm(model: Localiser) -> None:
    volume = _with_both(model)
    expected = _heights(model, volume)
    assert set(expected) == {"T12", "L3"}
    for orientation in ORIENTATIONS:
        found = _heights(model, _turned(volume, orientation))
        assert set(found) == set(expected), orientation
        for level, height in found.items():
            assert height == pytest.approx(expected[level], abs=SAME_MM), (orientation, level)


def _with_both(model: Localiser) -> Volume:
    for seed in range(UNSEEN + 100, UNSEEN + 140):
        person = phantom.draw(seed, voxels_max=1_500_000)
        if set(model.levels) <= set(person.truth.landmarks.labels):
            return person.volume
    raise AssertionError("no phantom shows both levels")


def test_every_real_scan_is_answered(model: Localiser, real: Path) -> None:
    cases = find(real / "scans", "plain")
    assert len(cases) == 13
    for case in cases:
        assert case.open_volume is not None
        volume = case.open_volume()
        low, high = volume.bounds_mm()[:, 2]
        prediction = model.locate(volume, case.id)
        said = {*prediction.landmarks.labels, *prediction.missing, *prediction.untold}
        assert said == set(model.levels)
        assert ((prediction.landmarks.points_mm[:, 2] >= low - 0.5)
                & (prediction.landmarks.points_mm[:, 2] <= high + 0.5)).all()  # fmt: skip
