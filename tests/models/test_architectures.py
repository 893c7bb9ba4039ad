"""Every architecture: builds, has the right shapes, its size, and learns."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

from tests.models import toys
from vertebra_ml.errors import ModelError
from vertebra_ml.models.architectures import ARCHITECTURES, architecture
from vertebra_ml.models.batches import Teaching, collate, validation_samples
from vertebra_ml.models.contract import Settings
from vertebra_ml.models.inputs import regrid, sample_of
from vertebra_ml.models.losses import LOSSES

PARAMETERS = {
    "compact": (100_000, 1_000_000),
    "kanavati": (3_000_000, 8_000_000),
}
"""Fewest and most weights: ours may have one million."""

OVERFIT_MM = 3.0


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_size_and_shapes(name: str) -> None:
    shape = architecture(name)
    network = shape.network(5)
    least, most = PARAMETERS[name]
    assert least <= network.count_params() <= most
    inputs = [np.zeros((2, 64, width, 2), dtype=np.float32) for width in shape.columns]
    inputs[0][:, :40, :, 1] = 1.0
    logits = np.asarray(network(inputs))
    assert logits.shape == (2, 5, 65)
    assert logits.dtype == np.float32
    assert (logits[:, :, 40:64] < -1000).all()  # padding is never an answer
    assert (np.abs(logits[:, :, :40]) < 100).all()


def test_compact_sees_the_whole_column() -> None:
    """A change at the head alters the answer 600 mm below it."""
    network = architecture("compact").network(2)
    rng = np.random.default_rng(0)
    columns = architecture("compact").columns
    inputs = [rng.uniform(size=(1, 384, width, 2)).astype(np.float32) for width in columns]
    before = np.asarray(network(inputs))
    inputs[0][:, 20:24] = 0.0
    after = np.asarray(network(inputs))
    assert (np.abs(after - before)[0, :, 320] > 0).all()


def test_compact_overfits_two_scans() -> None:
    import keras

    keras.utils.set_random_seed(3)
    settings = Settings.of(toys.settings())
    shape = architecture("compact")
    pairs = [toys.pair_and_truth(seed) for seed in range(2)]
    samples = [
        sample_of(
            regrid(pair, spacing_mm=shape.spacing_mm, widths_mm=shape.widths_mm),
            truth,
            settings.heads,
        )
        for pair, truth in pairs
    ]
    teaching = Teaching(settings.heads, (1.0,) * len(settings.heads), "gaussian", 4.0)
    inputs, targets, weights = collate(samples, teaching, 128)
    network = shape.network(len(settings.heads))
    network.compile(keras.optimizers.Adam(0.003), loss=LOSSES["softmax", "bce"], jit_compile=False)
    for _ in range(40):
        network.train_on_batch(inputs, targets, sample_weight=weights)
    # Statistics of 40 steps are too young to answer with: read the network as it was trained.
    logits = np.asarray(network(inputs, training=True))
    rows = logits[..., :120].argmax(axis=-1)
    wanted = np.array([sample.positions for sample in samples])
    assert (np.abs(rows - wanted) * shape.spacing_mm).max() <= OVERFIT_MM


@pytest.mark.parametrize("key", sorted(LOSSES), ids="-".join)
def test_losses_fall_towards_the_truth(key: tuple[str, str]) -> None:
    targets = np.zeros((1, 2, 31), dtype=np.float32)
    targets[0, 0, 9:12] = (0.25, 0.5, 0.25)
    targets[0, 1, 30] = 1.0
    quiet = np.zeros((1, 2, 31), dtype=np.float32) - 2.0
    right = quiet.copy()
    right[0, 0, 9:12] += (3, 4, 3)
    right[0, 1, 30] += 4
    right[0, 1, :30] -= 4
    wrong = quiet.copy()
    wrong[0, 0, 20] += 4
    wrong[0, 1, 5] += 4
    by_case = [np.asarray(LOSSES[key](targets, logits)) for logits in (right, quiet, wrong)]
    assert by_case[0].shape == (1, 2)
    assert (by_case[0] < by_case[1]).all()
    assert (by_case[1] < by_case[2]).all()


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(ModelError, match=r"'vgg'.*one of compact, kanavati"):
        architecture("vgg")


def test_validation_fields_are_the_same_each_time() -> None:
    pair, truth = toys.pair_and_truth(0)
    grid = regrid(pair, spacing_mm=2.0, widths_mm=(256.0, 192.0))
    sample = sample_of(grid, truth, toys.LEVELS)
    first, second = (validation_samples([sample], 3, seed=5) for _ in range(2))
    assert len(first) == 3
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.frontal, b.frontal)
