"""An architecture that is traced in a second, for tests of everything around a network."""

from typing import Any

from keras import Model, layers

from vertebra_ml.models.architectures import Architecture
from vertebra_ml.models.blocks import (
    GlobalSummary,
    RowLogits,
    RowsInside,
    WidthMaximum,
    convolution,
)

TINY = Architecture(
    build="tests.models.tiny:build",
    spacing_mm=4.0,
    widths_mm=(192.0, 160.0),
    activation="softmax",
    column="chain",
)


def build(levels: int, columns: tuple[int, int]) -> Any:
    """Build two convolutions and a head; inputs and output as of ``compact.build``."""
    views = [layers.Input((None, width, 2)) for width in columns]
    x = layers.Concatenate()([WidthMaximum()(convolution(v, 8, strides=(1, 4))) for v in views])
    x = layers.Conv1D(16, 9, padding="same", activation="relu")(x)
    x = layers.Conv1D(16, 9, padding="same", activation="relu")(x)
    x = layers.Dropout(0.05)(x)
    inside = RowsInside()(views)
    absent = layers.Dense(levels, name="absent")(GlobalSummary()(x, inside))
    rows = layers.Conv1D(levels, 5, padding="same", name="rows")(x)
    return Model(views, RowLogits()(rows, absent, inside))
