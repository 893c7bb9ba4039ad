"""The pass backwards against finite differences, and what a pass must not depend on."""

from dataclasses import replace

import numpy as np
import pytest

from tests.rivals.made import lessons, network
from vertebra_ml.rivals.batches import Batch, batch_of
from vertebra_ml.rivals.network import LEVEL, Reals, backward, begin, forward

STEP = 1e-6
WEIGHTS = network()


def batch() -> Batch:
    """Return the lessons in double precision, the inputs shaken so that no layer stands at zero."""
    plain = batch_of(lessons())
    noise = 0.3 * np.random.default_rng(3).standard_normal(plain.inputs.shape)
    return replace(plain, inputs=plain.inputs + noise, log_weights=plain.log_weights.astype(float))


def loss(weights: dict[str, Reals], of: Batch, second: float) -> float:
    """Return the whole of what training makes small, the second task by the definition."""
    trace = forward(weights, of)
    scores = trace.said @ weights["level"] + weights["level_bias"]
    known = of.levels >= 0
    picked = scores[known, of.levels[known]]
    surprise = np.log(np.exp(scores[known]).sum(axis=1)) - picked
    return backward(weights, of, trace, 0.0)[0] + second * float(surprise.mean())


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_slopes_are_those_of_finite_differences(name: str) -> None:
    of = batch()
    slopes = backward(WEIGHTS, of, forward(WEIGHTS, of), 0.3)[1]
    rng = np.random.default_rng(11)
    for _ in range(6):
        at = tuple(rng.integers(size) for size in WEIGHTS[name].shape)
        ends = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in WEIGHTS.items()}
            moved[name][at] += sign * STEP
            ends.append(loss(moved, of, 0.3))
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert slopes[name][at] == pytest.approx(slope, abs=1e-6, rel=1e-4)


def test_columns_of_a_batch_do_not_see_each_other() -> None:
    together = forward(WEIGHTS, batch_of(lessons())).chances
    alone = [forward(WEIGHTS, batch_of([lesson])).chances for lesson in lessons()]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-6)
    assert sum(map(len, alone)) == len(together)


def test_untaught_weights_leave_the_chain_as_it_is() -> None:
    lesson = lessons()[0]
    chances = forward(begin(np.random.default_rng(0)), batch_of([lesson])).chances
    plain = np.exp(lesson.rivals.log_weights)
    np.testing.assert_allclose(chances, plain / plain.sum(), rtol=1e-5)


def test_a_column_without_truth_teaches_nothing() -> None:
    blind = [replace(lesson, hits=0 * lesson.hits) for lesson in lessons()]
    of = batch_of(blind)
    found, slopes = backward(WEIGHTS, of, forward(WEIGHTS, of), 0.3)
    assert found == 0
    assert all(not slopes[name].any() for name in WEIGHTS)
    assert set(LEVEL) <= set(slopes)
