"""The published networks learn, one after the other; a training that was killed goes on."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from vertebra_ml.models.checkpoint import Progress, resume, save
from vertebra_ml.models.contract import HISTORY, replace_text
from vertebra_ml.two_stage.architectures import Lesson
from vertebra_ml.two_stage.settings import Training
from vertebra_ml.two_stage.spinefinder import batches, networks
from vertebra_ml.two_stage.spinefinder.batches import Shelf
from vertebra_ml.two_stage.spinefinder.votes import THRESHOLDS

log = logging.getLogger(__name__)

VALIDATION_BATCH: Final = 4
Figures = dict[str, float]


@dataclass(frozen=True)
class Stage:
    """One network: how it is built, fed, told and measured."""

    name: str
    taught: str
    build: Callable[[], Any]
    loss: Callable[[Any, Any], Any]
    batch: Callable[[Shelf, int, Sequence[int]], tuple[Any, Any]]
    tensors: Callable[[Any], tuple[Any, Any]]
    measure: Callable[[Sequence[tuple[Any, Any]]], Figures]

    @property
    def weights(self) -> str:
        """Name of its weight file."""
        return f"{self.name}.weights.h5"


def measure_detection(pairs: Sequence[tuple[Any, Any]]) -> Figures:
    """Return dice and recalls over all (masks, logits), and ``error`` = 1 - dice."""
    counts = sum(np.asarray(networks.confusion(mask, logits), np.float64) for mask, logits in pairs)
    hit, missed, quiet, wrong = counts
    dice = float(2 * hit / max(2 * hit + missed + wrong, 1))
    return {
        "dice": dice,
        "recall": float(hit / max(hit + missed, 1)),
        "background_recall": float(quiet / max(quiet + wrong, 1)),
        "error": 1 - dice,
    }


def measure_identification(pairs: Sequence[tuple[Any, Any]]) -> Figures:
    """Return over all (levels, values): mean levels off as ``error``, and the share told right."""
    known = np.array([np.count_nonzero(levels) for levels, _ in pairs], dtype=np.float64)
    share = known / max(known.sum(), 1)
    off = [float(networks.level_error(levels, values)) for levels, values in pairs]
    rate = [float(networks.level_rate(levels, values)) for levels, values in pairs]
    return {"rate": float(share @ rate), "error": float(share @ off)}


def stages() -> tuple[Stage, Stage]:
    """Return detection and identification, in the order in which they learn."""
    return (
        Stage(
            "detection", "mask", networks.detection, networks.weighted_cross_entropy,
            batches.detection_batch, batches.detection_tensors, measure_detection,
        ),
        Stage(
            "identification", "levels", networks.identification, networks.level_error,
            batches.identification_batch, batches.identification_tensors,
            measure_identification,
        ),
    )  # fmt: skip


def learn(lesson: Lesson) -> dict[str, float]:
    """Train both networks into the lesson's folder and return the thresholds of the reader.

    Writes ``detection.weights.h5``, ``identification.weights.h5`` and ``history.csv``, whose epochs
    run on from the one network to the other. Checkpoints lie beside the folder until both are done.
    Raises ModelError where a part holds no sample.
    """
    checkpoints = lesson.folder.parent / f".{lesson.folder.name}.checkpoint"
    rows: list[Figures] = []
    for number, stage in enumerate(stages()):
        keras.utils.set_random_seed(lesson.seed + number)
        network = stage.build()
        path = checkpoints / f"{stage.name}.npz"
        progress = _taught(stage, network, lesson, path, len(rows))
        network.set_weights(progress.best)
        write_weights(network, stage, lesson.folder)
        rows += [
            {"epoch": float(len(rows) + 1 + i)} | _named(row, stage)
            for i, row in enumerate(progress.history)
        ]
    replace_text(lesson.folder / HISTORY, _table(rows))
    for stage in stages():
        (checkpoints / f"{stage.name}.npz").unlink(missing_ok=True)
    if checkpoints.exists():
        checkpoints.rmdir()
    return dict(THRESHOLDS)


def write_weights(network: Any, stage: Stage, folder: Path) -> None:
    """Write the weights of a network, without its optimizer, in one step."""
    plain = stage.build()
    plain.set_weights(network.get_weights())
    part = folder / f".part.{stage.weights}"
    plain.save_weights(part)
    part.replace(folder / stage.weights)


def _taught(stage: Stage, network: Any, lesson: Lesson, path: Path, before: int) -> Progress:
    """Train a network to the end, from where its checkpoint stands."""
    how: Training = getattr(lesson.settings, stage.name)
    files = getattr(lesson, stage.name)
    share = batches.shares(lesson.groups, lesson.settings.share)
    shelf = Shelf.of(files["train"], stage.taught, share)
    checked = Shelf.of(files["validation"], stage.taught, lambda _: 1.0)
    network.compile(
        optimizer=keras.optimizers.Adam(how.learning_rate), loss=stage.loss, jit_compile=False
    )
    mark = _mark(stage, how, lesson, shelf)
    progress = resume(network, path, mark)
    while not _finished(progress, how):
        start = time.perf_counter()
        figures = {"loss": _steps(stage, network, shelf, how, (lesson.seed, progress))}
        figures |= _validated(stage, network, checked, progress)
        progress.add(figures | {"seconds": time.perf_counter() - start})
        save(network, path, mark, progress)
        named = _named(progress.history[-1], stage)
        log.info("%s: %s", stage.name, named)
        lesson.on_epoch(before + progress.epoch, named)
    return progress


def _steps(
    stage: Stage, network: Any, shelf: Shelf, how: Training, at: tuple[int, Progress]
) -> float:
    """Take the steps of one epoch and return their mean loss; ``at``: seed and progress."""
    seed, progress = at
    epoch, losses = progress.epoch, []

    def make(step: int) -> tuple[Any, Any]:
        return stage.batch(shelf, how.batch, (seed, epoch, step))

    for values, taught in batches.ahead(make, how.steps_per_epoch):
        losses.append(float(network.train_on_batch(values, taught)))
        progress.smooth(network.get_weights())
    return float(np.mean(losses))


def _validated(stage: Stage, network: Any, shelf: Shelf, progress: Progress) -> Figures:
    """Measure the averaged weights on validation, and put those in use back."""
    last = network.get_weights()
    network.set_weights(progress.average)
    places, answers = shelf.spread(), []
    for first in range(0, len(places), VALIDATION_BATCH):
        chosen = places[first : first + VALIDATION_BATCH]
        values, taught = stage.tensors([shelf.read(*place) for place in chosen])
        answers.append((taught, network.predict_on_batch(values)))
    network.set_weights(last)
    return stage.measure(answers)


def _finished(progress: Progress, how: Training) -> bool:
    stale = progress.epoch - progress.best_epoch >= how.patience and progress.epoch > 0
    return stale or progress.epoch >= how.epochs or progress.seconds >= 60 * how.minutes


def _mark(stage: Stage, how: Training, lesson: Lesson, shelf: Shelf) -> str:
    """Name a training: a checkpoint of another one is not gone on with."""
    names = [path.name for path in shelf.paths]
    content = [stage.name, asdict(how), lesson.settings.mix, lesson.seed, lesson.data_hash, names]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _named(row: Figures, stage: Stage) -> Figures:
    return {f"{stage.name}_{name}": value for name, value in row.items() if name != "epoch"}


def _table(rows: Sequence[Figures]) -> str:
    """Return the epochs of both networks as CSV; a figure of the other network stays empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(f"{row[name]:.6g}" if name in row else "" for name in names) for row in rows]
    return "\n".join([",".join(names), *lines]) + "\n"
