"""One network's way through its training: epochs, checkpoints that survive a kill, early stopping.

As for the slice spotter (``models.fitting``): weights are averaged over the last steps, the
average is measured on validation after each epoch, the best of these is what is kept.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vertebra_ml.models.checkpoint import Progress, resume, save
from vertebra_ml.models.schedule import Schedule
from vertebra_ml.two_stage.settings import Training

log = logging.getLogger(__name__)

WARM_STEPS: Final = 100
"""The learning rate rises over the first steps: moments and normalisations are young."""
SETTLE: Final = 0.5
"""Over this last part of the training the learning rate falls to LEAST of what it was."""
LEAST: Final = 0.01
CLIP: Final = 1.0
DECAY: Final = 1e-4


@dataclass(frozen=True, eq=False)
class Course:
    """How one network is taught.

    Parameters
    ----------
    training : its settings.
    batches : epoch, from 0 -> the batches of that epoch, (inputs, targets) each.
    measure : network -> figures on validation; ``error`` is the one that should fall.
    checkpoint : the file that holds the state between epochs.
    mark : names this training; the checkpoint of another is not gone on with.
    on_epoch : called after each epoch with its number and figures.
    """

    training: Training
    batches: Callable[[int], Iterator[tuple[Any, Any]]]
    measure: Callable[[Any], dict[str, float]]
    checkpoint: Path
    mark: str
    on_epoch: Callable[[int, dict[str, float]], None]


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Build networks whose arithmetic is ``name``, a dtype policy of Keras, within the block."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def optimizer(rate: float) -> Any:
    """Return the optimizer that every network is taught with."""
    import keras

    return keras.optimizers.AdamW(rate, weight_decay=DECAY, global_clipnorm=CLIP)


def teach(network: Any, course: Course) -> Progress:
    """Train a compiled network to the end of its course; it is left with the best weights."""
    progress = resume(network, course.checkpoint, course.mark)
    schedule = _schedule(course.training)
    while schedule.spent(progress.history) < 1.0:
        _epoch(network, course, progress)
        save(network, course.checkpoint, course.mark, progress)
        course.on_epoch(progress.epoch, progress.history[-1])
    network.set_weights(progress.best)
    return progress


def of_stage(stage: str, figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures of an epoch under names that say which network they are of."""
    return {f"{stage}_{name}": value for name, value in figures.items() if name != "epoch"}


def as_history(stages: Mapping[str, Progress]) -> str:
    """Return ``history.csv`` of networks taught one after the other, whose epochs run on.

    Figures of the other network stay empty.
    """
    rows: list[dict[str, float]] = []
    for stage, progress in stages.items():
        before = len(rows)
        rows += [
            {"epoch": before + row["epoch"]} | of_stage(stage, row) for row in progress.history
        ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(f"{row[name]:.6g}" if name in row else "" for name in names) for row in rows]
    return "\n".join([",".join(names), *lines]) + "\n"


def _epoch(network: Any, course: Course, progress: Progress) -> None:
    start = time.perf_counter()
    rate = course.training.learning_rate * _schedule(course.training).fall(progress.history)
    losses = []
    for inputs, targets in course.batches(progress.epoch):
        warm = min(1.0, (progress.steps + 1) / WARM_STEPS)
        network.optimizer.learning_rate = rate * warm
        losses.append(float(network.train_on_batch(inputs, targets)))
        progress.smooth(network.get_weights())
    figures = {"loss": float(np.mean(losses)), "learning_rate": rate}
    last = network.get_weights()
    network.set_weights(progress.average)
    figures |= course.measure(network)
    network.set_weights(last)
    progress.add(figures | {"seconds": time.perf_counter() - start})
    log.info("epoch %d: %s", progress.epoch, figures)


def _schedule(training: Training) -> Schedule:
    return Schedule(training.epochs, training.minutes, training.patience, SETTLE, LEAST)
