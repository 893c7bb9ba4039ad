"""Every architecture: builds, has the right shapes, its size, and learns."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    "efficientnet": (7_000_000, 9_000_000),
    "kanavati": (5_000_000, 8_000_000),
    "pair": (100_000, 1_000_000),
    "own": (5_000_000, 8_000_000),
}
"""Fewest and most weights: ours may have one million."""

OVERFIT_MM = 3.0

THESIS = ("efficientnet", "kanavati", "own")
NARROW = (64, 16)
"""Columns of pictures that are worked through in no time."""


def views(rows: int, content: slice, seed: int = 0) -> list[np.ndarray]:
    """Give two narrow views, noise in the rows ``content`` and nothing elsewhere, all inside."""
    rng = np.random.default_rng(seed)
    pictures = [np.zeros((1, rows, width, 2), dtype=np.float32) for width in NARROW]
    for picture in pictures:
        height = content.stop - content.start
        picture[:, content, :, 0] = rng.uniform(size=(1, height, picture.shape[2]))
        picture[..., 1] = 1.0
    return pictures


def narrow_network(name: str, levels: int, seed: int = 1) -> Any:
    """Build a network with seeded weights for pictures of NARROW columns."""
    import keras

    keras.utils.set_random_seed(seed)
    return replace(architecture(name), spacing_mm=1.0, widths_mm=NARROW).network(levels)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_size_and_shapes(name: str) -> None:
    shape = architecture(name)
    network = shape.network(5)
    least, most = PARAMETERS[name]
    assert least <= network.count_params() <= most
    inputs = [np.zeros((2, 64, width, 2), dtype=np.float32) for width in shape.columns]
    inputs[0][:, :40, :, 1] = 1.0
    logits = np.asarray(network(inputs))
    members = (2,) if name == "pair" else ()
    assert logits.shape == (2, *members, 5, 65)
    assert logits.dtype == np.float32
    assert (logits[..., 40:64] < -1000).all()  # padding is never an answer
    assert (np.abs(logits[..., :40]) < 100).all()


@pytest.mark.parametrize("name", THESIS)
def test_a_shifted_picture_shifts_the_answer(name: str) -> None:
    """Zero stays zero in an untrained network, so that 32 rows more above change nothing else."""
    network = narrow_network(name, 2)
    first, second = (np.asarray(network(views(192, slice(top, top + 64)))) for top in (32, 64))
    assert second[..., 32:192] == pytest.approx(first[..., :160], abs=1e-4)
    assert np.ptp(first[0, 0, 32:96]) > 0.01


@pytest.mark.parametrize("name", THESIS)
def test_the_frontal_view_alone_is_read(name: str) -> None:
    network = narrow_network(name, 1)
    one, other = views(64, slice(0, 64)), views(64, slice(0, 64), seed=4)
    before = np.asarray(network(one))
    assert np.array_equal(np.asarray(network([one[0], other[1]])), before)
    assert not np.allclose(np.asarray(network([other[0], one[1]])), before)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_weight_learns_and_a_few_steps_lower_the_loss(name: str) -> None:
    import keras

    network = narrow_network(name, 1)
    before = [np.array(weight) for weight in network.trainable_weights]
    loss = LOSSES[architecture(name).activation, "bce"]
    # Drawing up the program of a big network takes longer than these steps without one.
    network.compile(keras.optimizers.Adam(0.001), loss=loss, run_eagerly=True)
    # A few rows of noise a batch leave statistics that are nobody's: three scans steady them.
    pictures = [
        np.concatenate(parts)
        for parts in zip(*(views(64, slice(0, 64), seed) for seed in range(3)), strict=True)
    ]
    targets = np.zeros((3, 1, 65), dtype=np.float32)
    targets[:, 0, 20:23] = (0.25, 0.5, 0.25)
    losses = [float(network.train_on_batch(pictures, targets)) for _ in range(4)]
    assert losses[-1] < losses[0]
    still = [
        weight.path
        for weight, old in zip(network.trainable_weights, before, strict=True)
        if np.array_equal(np.asarray(weight), old)
    ]
    assert still == []


@pytest.mark.parametrize("name", THESIS)
def test_weights_out_and_in(name: str, tmp_path: Path) -> None:
    first, second = (narrow_network(name, 2, seed) for seed in (1, 2))
    picture = views(64, slice(0, 64))
    answer = np.asarray(first(picture))
    assert not np.allclose(np.asarray(second(picture)), answer)
    first.save_weights(tmp_path / "a.weights.h5")
    second.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(np.asarray(second(picture)), answer)


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
    known = "compact, pair, kanavati, own, efficientnet"
    with pytest.raises(ModelError, match=rf"'vgg'.*one of {known}"):
        architecture("vgg")


def test_validation_fields_are_the_same_each_time() -> None:
    pair, truth = toys.pair_and_truth(0)
    grid = regrid(pair, spacing_mm=2.0, widths_mm=(256.0, 192.0))
    sample = sample_of(grid, truth, toys.LEVELS)
    first, second = (validation_samples([sample], 3, seed=5) for _ in range(2))
    assert len(first) == 3
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.frontal, b.frontal)
