"""The threshold of presence is chosen where answers are judged: after the column is weighed."""

from types import SimpleNamespace

import numpy as np
import pytest

from vertebra_ml.models import validation
from vertebra_ml.models.decoding import JOINTS
from vertebra_ml.targets import ABSENT, LABELLED, UNKNOWN

HEADS = ("T12", "L3")
ROWS = 150


def own(absent: float) -> np.ndarray:
    """Both levels where they belong, 50 rows apart, the rest of the mass on "not here"."""
    table = np.zeros((2, ROWS + 1))
    table[0, 40], table[1, 91], table[:, -1] = 1 - absent, 1 - absent, absent
    return table


@pytest.mark.parametrize("name", ["compact", "kanavati"])
def test_the_threshold_parts_what_is_there_from_what_is_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [(0.1, LABELLED), (0.3, LABELLED), (0.999, ABSENT), (0.9999, ABSENT), (0.5, UNKNOWN)]
    samples = [
        (SimpleNamespace(states=np.array([state, state])), own(absent))
        for absent, state in pictures
    ]
    monkeypatch.setattr(validation, "distributions", lambda *_: iter(samples))
    settings = SimpleNamespace(levels=HEADS, heads=HEADS, architecture=name)
    chosen = validation.best_presence_threshold(None, [], settings)  # type: ignore[arg-type]
    shape = validation.architecture(name)
    for (_, state), (_, table) in zip(pictures, samples, strict=True):
        joint = JOINTS[shape.column](table, HEADS, shape.spacing_mm)
        for row in joint:
            if state != UNKNOWN:
                assert (1 - row[-1] >= chosen) == (state == LABELLED)
