"""Heights to distributions and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml.targets import (
    ABSENT,
    LABELLED,
    TARGETS,
    UNKNOWN,
    decode,
    encode_levels,
    states_in_field,
)

ROWS = 60


@settings(derandomize=True)
@given(
    position=st.floats(-0.5, ROWS - 0.5),
    sigma=st.floats(0.8, 6.0),
    kind=st.sampled_from(sorted(TARGETS)),
)
def test_decode_returns_within_half_a_row(position: float, sigma: float, kind: str) -> None:
    target = TARGETS[kind](position, ROWS, sigma)
    assert target.shape == (ROWS,)
    assert target.sum() == pytest.approx(1.0)
    assert abs(decode(target, sigma) - position) <= 0.5 + 1e-9


@settings(derandomize=True)
@given(position=st.floats(0, ROWS - 1), sigma=st.floats(1.0, 5.0))
def test_a_bell_is_read_finer_than_a_row_also_at_the_edge(position: float, sigma: float) -> None:
    assert decode(TARGETS["gaussian"](position, ROWS, sigma), sigma) == pytest.approx(
        position, abs=0.02
    )


def test_decode_of_one_row_and_of_nothing() -> None:
    assert decode(np.array([1.0]), 2.0) == 0.0
    assert decode(np.zeros(5), 2.0) == 0.0


def test_states_in_field() -> None:
    #                   inside  just outside  far outside  foot edge  unlabelled  absent
    positions = np.array([10.0, -4.0, -40.0, ROWS - 0.5, np.nan, np.nan])
    states = np.array([LABELLED] * 4 + [UNKNOWN, ABSENT], dtype=np.int8)
    found = states_in_field(positions, states, ROWS, margin_rows=8.0)
    assert found.tolist() == [LABELLED, UNKNOWN, ABSENT, LABELLED, UNKNOWN, ABSENT]


def test_encode_levels_masks_the_unknown_and_marks_the_absent() -> None:
    positions = np.array([10.25, np.nan, np.nan])
    states = np.array([LABELLED, UNKNOWN, ABSENT], dtype=np.int8)
    targets, weights = encode_levels(positions, states, ROWS, kind="gaussian", sigma_rows=2.0)
    assert targets.shape == (3, ROWS + 1)
    assert weights.tolist() == [1, 0, 1]
    assert targets.sum(axis=1) == pytest.approx([1, 1, 1])
    assert targets[0, -1] == 0
    assert targets[2, -1] == 1
