"""Layers that the architectures share, written with ``keras.ops`` alone: any backend runs them.

Tensors are (batch, rows, columns, channel) for pictures and (batch, rows, channel) for the column
of features that runs from head to foot.
"""

from typing import Any

import keras
from keras import layers, ops

MASKED = -1e4
"""Logit of a row that is padding: far below any other, and still finite in bfloat16."""


def convolution(
    x: Any, channels: int, *, kernel: int = 3, strides: tuple[int, int] = (1, 1)
) -> Any:
    """Convolve a picture, normalise over the batch, rectify."""
    x = layers.Conv2D(channels, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def residual(x: Any, channels: int) -> Any:
    """Add two 3x3 convolutions to a picture of ``channels`` channels."""
    y = convolution(x, channels)
    y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(y)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))


def residual_rows(x: Any, channels: int, *, dilation: int) -> Any:
    """Add a dilated convolution along the rows and a mixing of channels."""
    y = layers.Conv1D(channels, 3, dilation_rate=dilation, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv1D(channels, 1, use_bias=False)(y)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))


@keras.saving.register_keras_serializable("vertebra_ml")
class WidthMaximum(layers.Layer):  # type: ignore[misc]
    """Largest value over the columns: (batch, rows, columns, c) -> (batch, rows, c)."""

    def call(self, x: Any) -> Any:
        """Reduce the columns."""
        return ops.max(x, axis=2)


@keras.saving.register_keras_serializable("vertebra_ml")
class RowsInside(layers.Layer):  # type: ignore[misc]
    """Tell which rows are scan: (batch, rows), 1 where either view crossed a body, else 0."""

    def call(self, views: list[Any]) -> Any:
        """Look at channel 1 of the frontal and the sagittal view."""
        frontal, sagittal = (ops.max(view[..., 1], axis=2) for view in views)
        return ops.maximum(frontal, sagittal)


@keras.saving.register_keras_serializable("vertebra_ml")
class WidthAttention(layers.Layer):  # type: ignore[misc]
    """Mean over the columns weighted by what a 1x1 convolution finds worth looking at."""

    def build(self, shape: tuple[int, ...]) -> None:
        """Make the weights for ``shape`` = (batch, rows, columns, c)."""
        self.look = layers.Dense(1)
        self.look.build(shape)

    def call(self, x: Any) -> Any:
        """Reduce the columns: (batch, rows, columns, c) -> (batch, rows, c)."""
        return ops.sum(x * ops.softmax(self.look(x), axis=2), axis=2)


@keras.saving.register_keras_serializable("vertebra_ml")
class GlobalSummary(layers.Layer):  # type: ignore[misc]
    """Mean and maximum of the rows inside: (batch, rows, c), (batch, rows) -> (batch, 2c)."""

    def call(self, x: Any, inside: Any) -> Any:
        """Reduce the rows; ``inside`` is 1 on rows of the scan and 0 on padding."""
        inside = ops.cast(inside, x.dtype)[..., None]
        mean = ops.sum(x * inside, axis=1) / ops.maximum(ops.sum(inside, axis=1), 1)
        return ops.concatenate([mean, ops.max(x * inside, axis=1)], axis=-1)


@keras.saving.register_keras_serializable("vertebra_ml")
class RowLogits(layers.Layer):  # type: ignore[misc]
    """Join logits of rows and of absence to (batch, level, row + 1), padding rows set to MASKED."""

    def call(self, rows: Any, absent: Any, inside: Any) -> Any:
        """Take (batch, rows, level), (batch, level) and (batch, rows), give float32."""
        rows, absent = ops.cast(rows, "float32"), ops.cast(absent, "float32")
        rows = ops.where(ops.cast(inside, "float32")[..., None] > 0, rows, MASKED)
        return ops.concatenate([ops.transpose(rows, (0, 2, 1)), absent[..., None]], axis=-1)
