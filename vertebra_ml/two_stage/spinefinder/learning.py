"""The published networks learn, one after the other; a training that was killed goes on."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from vertebra_ml.models.checkpoint import Progress
from vertebra_ml.models.contract import HISTORY, replace_text
from vertebra_ml.two_stage import weights
from vertebra_ml.two_stage.architectures import Lesson
from vertebra_ml.two_stage.school import (
    Course,
    as_history,
    of_stage,
    optimizer,
    precision,
    teach,
)
from vertebra_ml.two_stage.settings import Training
from vertebra_ml.two_stage.spinefinder import batches, networks
from vertebra_ml.two_stage.spinefinder.batches import Shelf
from vertebra_ml.two_stage.spinefinder.votes import THRESHOLDS

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


def measure_detection(pairs: Sequence[tuple[Any, Any]]) -> Figures:
    """Return dice and recalls over all (masks, logits), and ``error`` = 1 - dice."""
    each = [np.asarray(networks.confusion(mask, logits), np.float64) for mask, logits in pairs]
    hit, missed, quiet, wrong = np.sum(each, axis=0)
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

    Writes ``model.weights.h5`` and ``history.csv``, whose epochs run on from the one network to the
    other. Checkpoints lie beside the folder until both are done. Raises ModelError where a part
    holds no sample.
    """
    taught: dict[str, Any] = {}
    progress: dict[str, Progress] = {}
    for number, stage in enumerate(stages()):
        keras.utils.set_random_seed(lesson.seed + number)
        with precision(lesson.settings.precision):
            network = taught[stage.name] = stage.build()
        before = sum(len(one.history) for one in progress.values())
        progress[stage.name] = teach(network, _course(stage, network, lesson, before))
    weights.save(taught, builders(), lesson.folder)
    replace_text(lesson.folder / HISTORY, as_history(progress))
    for stage in stages():
        _checkpoint(lesson, stage).unlink(missing_ok=True)
    if _checkpoint(lesson, stage).parent.exists():
        _checkpoint(lesson, stage).parent.rmdir()
    return dict(THRESHOLDS)


def builders() -> dict[str, Callable[[], Any]]:
    """Return what builds each network, by its stage."""
    return {stage.name: stage.build for stage in stages()}


def _course(stage: Stage, network: Any, lesson: Lesson, before: int) -> Course:
    """Say how a network is taught, after ``before`` epochs of another; it is compiled for it."""
    how: Training = getattr(lesson.settings, stage.name)
    files = getattr(lesson, stage.name)
    share = batches.shares(lesson.groups, lesson.settings.share)
    shelf = Shelf.of(files["train"], stage.taught, share)
    checked = Shelf.of(files["validation"], stage.taught, lambda _: 1.0)
    network.compile(optimizer(how.learning_rate), loss=stage.loss, jit_compile=False)

    def epoch_batches(epoch: int) -> Iterator[tuple[Any, Any]]:
        def make(step: int) -> tuple[Any, Any]:
            return stage.batch(shelf, how.batch, (lesson.seed, epoch, step))

        return batches.ahead(make, how.steps_per_epoch)

    def measure(network: Any) -> Figures:
        return _validated(stage, network, checked)

    def on_epoch(number: int, figures: Figures) -> None:
        lesson.on_epoch(before + number, of_stage(stage.name, figures))

    path = _checkpoint(lesson, stage)
    return Course(how, epoch_batches, measure, path, _mark(stage, lesson, shelf), on_epoch)


def _validated(stage: Stage, network: Any, shelf: Shelf) -> Figures:
    places, answers = shelf.spread(), []
    for first in range(0, len(places), VALIDATION_BATCH):
        chosen = places[first : first + VALIDATION_BATCH]
        values, taught = stage.tensors([shelf.read(*place) for place in chosen])
        answers.append((taught, network.predict_on_batch(values)))
    return stage.measure(answers)


def _checkpoint(lesson: Lesson, stage: Stage) -> Path:
    return lesson.folder.parent / f".{lesson.folder.name}.checkpoint" / f"{stage.name}.npz"


def _mark(stage: Stage, lesson: Lesson, shelf: Shelf) -> str:
    """Name the training of one network: how the other is taught does not matter to it."""
    names = [path.name for path in shelf.paths]
    settings = asdict(lesson.settings)
    for other in set(builders()) - {stage.name}:
        settings.pop(other)
    content = [stage.name, settings, lesson.seed, lesson.data_hash, names]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
