"""From distributions to verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml.models.column import consistent
from vertebra_ml.models.decoding import Decoder, presence, sigmoid, softmax
from vertebra_ml.targets import gaussian

ROWS = 100
READER = Decoder(("T12",), row_mm=2.0, sigma_mm=4.0, presence_threshold=0.5, column="peak")


def told(parts: dict[float, float], absent: float = 0.0) -> np.ndarray:
    """Give (1, rows + 1): bells of the given weights at rows, and a share of absence."""
    rows = sum(weight * gaussian(row, ROWS, 2.0) for row, weight in parts.items())
    return np.concatenate([np.broadcast_to(rows, ROWS), [absent]])[None]


@settings(derandomize=True)
@given(row=st.floats(0, ROWS - 1))
def test_a_sure_bell_is_read_at_its_place(row: float) -> None:
    (verdict,) = READER.read(told({row: 1.0}), ["T12"])
    assert verdict.row == pytest.approx(row, abs=0.05)
    assert verdict.score > 0.95
    assert verdict.spread_mm <= 4.0


def test_two_places_halve_the_score_and_widen_the_spread() -> None:
    (verdict,) = READER.read(told({40.0: 0.6, 57.0: 0.4}), ["T12"])
    assert verdict.row == pytest.approx(40, abs=0.1)
    assert verdict.score == pytest.approx(0.6, abs=0.03)
    assert verdict.spread_mm > 30


@pytest.mark.parametrize(("absent", "found"), [(0.4, True), (0.6, False)])
def test_presence_threshold(absent: float, found: bool) -> None:
    (verdict,) = READER.read(told({30.0: 1 - absent}, absent), ["T12"])
    assert (verdict.row is not None) == found
    assert verdict.score == pytest.approx(0.6, abs=0.02)


def test_what_only_the_column_expects_is_not_in_the_scan() -> None:
    """L3 would lie just within the foot of the scan, if the person were as usual."""
    levels = ("T11", "T12", "L1", "L2", "L3")
    rows = dict(zip(levels[:4], (20.0, 34.0, 49.5, 66.0), strict=True))
    own = np.concatenate([*(told({row: 1.0}) for row in rows.values()), told({50.0: 0.4}, 0.6)])
    reader = Decoder(levels, 2.0, 4.0, 0.5, "chain")
    joint = consistent(own, levels, 2.0)
    assert joint[4, -1] < 0.2, "the column must expect it, or this tests nothing"
    *above, (last) = reader.read(own, levels)
    assert [verdict.row is not None for verdict in above] == [True] * 4
    assert (last.row, last.told) == (None, True)
    assert last.score == pytest.approx(joint[4, -1])  # and it is not sure of it


def test_presence_is_the_lower_of_both_words() -> None:
    own, joint = (np.array([[1 - a, a], [1 - b, b]]) for a, b in ((0.7, 0.2), (0.1, 0.4)))
    assert presence(own, joint) == pytest.approx([0.3, 0.6])
    assert presence(joint, own) == pytest.approx([0.3, 0.6])


def test_only_levels_asked_for_are_answered() -> None:
    reader = Decoder(("T12", "L1"), 2.0, 4.0, 0.5, "chain")
    own = np.concatenate([told({30.0: 1.0}), told({46.0: 1.0})])
    assert [v.level for v in reader.read(own, ["L1"])] == ["L1"]


def test_a_verdict_against_the_column_has_a_low_score() -> None:
    levels = ("T11", "T12", "L1", "L2", "L3")
    rows = dict(zip(levels, (10.0, 24.0, 39.5, 56.0, 73.0), strict=True))
    own = np.concatenate([told({row: 1.0}) for row in rows.values()])
    own[1] = told({rows["L1"]: 0.8, rows["T12"]: 0.2})[0]  # T12 taken for L1
    reader = Decoder(levels, 2.0, 4.0, 0.5, "chain")
    (verdict,) = reader.read(own, ["T12"])
    assert verdict.row == pytest.approx(rows["T12"], abs=1)
    assert verdict.score < 0.3


def test_activations_are_distributions() -> None:
    logits = np.random.default_rng(0).normal(size=(3, ROWS + 1)) * 4
    for activate in (softmax, sigmoid):
        assert activate(logits).sum(axis=1) == pytest.approx(np.ones(3))
    quiet = np.full((1, ROWS + 1), -8.0)
    assert sigmoid(quiet)[0, -1] > 0.99


def test_a_place_that_is_a_guess_is_not_told() -> None:
    reader = replace(READER, answer_threshold=0.7)
    (verdict,) = reader.read(told({40.0: 0.6, 57.0: 0.4}), ["T12"])
    assert (verdict.row, verdict.told) == (None, False)
    assert verdict.score == pytest.approx(0.6, abs=0.03)
    (sure,) = reader.read(told({40.0: 0.9, 57.0: 0.1}), ["T12"])
    assert sure.told
    assert sure.row == pytest.approx(40, abs=0.2)
    (gone,) = reader.read(told({40.0: 0.1}, 0.9), ["T12"])  # absent, and that is told
    assert (gone.row, gone.told) == (None, True)
