"""The two published networks: U-Nets in three and in two dimensions, and what they are told.

Channels, depths and kernels are those of the public source (see the package). Ours: logits where
theirs has probabilities, an activation after every normalisation (theirs forgot one), no bias
before one, and the last bias of the regression in the middle of the column instead of at 0, from
where a rectified output may never rise.
"""

from dataclasses import dataclass
from typing import Any, Final

from keras import Model, initializers, layers, ops

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.two_stage.spinefinder.cutting import SLICES, UNKNOWN

DETECTION_FILTERS, IDENTIFICATION_FILTERS = 16, 32
"""Channels of the finest grid, as published; each coarser one has twice as many."""

DEPTH: Final = 4
"""How often a grid is halved: sides must be multiples of 2 ** DEPTH = 16."""

FLOOR_KERNEL: Final = (5, 20)
"""On the coarsest grid of the slices: 80 mm by 320 mm, the whole of a published sample."""

MOMENTUM: Final = 0.1
BACKGROUND_WEIGHT, SPINE_WEIGHT = 0.1, 0.9
"""Weights of the two classes in the cross entropy, as published."""


HIGHEST: Final = len(LEVELS)
"""The greatest ``discs.ordinal``: L6."""


@dataclass(frozen=True)
class Kit:
    """The layers of a U-Net of ``dimensions``."""

    dimensions: int

    def convolved(self, x: Any, channels: int, kernel: Any) -> Any:
        """Convolve twice, each time normalised over the batch and rectified."""
        layer = layers.Conv2D if self.dimensions == 2 else layers.Conv3D
        for _ in range(2):
            x = layer(channels, kernel, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=MOMENTUM)(x))
        return x

    def halved(self, x: Any) -> Any:
        """Take the greatest of two along every axis."""
        return (layers.MaxPooling2D if self.dimensions == 2 else layers.MaxPooling3D)(2)(x)

    def doubled(self, x: Any) -> Any:
        """Repeat every value along every axis."""
        return (layers.UpSampling2D if self.dimensions == 2 else layers.UpSampling3D)(2)(x)

    def unet(self, x: Any, filters: int, floor_kernel: Any) -> Any:
        """Go down to the floor and up again, joining each grid with itself on the way down."""
        ways = []
        for level in range(DEPTH):
            ways.append(self.convolved(x, filters * 2**level, 3))
            x = self.halved(ways[-1])
        x = self.convolved(x, filters * 2**DEPTH, floor_kernel)
        for level in reversed(range(DEPTH)):
            x = layers.Concatenate()([ways[level], self.doubled(x)])
            x = self.convolved(x, filters * 2**level, 3)
        return x


def detection(filters: int = DETECTION_FILTERS) -> Any:
    """Build the 3D network: (batch, x, y, z, 1) -> logits (batch, x, y, z, 2) of no spine, spine.

    Sides are multiples of 16; see ``grid.scaled`` for the values.
    """
    view = layers.Input((None, None, None, 1))
    x = Kit(3).unet(view, filters, 3)
    return Model(view, layers.Conv3D(2, 3, padding="same", dtype="float32")(x), name="detection")


def identification(filters: int = IDENTIFICATION_FILTERS) -> Any:
    """Build the 2D network: (batch, y, z, slice) -> (batch, y, z), ``discs.ordinal`` or so.

    Sides are multiples of 16; slices are 8 neighbours from left to right, one millimetre apart.
    """
    view = layers.Input((None, None, SLICES))
    x = Kit(2).unet(view, filters, FLOOR_KERNEL)
    middle = (HIGHEST + 1) / 2
    value = layers.Conv2D(
        1, 1, activation="relu", bias_initializer=initializers.Constant(middle), dtype="float32"
    )
    return Model(view, value(x)[..., 0], name="identification")


def weighted_cross_entropy(mask: Any, logits: Any) -> Any:
    """Return the mean over known voxels of the weighted cross entropy.

    ``mask`` is (batch, x, y, z), 0, 1 or UNKNOWN; ``logits`` (batch, x, y, z, 2).
    """
    mask = ops.cast(mask, "int32")
    known = ops.cast(mask != UNKNOWN, "float32")
    spine = ops.cast(mask == 1, "float32")
    log_p = ops.log_softmax(logits, axis=-1)
    right = SPINE_WEIGHT * spine * log_p[..., 1] + BACKGROUND_WEIGHT * (1 - spine) * log_p[..., 0]
    return -ops.sum(known * right) / ops.maximum(ops.sum(known), 1.0)


def confusion(mask: Any, logits: Any) -> Any:
    """Return (4,) counts of known voxels: spine found, spine missed, background so, found spine."""
    mask = ops.cast(mask, "int32")
    found = logits[..., 1] > logits[..., 0]
    spine, background = mask == 1, mask == 0
    kinds = (
        ops.logical_and(spine, found),
        ops.logical_and(spine, ops.logical_not(found)),
        ops.logical_and(background, ops.logical_not(found)),
        ops.logical_and(background, found),
    )
    return ops.stack([ops.sum(ops.cast(kind, "float32")) for kind in kinds])


def level_error(levels: Any, values: Any) -> Any:
    """Return the mean of how many levels off the values are, background ignored.

    ``levels`` and ``values`` are (batch, y, z); levels of 0 are background.
    """
    levels = ops.cast(levels, "float32")
    known = ops.cast(levels > 0, "float32")
    off = ops.abs(values - levels)
    return ops.sum(known * off) / ops.maximum(ops.sum(known), 1.0)


def level_rate(levels: Any, values: Any) -> Any:
    """Return the share of labelled pixels whose rounded value is the level."""
    levels = ops.cast(levels, "float32")
    known = ops.cast(levels > 0, "float32")
    right = ops.cast(ops.round(values) == levels, "float32")
    return ops.sum(known * right) / ops.maximum(ops.sum(known), 1.0)
