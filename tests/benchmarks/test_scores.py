"""What scores are worth, from names whose chances are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from benchmarks import scores
from benchmarks.scores import Names
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.two_stage.scores import recognition_of

SLOPE, SPREAD, OFFSET = 8.0, -1.5, -1.0


def names(count: int = 20_000) -> Names:
    """Draw names that are right as often as three numbers say."""
    rng = np.random.default_rng(1)
    evidence = np.column_stack([rng.uniform(0.1, 0.9, count), rng.uniform(0.5, 3.0, count)])
    chances = expit(evidence @ [SLOPE, SPREAD] + OFFSET)
    error_mm = np.where(rng.uniform(size=count) < chances, 3.0, 25.0)
    return Names(rng.integers(0, 200, count), chances, evidence, error_mm)


def test_the_numbers_are_found_again_and_scores_are_what_they_say() -> None:
    drawn = names()
    chances, numbers = scores.fitted(drawn)
    np.testing.assert_allclose(numbers, [SLOPE, SPREAD, OFFSET], atol=0.25)
    np.testing.assert_allclose(chances, drawn.score, atol=0.03)


def test_the_tables_count_what_a_threshold_doubts() -> None:
    said = np.array([0.55, 0.65, 0.96, 0.97, 0.98])
    error_mm = np.array([np.inf, 30.0, 30.0, 2.0, 15.0])
    text = "\n".join(scores.lines(said, error_mm))
    assert "0.60           33%          0.0%" in text
    assert "0.70           67%          0.0%" in text
    assert "0.95 to 1.00       3  33.3%" in text


def test_names_are_held_against_the_truth_and_unlabelled_levels_against_nothing() -> None:
    truth = Truth(Landmarks.of({"L1": (0, 0, 0), "L2": (0, 0, -35)}), ("L1", "L2", "L3"))
    marks = Landmarks(
        ("L1", "L3", "L4"), np.array([[0, 3, 4], [0, 0, -70], [0, 0, -100]]),
        np.array([0.9, 0.8, 0.7]), np.array([4.0, 5.0, 6.0]),
    )  # fmt: skip
    answer: Any = SimpleNamespace(landmarks=marks)
    judged = scores.judged([(7, answer, truth)])
    assert judged.phantom.tolist() == [7, 7]
    assert judged.error_mm == pytest.approx([5.0, np.inf])
    assert judged.evidence[:, 1] == pytest.approx(np.log([4.0, 6.0]))
    known = recognition_of(np.array([0.9, 0.7]), np.array([4.0, 6.0]))
    assert judged.evidence[:, 0] == pytest.approx(known)
