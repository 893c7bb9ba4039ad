"""How the shipped two-stage model behaves: on unseen phantoms, on empty scans, on a real one."""

from pathlib import Path

import numpy as np
import pytest

from vertebra_ml import phantom
from vertebra_ml.anatomy import LEVELS
from vertebra_ml.models import Localiser, load_model, locate
from vertebra_ml.readers import find
from vertebra_ml.volume import Volume

UNSEEN = 71_000_000
"""Far above the seeds of the training, validation and test parts (pipelines/people.py)."""

NEAR_MM = 20.0


@pytest.fixture(scope="module")
def model(shipped_two_stage: Path) -> Localiser:
    return load_model(shipped_two_stage)


def test_vertebrae_of_unseen_phantoms_are_named(model: Localiser) -> None:
    errors, labelled = [], 0
    for seed in range(UNSEEN, UNSEEN + 6):
        person = phantom.draw(seed, voxels_max=6_000_000)
        marks = model.locate(person.volume, "case").landmarks
        truth = person.truth.landmarks
        labelled += len(truth)
        errors += [np.linalg.norm(marks[n] - truth[n]) for n in truth.labels if n in marks]
    assert labelled > 30
    assert sum(error <= NEAR_MM for error in errors) >= 0.9 * labelled
    assert np.median(errors) < 3


def test_what_holds_no_spine_is_answered_so(model: Localiser) -> None:
    air = Volume(np.full((90, 90, 60), -1000, dtype=np.int16), np.diag([4.0, 4.0, 5.0, 1.0]))
    answer = model.locate(air, "air")
    assert answer.missing == LEVELS
    assert len(answer.landmarks) == 0
    assert "no spine found" in answer.warnings


def test_a_lumbar_spine_of_a_person(model: Localiser, real: Path) -> None:
    (case,) = [c for c in find(real / "scans", "plain") if c.id == "ts_example"]
    assert case.open_truth is not None
    truth = case.open_truth().landmarks
    marks = locate(model, case).landmarks
    for level in ("L1", "L2", "L3", "L4", "L5"):
        assert np.linalg.norm(marks[level] - truth[level]) < 10
