"""The network that the thesis code calls its own: an even U of 32-64-128-256-512 channels.

Unlike ``kanavati`` every depth is alike (two 3x3 convolutions, halved), slopes below 0 leak, and
rows grow by learnt interpolation.
"""

from typing import Any

from keras import layers

from vertebra_ml.models.blocks import WidthMaximum
from vertebra_ml.models.thesis import DROPPED, Manner, encode, finish, grow, inputs, joined, mix

HOW = Manner(slope=0.05)
CHANNELS = (32, 64, 128, 256)
DEEPEST = 512


def build(levels: int, columns: tuple[int, int]) -> Any:
    """Build the network.

    Inputs as of ``compact.build``, rows a multiple of 16; the sagittal view is not looked at.
    Output: logits (batch, levels, rows + 1), each row alone (sigmoid); the last is 0.
    """
    views = inputs(columns)
    x, skips = views[0][..., :1], []
    for channels in CHANNELS:
        skips.append(encode(x, channels, HOW))
        x = layers.MaxPooling2D(2)(skips[-1])
    y = WidthMaximum()(encode(x, DEEPEST, HOW))
    for channels, skip in zip(CHANNELS[::-1], skips[::-1], strict=True):
        y = layers.Dropout(DROPPED)(joined(grow(y, channels), skip))
        y = mix(y, channels, HOW)
    return finish(views, y, levels, "own")
