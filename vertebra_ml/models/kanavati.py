"""The network that the thesis code found best: after Kanavati et al. 2018 (arXiv 1811.09244).

A picture encoder of 32-64-128-256-512 channels, the fourth depth of 5x5 kernels and pooled by 4; at
each depth the maximum over the width is handed to a decoder along the rows.
"""

from typing import Any

from keras import layers

from vertebra_ml.models.blocks import WidthMaximum
from vertebra_ml.models.thesis import DROPPED, Manner, encode, finish, inputs, joined, mix

HOW = Manner(momentum=0.8)

DEPTHS = ((32, 3, 2, 2), (64, 3, 2, 2), (128, 3, 2, 2), (256, 5, 1, 4))
"""Channels, kernel, convolutions, and how the rows and columns shrink after them."""

DEEPEST, NARROWEST = 512, 128
"""Channels below the last depth, and the fewest of the decoder."""


def build(levels: int, columns: tuple[int, int]) -> Any:
    """Build the network.

    Inputs as of ``compact.build``, rows a multiple of 32; the sagittal view is not looked at.
    Output: logits (batch, levels, rows + 1), each row alone (sigmoid); the last is 0.
    """
    views = inputs(columns)
    x, skips = views[0][..., :1], []
    for channels, kernel, times, shrink in DEPTHS:
        x = encode(x, channels, HOW, kernel=kernel, times=times)
        skips.append(x)
        x = layers.MaxPooling2D(shrink)(x)
    y = WidthMaximum()(encode(x, DEEPEST, HOW))
    for (channels, kernel, times, shrink), skip in zip(DEPTHS[::-1], skips[::-1], strict=True):
        wide = max(channels, NARROWEST)
        y = layers.Dropout(DROPPED)(joined(layers.UpSampling1D(shrink)(y), skip))
        y = mix(mix(y, wide, HOW, kernel=kernel, times=times), wide, HOW, kernel=1, times=1)
    return finish(views, y, levels, "kanavati")
