"""A residual 1-D convolution network over a column, plain numpy: forwards and backwards.

Each candidate is seen with its neighbours 1, 2 and 4 up and down, again and again (He et al. 2016,
doi 10.1109/CVPR.2016.90; spread filters: Yu & Koltun 2016, arXiv 1511.07122), and with the mean of
its column, and gets a word for each level and station. A rival's weight is a share of the chain's
logarithm, its build's word and the words of its candidates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.chain.builds import BUILDS
from vertebra_ml.chain.candidates import Ints
from vertebra_ml.rivals.batches import WORDS, Batch
from vertebra_ml.rivals.inputs import INPUTS

Reals = NDArray[Any]
Weights = Mapping[str, Reals]

SPREADS: Final = (1, 2, 4, 1, 2, 4, 1, 2)
CHANNELS: Final = 40
SHARE: Final = 3.0
"""Words are divided by it: a column has many, which say much the same."""
LEVEL: Final = ("level", "level_bias")
"""What only the second task of training needs."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass leaves behind for the way back; masks are of dropout, 1 where there is none.

    Parameters
    ----------
    chances : (r,) of each rival among those of its column.
    said : (n, channels) what words are made of.
    looks : of each convolution what went in, what came out, and its mask.
    mean, whole, joined, said_raw, mask : of the column's mean and the last layer.
    """

    chances: Reals
    said: Reals
    looks: list[tuple[Reals, Reals, Reals]]
    mean: Reals
    whole: Reals
    joined: Reals
    said_raw: Reals
    mask: Reals


def begin(rng: np.random.Generator, channels: int = CHANNELS) -> dict[str, Reals]:
    """Return weights to start from: words say nothing, so that the chain's weights stand."""
    c = channels
    shapes = {"enter": (INPUTS, c, 0.7)}
    shapes |= {f"look{number}": (3 * c, c, 0.5) for number in range(len(SPREADS))}
    shapes |= {"whole": (c, c, 1.0), "join": (2 * c, c, 1.0), "words": (c, WORDS, 0.0)}
    shapes |= {"level": (c, len(LEVELS), 0.5)}
    weights: dict[str, Reals] = {}
    for name, (into, out, scale) in shapes.items():
        drawn = rng.standard_normal((into, out)) * scale * np.sqrt(2 / into)
        weights |= {name: drawn.astype(np.float32), f"{name}_bias": np.zeros(out, np.float32)}
    return weights | {"build": np.zeros(len(BUILDS), np.float32), "trust": np.ones(1, np.float32)}


def forward(
    weights: Weights, batch: Batch, drop: float = 0.0, rng: np.random.Generator | None = None
) -> Trace:
    """Return the chances of all rivals; ``drop`` is the part of values that training leaves out."""
    h = batch.inputs @ weights["enter"] + weights["enter_bias"]
    looks = []
    for number, spread in enumerate(SPREADS):
        seen = _beside(h, batch.column, spread)
        raw = seen @ weights[f"look{number}"] + weights[f"look{number}_bias"]
        mask = _mask(raw, drop, rng)
        h = h + np.maximum(raw, 0) * mask
        looks.append((seen, raw, mask))
    mean = np.add.reduceat(h, batch.first, axis=0) / batch.sizes[:, None].astype(h.dtype)
    whole = mean @ weights["whole"] + weights["whole_bias"]
    joined = np.concatenate([h, np.maximum(whole, 0)[batch.column]], axis=1)
    raw = joined @ weights["join"] + weights["join_bias"]
    mask = _mask(raw, drop, rng)
    said = np.maximum(raw, 0) * mask
    words = said @ weights["words"] + weights["words_bias"]
    heard = np.bincount(batch.rival, words.ravel()[batch.cells], len(batch.builds)) / SHARE
    scores = weights["trust"][0] * batch.log_weights + heard + weights["build"][batch.builds]
    return Trace(_softmax(scores, batch), said, looks, mean, whole, joined, raw, mask)


