"""Two networks that learn apart and answer together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.decoding import distribution, softmax
from vertebra_ml.models.losses import LOSSES

WIDTHS = (64.0, 16.0)
LEVELS, ROWS = 3, 64


def network(seed: int = 1) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    return replace(architecture("pair"), spacing_mm=1.0, widths_mm=WIDTHS).network(LEVELS)


def views(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    pictures = [rng.uniform(size=(2, ROWS, int(width), 2)) for width in WIDTHS]
    for picture in pictures:
        picture[..., 1] = 1.0
    return [picture.astype(np.float32) for picture in pictures]


def targets() -> np.ndarray:
    wanted = np.zeros((2, LEVELS, ROWS + 1), dtype=np.float32)
    wanted[:, :, 20:23] = (0.25, 0.5, 0.25)
    return wanted


def test_they_begin_differently() -> None:
    logits = np.asarray(network()(views()))
    assert logits.shape == (2, 2, LEVELS, ROWS + 1)
    assert not np.allclose(logits[:, 0], logits[:, 1], atol=1e-3)


def test_what_one_learns_leaves_the_other_as_it_was() -> None:
    """The gradient of a member's own error is zero in every weight of the other."""
    import tensorflow as tf

    pair = network()
    pictures, wanted = views(), targets()
    with tf.GradientTape(persistent=True) as tape:
        logits = pair(pictures, training=True)
        losses = [LOSSES["softmax", "bce"](wanted, logits[:, i]) for i in (0, 1)]
        both = LOSSES["members", "bce"](wanted, logits)
    np.testing.assert_allclose(np.asarray(both), np.mean(losses, axis=0), rtol=1e-5)
    variables = [weight.value for weight in pair.trainable_weights]
    first, second = (
        {i for i, slope in enumerate(tape.gradient(loss, variables)) if np.any(slope)}
        for loss in losses
    )
    assert not first & second
    assert min(len(first), len(second)) > 0.9 * len(variables) / 2


def test_the_answer_is_the_mean_of_what_they_say() -> None:
    logits = np.full((2, 1, 11), -9.0)
    logits[0, 0, 3], logits[1, 0, 7] = 9.0, 9.0
    answer = distribution(logits, 10, "members")
    assert answer.shape == (1, 11)
    assert answer.sum() == pytest.approx(1.0)
    assert answer[0, [3, 7]] == pytest.approx(0.5, abs=1e-6)
    logits[1] = logits[0]
    assert distribution(logits, 10, "members")[0, 3] == pytest.approx(1.0, abs=1e-6)


def test_padded_rows_are_left_out_for_each() -> None:
    logits = np.random.default_rng(4).normal(size=(2, LEVELS, 17))
    padded = np.concatenate([logits[..., :-1], np.full((2, LEVELS, 7), -1e4), logits[..., -1:]], -1)
    expected = softmax(logits).mean(axis=0)
    np.testing.assert_allclose(distribution(padded, 16, "members"), expected, atol=1e-12)


def test_weights_out_and_in(tmp_path: Path) -> None:
    first, second = network(1), network(2)
    answer = np.asarray(first(views()))
    assert not np.allclose(np.asarray(second(views())), answer)
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(np.asarray(second(views())), answer)
