"""The network of the thesis code, for comparison: after Kanavati et al. 2018 (arXiv 1811.09244).

A picture encoder of 32-64-128-256-512 channels; at each depth the maximum over the width is handed
to a decoder along the rows, which ends in one logit a row and level. It sees the frontal view.
"""

from typing import Any

from keras import Model, layers, ops

from vertebra_ml.models.blocks import RowLogits, RowsInside, WidthMaximum

CHANNELS = (32, 64, 128, 256, 512)


def build(levels: int, columns: tuple[int, int]) -> Any:
    """Build the network.

    Inputs as of ``compact.build``, rows a multiple of 16; the sagittal view is not looked at.
    Output: logits (batch, levels, rows + 1), each row alone (sigmoid); the last is 0.
    """
    names = ("frontal", "sagittal")
    views = [layers.Input((None, n, 2), name=name) for name, n in zip(names, columns, strict=True)]
    x, skips = views[0][..., :1], []
    for depth, channels in enumerate(CHANNELS):
        x = layers.MaxPooling2D(2)(x) if depth else x
        for _ in range(2):
            x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        skips.append(WidthMaximum()(x))
    y = skips.pop()
    for channels, skip in zip(CHANNELS[-2::-1], skips[::-1], strict=True):
        y = layers.Concatenate()([layers.UpSampling1D(2)(y), skip])
        for _ in range(2):
            y = layers.Conv1D(channels, 3, padding="same", use_bias=False)(y)
            y = layers.ReLU()(layers.BatchNormalization()(y))
    rows = layers.Conv1D(levels, 1, name="rows")(y)
    inside = RowsInside()(views)
    absent = ops.zeros_like(rows[:, 0, :])
    return Model(views, RowLogits(dtype="float32")(rows, absent, inside), name="kanavati")
