"""Train one network on columns whose names are known: AdamW, jitter, a seed in, weights out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from vertebra_ml.rivals.batches import Batch, Lesson, batch_of
from vertebra_ml.rivals.inputs import (
    SEEN,
    SEGMENT,
    SHAPE,
    SHAPE_MIDDLE_MM,
    SHAPE_SCALE_MM,
    STEP,
    STEP_SHIFT,
    Singles,
)  # fmt: skip
from vertebra_ml.rivals.network import Reals, Weights, backward, begin, forward

ROUNDS: Final = 72
BATCH: Final = 64
RATE: Final = 3e-3
WARM_UP: Final = 30
"""Steps over which the rate grows to its full size, to fall as a cosine."""
DECAY: Final = 0.3
MOMENTUM, MOMENTUM_SQUARES = 0.9, 0.99
SLOPE_MAX: Final = 1.0
"""Longest slope, over all weights together, that one step follows."""
DROP: Final = 0.2
SECOND: Final = 1.0
SCALE_SD: Final = 0.04
JITTER: Final = 0.12
"""SD on each scaled input; of logits another 0.1 common to a column."""
COLUMN_JITTER: Final = 0.1
LOST: Final = 0.05
"""Part of the pedicles, and of the columns, whose pedicles training hides."""


def train(lessons: Sequence[Lesson], seed: int) -> Weights:
    """Return the weights after ``ROUNDS`` rounds; the same for the same lessons and seed."""
    rng = np.random.default_rng(seed)
    weights = begin(np.random.default_rng(seed))
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    batch = min(BATCH, len(lessons))
    per_round = len(lessons) // batch
    step = 0
    for _ in range(ROUNDS):
        order = rng.permutation(len(lessons))
        for at in range(per_round):
            chosen = [lessons[i] for i in order[at * batch : (at + 1) * batch]]
            jittered = jitter(batch_of(chosen), rng)
            trace = forward(weights, jittered, DROP, rng)
            slopes = backward(weights, jittered, trace, SECOND)[1]
            step += 1
            _follow(weights, slopes, (first, second), step, per_round * ROUNDS)
    return weights


def jitter(batch: Batch, rng: np.random.Generator) -> Batch:
    """Return the columns a little larger or smaller, perhaps mirrored, moved, and seen less well.

    Inputs only; which rivals are right and what the chain thinks of them stays.
    """
    seen_inputs: Singles = batch.inputs.copy()
    columns, count, of = len(batch.sizes), len(batch.inputs), batch.column
    scale = np.exp(SCALE_SD * rng.standard_normal(columns))[of].astype(np.float32)
    stepped = np.abs(seen_inputs[:, STEP]).sum(axis=1) > 0
    seen = seen_inputs[:, SEEN] > 0
    sides = rng.choice([-1.0, 1.0], columns)[of]
    step = seen_inputs[:, STEP]
    step[:, 0] *= scale * sides
    step[:, 1] *= scale
    step[stepped, 2] = (step[stepped, 2] - STEP_SHIFT) * scale[stepped] + STEP_SHIFT
    shape = seen_inputs[:, SHAPE]
    for measure in (0, 1):  # width and back grow with the body; rise is small
        middle, unit = SHAPE_MIDDLE_MM[measure], SHAPE_SCALE_MM[measure]
        grown = ((shape[:, measure] * unit + middle) * scale - middle) / unit
        shape[:, measure] = np.where(seen, grown, 0)
    common = COLUMN_JITTER * rng.standard_normal((columns, 3))[of]
    seen_inputs[:, SEGMENT] += JITTER * rng.standard_normal((count, 3)) + common
    shape += JITTER * rng.standard_normal((count, 3)) * seen[:, None]
    step += JITTER * rng.standard_normal((count, 3)) * stepped[:, None]
    lost = (rng.random(count) < LOST) | (rng.random(columns) < LOST)[of]
    seen_inputs[lost, SHAPE] = 0
    seen_inputs[lost, SEEN] = 0
    return replace(batch, inputs=seen_inputs)


def _follow(
    weights: dict[str, Reals],
    slopes: dict[str, Reals],
    moments: tuple[dict[str, Reals], dict[str, Reals]],
    step: int,
    steps: int,
) -> None:
    """One step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), ``weights`` in place."""
    first, second = moments
    length = np.sqrt(sum(float((slope**2).sum()) for slope in slopes.values()))
    shrink = min(1.0, SLOPE_MAX / (length + 1e-9))
    rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps)) * min(1.0, step / WARM_UP)
    for name, weight in weights.items():
        slope = (slopes[name] * shrink).astype(np.float32)
        first[name] = MOMENTUM * first[name] + (1 - MOMENTUM) * slope
        second[name] = MOMENTUM_SQUARES * second[name] + (1 - MOMENTUM_SQUARES) * slope**2
        along = first[name] / (1 - MOMENTUM**step)
        along = along / (np.sqrt(second[name] / (1 - MOMENTUM_SQUARES**step)) + 1e-7)
        kept = 0.0 if name == "trust" else DECAY * weight  # the chain is trusted from the start
        weights[name] = (weight - rate * (along + kept)).astype(np.float32)
