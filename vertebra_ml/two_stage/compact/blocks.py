"""Layers of both networks. Tensors are (batch, rows, y, x, channel), rows head to foot."""

from typing import Any

from keras import layers

Size = tuple[int, int, int]


def convolution(x: Any, channels: int, kernel: Size = (3, 3, 3), strides: Size = (1, 1, 1)) -> Any:
    """Convolve, normalise over the batch, rectify."""
    x = layers.Conv3D(channels, kernel, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def residual(x: Any, channels: int) -> Any:
    """Add what a plane's neighbours and then a row's neighbours say: 12 weights for 27."""
    y = convolution(x, channels, (1, 3, 3))
    y = layers.Conv3D(channels, (3, 1, 1), padding="same", use_bias=False)(y)
    return layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
