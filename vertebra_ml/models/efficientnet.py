"""The thesis code's third network: EfficientNet-B3 (Tan & Le 2019, arXiv 1905.11946) reads.

The picture, its grey value given three times, runs through the blocks 1 to 6 of keras' B3; the ends
of blocks 1 to 4 are handed to a decoder along the rows. Weights start at random, as they also do in
the thesis code unless it is told otherwise: nothing is downloaded here.
"""

from typing import Any, Final

from keras import layers, ops
from keras.applications import EfficientNetB3

from vertebra_ml.models.blocks import WidthMaximum
from vertebra_ml.models.thesis import DROPPED, Manner, finish, grow, inputs, joined, mix

HOW = Manner()
DEEPEST: Final = "block6f_add"
SKIPS: Final = {"block4e_add": 256, "block3c_add": 128, "block2c_add": 128, "block1b_add": 64}
"""Ends of the blocks of 1/16, 1/8, 1/4 and 1/2 of the rows, and the decoder's channels there."""

GREYS: Final = 255.0
"""Keras' network divides its input by this; the thesis feeds it -1..1 all the same, we 0..255."""


def build(levels: int, columns: tuple[int, int]) -> Any:
    """Build the network.

    Inputs as of ``compact.build``, rows a multiple of 32; the sagittal view is not looked at.
    Output: logits (batch, levels, rows + 1), each row alone (sigmoid); the last is 0.
    """
    views = inputs(columns)
    grey = ops.repeat(views[0][..., :1] * GREYS, 3, axis=-1)
    body = EfficientNetB3(include_top=False, weights=None, input_tensor=grey)
    y = WidthMaximum()(body.get_layer(DEEPEST).output)
    for block, channels in SKIPS.items():
        # The blocks drop features themselves: only what has grown is dropped here.
        grown = layers.Dropout(DROPPED)(grow(y, channels))
        y = mix(joined(grown, body.get_layer(block).output), channels, HOW)
    y = layers.Dropout(DROPPED)(grow(y, SKIPS["block1b_add"]))
    y = mix(y, SKIPS["block1b_add"], HOW)
    return finish(views, y, levels, "efficientnet")
