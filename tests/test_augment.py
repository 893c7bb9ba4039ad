"""Pictures and landmarks change together."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vertebra_ml.augment import CHANGES, STRENGTHS, Sample, augment, warp
from vertebra_ml.targets import ABSENT, LABELLED, UNKNOWN
from vertebra_ml.volume import AIR_HU

ROWS, COLUMNS = 220, 128
MARKS = (20.0, 77.0, 110.0, 160.0, 200.0)
GEOMETRY = replace(STRENGTHS["training"], shift_mm=(-10, 10))


def marked() -> Sample:
    """Draw a bright bar across soft tissue at each landmark."""
    picture = np.full((ROWS, COLUMNS), 40, dtype=np.int16)
    for mark in MARKS:
        picture[int(mark) - 1 : int(mark) + 2] = 1000
    states = np.array([LABELLED] * len(MARKS), dtype=np.int8)
    return Sample(picture, picture.copy(), np.array(MARKS), states, 2.0)


@settings(derandomize=True, max_examples=60)
@given(seed=st.integers(0, 10_000), rows_max=st.integers(40, 300))
def test_a_bright_bar_stays_on_its_landmark(seed: int, rows_max: int) -> None:
    sample = warp(marked(), np.random.default_rng(seed), strength=GEOMETRY, rows_max=rows_max)
    assert sample.rows <= rows_max
    middle = sample.frontal[:, COLUMNS // 2]
    for position, state in zip(sample.positions, sample.states, strict=True):
        if state != LABELLED or not 3 < position < sample.rows - 4:
            continue
        near = np.arange(max(0, int(position) - 4), min(sample.rows, int(position) + 6))
        bright = np.clip(middle[near] - 100, 0, None)
        assert bright.sum() > 0
        assert (near * bright).sum() / bright.sum() == pytest.approx(position, abs=0.6)


@settings(derandomize=True, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_the_same_seed_gives_the_same_sample(seed: int) -> None:
    first, second = (
        augment(marked(), np.random.default_rng(seed), strength=GEOMETRY, rows_max=150)
        for _ in range(2)
    )
    assert np.array_equal(first.frontal, second.frontal)
    assert np.array_equal(first.sagittal, second.sagittal)
    assert np.array_equal(first.positions, second.positions)


@settings(derandomize=True, max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_levels_left_outside_are_absent_and_those_cut_by_the_edge_unknown(seed: int) -> None:
    sample = warp(marked(), np.random.default_rng(seed), strength=GEOMETRY, rows_max=80)
    for position, state in zip(sample.positions, sample.states, strict=True):
        outside_mm = max(-0.5 - position, position - sample.rows + 0.5) * sample.spacing_mm
        expected = LABELLED if outside_mm <= 0 else UNKNOWN if outside_mm <= 16 else ABSENT
        assert state == expected


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_of_the_picture_keep_air_shape_and_landmarks(change) -> None:  # type: ignore[no-untyped-def]
    sample = marked()
    sample.frontal[:, :20] = AIR_HU
    certain = replace(STRENGTHS["training"], narrow=1.0, thick=1.0, blur=1.0)
    differs = False
    for seed in range(5):
        changed = change(sample, np.random.default_rng(seed), certain)
        assert changed.frontal.shape == sample.frontal.shape
        assert (changed.frontal[:, :18] == AIR_HU).all()
        assert np.array_equal(changed.positions, sample.positions)
        differs |= not np.array_equal(changed.frontal, sample.frontal)
    assert differs


def test_thick_slices_keep_bars_where_they_were() -> None:
    thicken = next(change for change in CHANGES if change.__name__ == "thicken")
    certain = replace(STRENGTHS["training"], thick=1.0, thickness_mm=(8.0, 8.0))
    changed = thicken(marked(), np.random.default_rng(0), certain)
    for mark in MARKS:
        near = np.arange(int(mark) - 7, int(mark) + 8)
        bright = np.clip(changed.frontal[near, 5] - 60, 0, None)
        assert (near * bright).sum() / bright.sum() == pytest.approx(mark, abs=2.0)


def test_validation_only_crops_shifts_and_thickens() -> None:
    sample = marked()
    changed = augment(
        sample, np.random.default_rng(3), strength=STRENGTHS["validation"], rows_max=400
    )
    assert 80 <= changed.rows <= ROWS
    gaps = np.diff(changed.positions)
    assert gaps == pytest.approx(np.diff(MARKS))
