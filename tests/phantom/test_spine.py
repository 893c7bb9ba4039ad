"""Drawn columns against the fitted statistics of real ones."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vertebra_ml.anatomy import GAP_MM, USUAL, successors
from vertebra_ml.phantom.ranges import RANGES, TRAINING, UNLIKE, Ranges
from vertebra_ml.phantom.spine import draw_column, draw_levels, draw_steps, statistics

TRUE_SPREAD = replace(TRAINING, gap_spread=1.0, curve_spread=1.0)
COUNT = 400


@pytest.fixture(scope="module")
def steps() -> np.ndarray:
    rng = np.random.default_rng(5)
    drawn = [draw_steps(rng, TRUE_SPREAD) for _ in range(COUNT)]
    return np.array([[step[pair] for pair in statistics()["pairs"]] for step in drawn])


def test_step_lengths_and_drifts_match_the_fit(steps: np.ndarray) -> None:
    model = statistics()["sagittal"]
    mean, sd = np.array(model["mean"]), np.array(model["sd"])
    lengths = np.linalg.norm(steps, axis=2)
    both = np.concatenate([lengths, steps[:, :, 1]], axis=1)
    # 4 standard errors of a mean of 400; SD within 15 % (their own error is 3.5 %, clipped tails).
    np.testing.assert_array_less(np.abs(both.mean(axis=0) - mean), 4 * sd / np.sqrt(COUNT))
    np.testing.assert_allclose(both.std(axis=0), sd, rtol=0.15)


def test_neighbouring_lengths_go_together(steps: np.ndarray) -> None:
    lengths = np.linalg.norm(steps, axis=2)
    loadings = np.array(statistics()["sagittal"]["loadings"])
    fitted = loadings[:23] @ loadings[:23].T
    drawn = np.corrcoef(lengths[:, :23].T)
    off = ~np.eye(23, dtype=bool)
    assert np.abs(drawn - fitted)[off].max() < 0.2  # 0.05 is the error of one correlation of 400
    pairs = statistics()["pairs"]
    upper, lower = pairs.index("L1-L2"), pairs.index("L2-L3")
    assert drawn[upper, lower] > 0.4


def test_fit_agrees_with_the_published_gaps() -> None:
    means = statistics()["sagittal"]["mean"]
    for pair, (mean, _) in GAP_MM.items():
        assert means[statistics()["pairs"].index("-".join(pair))] == pytest.approx(mean, abs=0.5)


def test_usual_person_has_24_levels() -> None:
    none = replace(TRAINING, l6_rate=0.0, t13_rate=0.0, t12_absent_rate=0.0)
    assert draw_levels(np.random.default_rng(0), none) == USUAL


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"l6_rate": 1.0}, {"L6"}),
        ({"t13_rate": 1.0}, {"T13"}),
        ({"t12_absent_rate": 1.0}, {"T12"}),
        ({"l6_rate": 1.0, "t13_rate": 1.0}, {"L6", "T13"}),
        ({"t12_absent_rate": 1.0, "t13_rate": 1.0}, {"T12"}),
    ],
)
def test_variants_make_their_level_lists(rates: dict[str, float], expected: set[str]) -> None:
    none = {"l6_rate": 0.0, "t13_rate": 0.0, "t12_absent_rate": 0.0}
    levels = draw_levels(np.random.default_rng(1), replace(TRAINING, **(none | rates)))
    assert set(levels) ^ set(USUAL) == expected
    for upper, lower in pairwise(levels):
        assert lower in successors(upper)


def test_variant_rates_are_the_stated_ones() -> None:
    rng = np.random.default_rng(2)
    drawn = [draw_levels(rng, TRAINING) for _ in range(3000)]
    # Within 4 standard errors of a rate of 5 % among 3,000: 1.6 %.
    assert np.mean(["L6" in levels for levels in drawn]) == pytest.approx(0.05, abs=0.016)
    assert np.mean(["T12" not in levels for levels in drawn]) == pytest.approx(0.02, abs=0.011)


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
def test_columns_run_down_with_room_for_discs(ranges: Ranges) -> None:
    for seed in range(40):
        column = draw_column(np.random.default_rng(seed), ranges)
        frames = [column.frames[level] for level in column.levels]
        gaps = np.linalg.norm(np.diff([f.centre for f in frames], axis=0), axis=1)
        heights = np.array([f.size[2] for f in frames])
        assert (np.diff([f.centre[2] for f in frames]) < 0).all()
        assert gaps.min() > 9
        assert gaps.max() < 55
        # Two half bodies fit into a gap, but for C1, which rings the dens.
        assert (gaps - (heights[1:] + heights[:-1]) / 2 > 0)[1:].all()


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
def test_gaps_stay_within_what_the_data_gate_allows(ranges: Ranges) -> None:
    far = 0.0
    for seed in range(150):
        column = draw_column(np.random.default_rng(seed), ranges)
        for pair in pairwise(column.levels):
            if pair in GAP_MM:
                upper, lower = (column.frames[level].centre for level in pair)
                mean, sd = GAP_MM[pair]
                far = max(far, abs(float(np.linalg.norm(lower - upper)) - mean) / sd)
    assert far < 6.0  # limits.gap_sigmas of params.yaml


def test_scoliosis_bends_as_far_as_said() -> None:
    bent = replace(TRUE_SPREAD, scoliosis_rate=1.0, cobb_deg=(30.0, 30.0))
    straight = replace(TRUE_SPREAD, scoliosis_rate=0.0)
    for seed in range(10):
        column = draw_column(np.random.default_rng(seed), bent)
        plain = draw_column(np.random.default_rng(seed), straight)
        shift = [column.frames[n].centre[0] - plain.frames[n].centre[0] for n in column.levels]
        z = [column.frames[n].centre[2] for n in column.levels]
        slopes = np.degrees(np.arctan(np.gradient(shift, z)))
        assert column.facts["cobb_deg"] == pytest.approx(30)
        assert np.ptp(slopes) == pytest.approx(30, abs=9)


def test_unlike_is_another_population() -> None:
    assert RANGES == {"training": TRAINING, "unlike": UNLIKE}
    wider = [draw_column(np.random.default_rng(s), UNLIKE).facts["size"] for s in range(200)]
    assert np.mean([not 0.93 <= float(size) <= 1.07 for size in wider]) > 0.3


def test_upper_chests_are_as_kyphotic_as_those_of_the_keypoints() -> None:
    """Lean of the chord T1 to T4, degrees; 128 spines of ImFusion VID: 13.6, 23.7, 36.1."""
    plain = replace(TRAINING, scoliosis_rate=0.0)
    leans, steps = [], []
    for seed in range(300):
        frames = draw_column(np.random.default_rng(seed), plain).frames
        chord = frames["T1"].centre - frames["T4"].centre
        leans.append(np.degrees(np.arctan2(chord[1], chord[2])))
        steps.append(chord[2] / 3)
    low, middle, high = np.percentile(leans, [5, 50, 95])
    assert 10 < low < 17
    assert 21 < middle < 27
    assert 34 < high < 42
    assert min(steps) < 15, "LIDC-IDRI-0001 bends as far: 15 mm a step in height"
