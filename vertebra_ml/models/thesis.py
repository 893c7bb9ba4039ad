"""What the three networks of the thesis code share: a picture read downwards, rows read upwards.

The published system that this project replaces (github.com/dittohed/vertebrae-slice-detection,
whose source is public: channels, depths and kernels here are its) tries three networks. Each ends
a depth of a picture encoder in the maximum over the width, and hands it to a decoder along the
rows. Ours everywhere: one head a level, no bias before a batch normalisation (it would do nothing),
padding masked, logits where the thesis has probabilities.
"""

from dataclasses import dataclass
from typing import Any, Final

from keras import Model, layers, ops

from vertebra_ml.models.blocks import RowLogits, RowsInside, WidthMaximum

DROPPED: Final = 0.25
"""Part of the features that the decoder does without while it learns."""


@dataclass(frozen=True)
class Manner:
    """How every convolution of a network goes on: slope below 0, memory of the normalisation."""

    slope: float = 0.0
    momentum: float = 0.99

    def rectified(self, x: Any) -> Any:
        """Normalise over the batch and rectify."""
        x = layers.BatchNormalization(momentum=self.momentum)(x)
        return layers.LeakyReLU(negative_slope=self.slope)(x)


def inputs(columns: tuple[int, int]) -> list[Any]:
    """Give the two views as of ``compact.build``; these networks look at the frontal one alone."""
    names = ("frontal", "sagittal")
    return [layers.Input((None, n, 2), name=name) for name, n in zip(names, columns, strict=True)]


def encode(x: Any, channels: int, how: Manner, *, kernel: int = 3, times: int = 2) -> Any:
    """Convolve a picture (batch, rows, columns, c) ``times`` times."""
    for _ in range(times):
        x = layers.Conv2D(channels, kernel, padding="same", use_bias=False)(x)
        x = how.rectified(x)
    return x


def mix(y: Any, channels: int, how: Manner, *, kernel: int = 3, times: int = 2) -> Any:
    """Convolve along the rows (batch, rows, c) ``times`` times."""
    for _ in range(times):
        y = layers.Conv1D(channels, kernel, padding="same", use_bias=False)(y)
        y = how.rectified(y)
    return y


def grow(y: Any, channels: int) -> Any:
    """Double the rows by a learnt interpolation."""
    return layers.Conv1DTranspose(channels, 2, strides=2, padding="same")(y)


def joined(y: Any, picture: Any) -> Any:
    """Join rows with the maximum over the width of a picture of as many rows."""
    return layers.Concatenate()([y, WidthMaximum()(picture)])


def finish(views: list[Any], y: Any, levels: int, name: str) -> Any:
    """Close a network: logits (batch, levels, rows + 1), each row alone; the last is 0."""
    rows = layers.Conv1D(levels, 1, name="rows")(y)
    absent = ops.zeros_like(rows[:, 0, :])
    logits = RowLogits(dtype="float32")(rows, absent, RowsInside()(views))
    return Model(views, logits, name=name)
