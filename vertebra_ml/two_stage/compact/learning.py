"""Both networks learn, one after the other; then what the reader wants to know is measured."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from vertebra_ml.models.checkpoint import Progress
from vertebra_ml.models.contract import HISTORY, replace_text
from vertebra_ml.two_stage import weights
from vertebra_ml.two_stage.architectures import Lesson
from vertebra_ml.two_stage.compact import calibration, detection, identification
from vertebra_ml.two_stage.compact.grey import OUTSIDE, STEP, tensor
from vertebra_ml.two_stage.compact.networks import NETWORKS
from vertebra_ml.two_stage.compact.samples import Batch, Sample, ahead, read_samples
from vertebra_ml.two_stage.compact.teaching import (
    detection_batch,
    identification_batch,
    spine_targets,
)
from vertebra_ml.two_stage.school import (
    Course,
    as_history,
    of_stage,
    optimizer,
    precision,
    teach,
)
from vertebra_ml.two_stage.settings import Training

MEASURED: Final = 40
"""Validation scans that detection is measured on after each epoch: it is soon good enough."""


def learn(lesson: Lesson) -> dict[str, float]:
    """Train both networks, write their weights and ``history.csv``; return the reader's numbers.

    Raises DatasetError for a sample that cannot be read.
    """
    finder, found = _detection(lesson)
    namer, named, thresholds = _identification(lesson, found.epoch)
    weights.save({"detection": finder, "identification": namer}, NETWORKS, lesson.folder)
    history = as_history({"detection": found, "identification": named})
    replace_text(lesson.folder / HISTORY, history)
    for stage in NETWORKS:
        _checkpoint(lesson, stage).unlink(missing_ok=True)
    if (folder := _checkpoint(lesson, "detection").parent).exists():
        folder.rmdir()
    return thresholds


def _detection(lesson: Lesson) -> tuple[Any, Progress]:
    keras.utils.set_random_seed(lesson.seed)
    samples = {part: _samples(lesson, paths) for part, paths in lesson.detection.items()}
    held = samples["validation"][:: max(1, len(samples["validation"]) // MEASURED)]
    targets = {id(sample): spine_targets(sample) for sample in [*samples["train"], *held]}
    with precision(lesson.settings.precision):
        network = detection.network()
    training = lesson.settings.detection
    network.compile(optimizer(training.learning_rate), loss=detection.loss, jit_compile=False)

    def batches(epoch: int) -> Iterator[Batch]:
        def make(step: int) -> Batch:
            seed = (lesson.seed, 0, epoch, step)
            return detection_batch(samples["train"], targets, training.batch, seed)

        return ahead(make, training.steps_per_epoch)

    measure = partial(_dice, samples=held, targets=targets)
    progress = teach(network, _course(lesson, "detection", batches, measure, 0))
    return network, progress


def _identification(lesson: Lesson, before: int) -> tuple[Any, Progress, dict[str, float]]:
    keras.utils.set_random_seed(lesson.seed + 1)
    samples = {
        part: [sample for sample in _samples(lesson, paths) if len(sample.arrays["labels"])]
        for part, paths in lesson.identification.items()
    }
    with precision(lesson.settings.precision):
        network = identification.network()
    training = lesson.settings.identification
    network.compile(optimizer(training.learning_rate), loss=identification.loss, jit_compile=False)

    def batches(epoch: int) -> Iterator[Batch]:
        def make(step: int) -> Batch:
            seed = (lesson.seed, 1, epoch, step)
            return identification_batch(samples["train"], training.batch, seed)

        return ahead(make, training.steps_per_epoch)

    held = samples["validation"]
    measure = partial(calibration.measure, samples=held)
    course = _course(lesson, "identification", batches, measure, before)
    progress = teach(network, course)
    return network, progress, calibration.thresholds(network, held)


def _course(lesson: Lesson, stage: str, batches: Any, measure: Any, before: int) -> Course:
    """Say how a network is taught, after ``before`` epochs of another."""

    def on_epoch(number: int, figures: dict[str, float]) -> None:
        lesson.on_epoch(before + number, of_stage(stage, figures))

    training: Training = getattr(lesson.settings, stage)
    path = _checkpoint(lesson, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    return Course(training, batches, measure, path, _mark(lesson, stage), on_epoch)


def _dice(network: Any, samples: Sequence[Sample], targets: Mapping[int, Any]) -> dict[str, float]:
    """Return figures of detection on whole scans: the mean Dice, and the part of spine missed."""
    dices, missed = [], []
    for sample in samples:
        codes, truth = sample.arrays["codes"], targets[id(sample)]
        values = np.where(codes == OUTSIDE, 0, codes).astype(np.float32) * np.float32(STEP)
        picture = detection.padded(tensor(values, codes != OUTSIDE))
        logits = network.predict_on_batch(picture[None])[0, ..., 0]
        spine = logits[tuple(slice(0, size) for size in codes.shape)] > 0
        both = float((spine & (truth == 1)).sum())
        dices.append((2 * both + 1) / (float(spine.sum()) + float((truth == 1).sum()) + 1))
        missed.append(1 - (both + 1) / (float((truth == 1).sum()) + 1))
    dice = float(np.mean(dices))
    return {"dice": dice, "missed": float(np.mean(missed)), "error": 1 - dice}


def _samples(lesson: Lesson, paths: Sequence[Path]) -> list[Sample]:
    return read_samples(paths, lambda name: lesson.settings.share(lesson.groups[name]))


def _checkpoint(lesson: Lesson, stage: str) -> Path:
    return lesson.folder.parent / f".{lesson.folder.name}.checkpoint" / f"{stage}.npz"


def _mark(lesson: Lesson, stage: str) -> str:
    """Name the training of one network: how the other is taught does not matter to it."""
    names = [path.name for paths in getattr(lesson, stage).values() for path in paths]
    settings = asdict(lesson.settings)
    for other in set(NETWORKS) - {stage}:
        settings.pop(other)
    content = [settings, lesson.seed, lesson.data_hash, names, stage]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