def backward(
    weights: Weights, batch: Batch, trace: Trace, second: float
) -> tuple[float, dict[str, Reals]]:
    """Return the mean surprise at the right rivals, nats, and how it grows with each weight.

    ``second`` is the share of the second task, each candidate's level. Only the first is in the
    number that is returned; both are in the slopes.
    """
    loss, slope = _surprise(batch, trace.chances)
    size, n = batch.inputs.dtype.type, len(batch.inputs)
    spread = np.bincount(batch.cells, slope[batch.rival] / SHARE, n * WORDS)
    word = spread.reshape(n, WORDS).astype(size)
    level = _second(weights, batch, trace.said) * size(second)
    slopes = {"trust": np.array([(slope * batch.log_weights).sum()])}
    slopes |= {"build": np.bincount(batch.builds, slope, len(BUILDS))}
    slopes |= _layer("words", trace.said, word) | _layer("level", trace.said, level)
    said = (word @ weights["words"].T + level @ weights["level"].T) * trace.mask
    said = said * (trace.said_raw > 0)
    slopes |= _layer("join", trace.joined, said)
    joined = said @ weights["join"].T
    channels = trace.said.shape[1]
    whole = np.add.reduceat(joined[:, channels:], batch.first, axis=0) * (trace.whole > 0)
    slopes |= _layer("whole", trace.mean, whole)
    mean = (whole @ weights["whole"].T) / batch.sizes[:, None].astype(size)
    h = joined[:, :channels] + mean[batch.column]
    for number in reversed(range(len(SPREADS))):
        seen, raw, mask = trace.looks[number]
        out = h * mask * (raw > 0)
        slopes |= _layer(f"look{number}", seen, out)
        h = h + _gathered(out @ weights[f"look{number}"].T, batch.column, SPREADS[number])
    return loss, slopes | _layer("enter", batch.inputs, h)


def _layer(name: str, into: Reals, slope: Reals) -> dict[str, Reals]:
    return {name: into.T @ slope, f"{name}_bias": slope.sum(axis=0)}


def _mask(values: Reals, drop: float, rng: np.random.Generator | None) -> Reals:
    if rng is None or not drop:
        return np.ones((1, 1), values.dtype)
    kept: Reals = (rng.random(values.shape) > drop).astype(values.dtype) / values.dtype.type(
        1 - drop
    )
    return kept


def _neighbours(column: Ints, spread: int) -> tuple[Ints, Ints]:
    """Return the candidates with one ``spread`` above in their column, and those above them."""
    lower = np.flatnonzero(column[spread:] == column[:-spread]) + spread
    return lower, lower - spread


def _beside(h: Reals, column: Ints, spread: int) -> Reals:
    """Return (n, 3 c): each candidate's, with those above and below it, zeros beyond the ends."""
    lower, upper = _neighbours(column, spread)
    c = h.shape[1]
    seen = np.zeros((len(h), 3 * c), h.dtype)
    seen[lower, :c], seen[:, c : 2 * c], seen[upper, 2 * c :] = h[upper], h, h[lower]
    return seen


def _gathered(slope: Reals, column: Ints, spread: int) -> Reals:
    """Return (n, c): what `_beside` spread, gathered again."""
    lower, upper = _neighbours(column, spread)
    c = slope.shape[1] // 3
    result: Reals = slope[:, c : 2 * c].copy()
    result[upper] += slope[lower, :c]
    result[lower] += slope[upper, 2 * c :]
    return result


def _softmax(scores: Reals, batch: Batch) -> Reals:
    top = np.maximum.reduceat(scores, batch.first_rival)
    plain = np.exp(scores - top[batch.rival_column])
    result: Reals = plain / np.add.reduceat(plain, batch.first_rival)[batch.rival_column]
    return result


def _surprise(batch: Batch, chances: Reals) -> tuple[float, Reals]:
    """Return the mean surprise and its slope on the scores; columns without truth count nothing."""
    right = np.add.reduceat(chances * batch.right, batch.first_rival)
    known = np.logical_or.reduceat(batch.right, batch.first_rival)
    share = chances * batch.right / np.maximum(right, 1e-20)[batch.rival_column]
    slope: Reals = np.where(known[batch.rival_column], chances - share, 0.0) / len(right)
    return float(-np.log(np.maximum(right[known], 1e-9)).sum() / len(right)), slope


def _second(weights: Weights, batch: Batch, said: Reals) -> Reals:
    """Return (n, 26): the slope of the mean surprise at the true levels."""
    scores = said @ weights["level"] + weights["level_bias"]
    plain = np.exp(scores - scores.max(axis=1, keepdims=True))
    slope: Reals = plain / plain.sum(axis=1, keepdims=True)
    known = np.flatnonzero(batch.levels >= 0)
    slope[known, batch.levels[known]] -= 1
    slope[batch.levels < 0] = 0
    slope /= max(len(known), 1)
    return slope
