"""Identification: along the column, where is the middle of a vertebra, and which one is it?

The network looks at three views along the path, near (the vertebra itself), far (lungs, organs,
pelvis) and the ribs from the front, keeps head to foot as the only direction that matters for
counting, and says for each near row: how likely a body centre is near, where it lies from here, how
sure of that it is, and which level it would be.
"""

from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy.special import expit, log_softmax

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.two_stage.compact.blocks import convolution, residual
from vertebra_ml.two_stage.compact.column import FAR, NEAR, NEAR_MM
from vertebra_ml.two_stage.compact.ribs import HALF

Floats = NDArray[np.float64]

PLACE, SPREAD, LEVEL = slice(1, 4), slice(4, 5), slice(5, 5 + len(LEVELS))
OUTPUTS: Final = LEVEL.stop
"""Channels of a row: centre here (logit), to it (x, y, rows down; in UNIT), log spread, levels."""
UNIT: Final = np.array([10.0, 10.0, 1.0])
"""What a step of one in the outputs is: mm in x and y, rows."""
TARGETS: Final = 8
"""Channels of a target row: heat, heat known, x, y, row, place known, level, level known."""

_MM: Final = np.array([*UNIT[:2], NEAR_MM[2]], dtype=np.float32)

DILATIONS: Final = (1, 2, 4, 8, 16, 1, 2, 4, 8)
"""Of the rows of the column, 6 mm each: the network sees half a metre around every row."""
TRUNK: Final = 128

HEAT_WEIGHT, PLACE_WEIGHT, SPREAD_WEIGHT, LEVEL_WEIGHT = 20.0, 2.0, 0.1, 1.0

CANDIDATE: Final = 0.15
"""Heat from which a row is a candidate: the chain sorts out the surplus."""
NEXT, ANY = 0.03, 0.02
"""What of a name is taught to each neighbour and spread over all levels: nobody is as sure of a
level as of a bone, and what a network has never been asked to doubt it says with certainty."""
APART_MM: Final = 9.0
"""No two vertebrae of anybody are closer: half a cervical gap."""


def network() -> Any:
    """Return the network: near (rows, y, x, 2), far (rows / 2, y, x, 2) and ribs (rows, 1, x, 3)
    -> (rows, OUTPUTS)."""
    near = keras.Input((None, *NEAR.shape, 2))
    far = keras.Input((None, *FAR.shape, 2))
    ribs = keras.Input((None, 1, 2 * HALF, 3))
    fine = _stem(near)
    deep = residual(convolution(fine, 48, strides=(2, 2, 2)), 48)
    wide = residual(convolution(_stem(far), 48, strides=(1, 2, 2)), 48)
    chest = residual(convolution(_stem(ribs), 48, strides=(2, 1, 2)), 48)
    rows = layers.Concatenate()([_flat(deep, 96), _flat(wide, 96), _flat(chest, 96)])
    rows = layers.Conv1D(TRUNK, 1, activation="relu")(layers.Dropout(0.1)(rows))
    for dilation in DILATIONS:
        rows = _mixed(rows, dilation)
    detail = layers.Concatenate()([layers.UpSampling1D(2)(rows), _flat(fine, 48)])
    detail = layers.Conv1D(96, 3, padding="same", activation="relu")(detail)
    detail = layers.Conv1D(96, 3, padding="same", activation="relu")(detail)
    outputs = layers.Conv1D(OUTPUTS, 1, dtype="float32")(detail)
    return keras.Model([near, far, ribs], outputs, name="identification")


def _stem(x: Any) -> Any:
    x = convolution(x, 16, strides=(1, 2, 2))
    return residual(convolution(x, 24, strides=(1, 2, 2)), 24)


def _flat(x: Any, channels: int) -> Any:
    """Return (rows, 2 x channels): what lies where across the row, and the strongest anywhere."""
    _, _, depth, width, _ = x.shape
    placed = layers.Conv3D(channels, (1, depth, width), activation="relu")(x)
    anywhere = layers.MaxPooling3D((1, depth, width))(layers.Conv3D(channels, 1)(x))
    joined = layers.Concatenate()([placed, anywhere])
    return layers.Reshape((-1, 2 * channels))(joined)


