"""Our network: two small picture encoders, their widths reduced early, joined along the rows.

Each view keeps rows of 2 mm in a thin skip and rows of 4 mm in the deep path, where dilated
convolutions see more than a metre up and down; a summary of the whole scan tells what is absent.
"""

from dataclasses import dataclass
from typing import Any, Final

from keras import Model, layers

from vertebra_ml.models.blocks import (
    GlobalSummary,
    RowLogits,
    RowsInside,
    WidthAttention,
    WidthMaximum,
    convolution,
    residual,
    residual_rows,
)


@dataclass(frozen=True)
class Channels:
    """Channels of the stem, of the two stages of an encoder, and of the path along the rows."""

    stem: int
    middle: int
    deep: int
    rows: int


FULL: Final = Channels(stem=16, middle=32, deep=64, rows=112)

DILATIONS = (1, 2, 4, 8, 16, 32, 1, 2, 4, 8, 16, 32)
"""Rows of 4 mm between the taps of each layer: the sum, 126, sees 504 mm up and as much down."""


def build(levels: int, columns: tuple[int, int], size: Channels = FULL) -> Any:
    """Build the network.

    Inputs: frontal (batch, rows, columns[0], 2) and sagittal (batch, rows, columns[1], 2): windowed
    HU and 1 where there is scan; rows an even number. Output: logits (batch, levels, rows + 1),
    the last for "not in this scan".
    """
    views = [
        layers.Input((None, width, 2), name=name)
        for name, width in zip(("frontal", "sagittal"), columns, strict=True)
    ]
    fine, coarse = zip(*(_encode(view, size) for view in views), strict=True)
    x = layers.Concatenate()(coarse)
    x = layers.BatchNormalization()(layers.Dense(size.rows, use_bias=False)(x))
    x = layers.ReLU()(x)
    for dilation in DILATIONS:
        x = residual_rows(x, size.rows, dilation=dilation)
    inside = RowsInside()(views)
    inside_coarse = layers.MaxPooling1D(2)(inside[..., None])[..., 0]
    whole = layers.Dense(size.rows, activation="relu")(GlobalSummary()(x, inside_coarse))
    x = layers.Add()([x, layers.Dense(size.rows)(whole)[:, None, :]])
    x = layers.Concatenate()([layers.UpSampling1D(2)(x), *fine])
    x = layers.Conv1D(size.deep, 5, padding="same", activation="relu")(x)
    rows = layers.Conv1D(levels, 3, padding="same", name="rows")(x)
    absent = layers.Dense(levels, name="absent")(whole)
    return Model(views, RowLogits(dtype="float32")(rows, absent, inside), name="compact")


def _encode(view: Any, size: Channels) -> tuple[Any, Any]:
    """Give (batch, rows, stem) and (batch, rows / 2, 2 deep)."""
    x = convolution(view, size.stem, kernel=5, strides=(1, 2))
    fine = WidthMaximum()(x)
    x = residual(convolution(x, size.middle, strides=(2, 2)), size.middle)
    x = residual(convolution(x, size.deep, strides=(1, 2)), size.deep)
    return fine, layers.Concatenate()([WidthMaximum()(x), WidthAttention()(x)])