def _mixed(x: Any, dilation: int) -> Any:
    y = layers.LayerNormalization()(x)
    y = layers.Conv1D(TRUNK, 3, dilation_rate=dilation, padding="same", activation="relu")(y)
    y = layers.Conv1D(TRUNK, 1)(layers.Dropout(0.1)(y))
    return layers.Add()([x, y])


def loss(truth: Any, said: Any) -> Any:
    """Cross entropy of heat and level, distance of the place, and a spread that fits it."""
    heat, heat_known = truth[..., 0], truth[..., 1]
    place, place_known = truth[..., 2:5], truth[..., 5]
    level, level_known = ops.cast(truth[..., 6], "int32"), truth[..., 7]
    entropy = ops.binary_crossentropy(heat, said[..., 0], from_logits=True)
    step = said[..., PLACE] - place
    away = ops.sqrt(ops.sum((step * _MM) ** 2, axis=-1) + 1e-3)
    log_spread = ops.clip(said[..., SPREAD.start], -3.0, 5.0)
    fit = log_spread + ops.stop_gradient(away) * ops.exp(-log_spread)
    names = ops.take(ops.convert_to_tensor(_softened()), level, axis=0)
    naming = ops.categorical_crossentropy(names, said[..., LEVEL], from_logits=True)
    return (
        HEAT_WEIGHT * _mean(entropy, heat_known)
        + PLACE_WEIGHT * _mean(away / 10.0, place_known)
        + SPREAD_WEIGHT * _mean(fit, place_known)
        + LEVEL_WEIGHT * _mean(naming, level_known)
    )


def _softened() -> NDArray[np.float32]:
    """Return (26, 26): what is taught where a level is the true one; rows sum to 1."""
    count = len(LEVELS)
    table = np.full((count, count), ANY / count) + NEXT * (np.eye(count, k=1) + np.eye(count, k=-1))
    table += np.eye(count) * (1 - table.sum(axis=1, keepdims=True))
    return table.astype(np.float32)


def _mean(values: Any, known: Any) -> Any:
    return ops.sum(values * known) / ops.maximum(ops.sum(known), 1.0)


@dataclass(frozen=True, eq=False)
class Sightings:
    """Candidates of a column, head to foot.

    Parameters
    ----------
    rows : (n,) near rows, fractional; aside_mm : (n, 2) x and y from the middle of the view.
    heat : (n,) probability that there is a body centre.
    names : (n, 26) log probability of each level.
    spread_mm : (n,) what the network thinks its error is, not calibrated.
    """

    rows: Floats
    aside_mm: Floats
    heat: Floats
    names: Floats
    spread_mm: Floats


def sightings(said: NDArray[np.float32]) -> Sightings:
    """Read (rows, OUTPUTS) of one column."""
    heat = np.asarray(expit(said[:, 0].astype(np.float64)))
    peaks = _peaks(heat)
    to = said[peaks][:, PLACE].astype(np.float64) * UNIT
    names = np.asarray(log_softmax(said[:, LEVEL].astype(np.float64), axis=1))
    around = [_around(heat, peak) for peak in peaks]
    named = [np.average(names[rows], axis=0, weights=heat[rows]) for rows in around]
    return Sightings(
        peaks + np.clip(to[:, 2], -2.5, 2.5),
        to[:, :2],
        heat[peaks],
        np.array(named, dtype=np.float64).reshape(-1, len(LEVELS)),
        np.exp(np.clip(said[peaks, SPREAD.start].astype(np.float64), -3.0, 5.0)),
    )


def _peaks(heat: Floats) -> NDArray[np.int64]:
    """Return rows of local maxima, the hotter first choice where two are too close; sorted."""
    apart = round(APART_MM / NEAR_MM[2])
    chosen: list[int] = []
    for row in np.argsort(-heat, kind="stable"):
        if heat[row] < CANDIDATE:
            break
        if all(abs(int(row) - other) >= apart for other in chosen):
            low, high = max(0, row - 1), min(len(heat), row + 2)
            if heat[row] >= heat[low:high].max():
                chosen.append(int(row))
    return np.array(sorted(chosen), dtype=np.int64)


def _around(heat: Floats, peak: int) -> slice:
    return slice(max(0, peak - 1), min(len(heat), peak + 2))
