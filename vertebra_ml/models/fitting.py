"""Training: batches from seeds, whole-picture validation, checkpoints that survive a kill."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from vertebra_ml.augment import Sample
from vertebra_ml.errors import ModelError
from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.batches import Teaching, epoch_batches, read_samples, validation_samples
from vertebra_ml.models.checkpoint import Progress, fingerprint, resume, save
from vertebra_ml.models.contract import HISTORY, WEIGHTS, Contract, Settings, replace_text
from vertebra_ml.models.losses import LOSSES
from vertebra_ml.models.schedule import Schedule
from vertebra_ml.models.slice_spotter import decoder
from vertebra_ml.models.starting import begin, read_start
from vertebra_ml.models.validation import (
    best_answer_threshold,
    best_presence_threshold,
    measure,
)

log = logging.getLogger(__name__)

ASKED_WEIGHT: Final = 3.0
"""A level that is answered counts this much more than one that is only learnt beside it."""

STEP_DOWN: Final = 0.5
"""What the learning rate is multiplied by where validation has not improved for a third of the
patience."""

SETTLE: Final = 0.4
"""Over this last part of the training the learning rate falls to LEAST of what it was."""

LEAST: Final = 0.02
KIND: Final = "slice_spotter"
CLIP: Final = 1.0
DECAY: Final = 1e-4


@dataclass(frozen=True, eq=False)
class Lesson:
    """All that an epoch needs."""

    settings: Settings
    samples: Sequence[Sample]
    validation: Sequence[Sample]
    teaching: Teaching
    seed: int


def train(
    settings: Mapping[str, Any],
    projection: Mapping[str, Any],
    archives: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    seed: int,
    data_hash: str,
    on_epoch: Callable[[int, dict[str, float]], None],
    start: Path | None = None,
    limits: Mapping[str, Any] | None = None,
) -> None:
    """Train a slice spotter and write ``model.json``, ``model.weights.h5``, ``history.csv``.

    Parameters
    ----------
    settings : the section ``models.slice_spotter`` of the params, plain values.
    projection : the section ``projection``: how the archives were made.
    archives : paths of MIP archives, under ``train`` and ``validation``.
    folder : the model folder; a checkpoint lies beside it until training ends, and a training
        that was killed goes on from there.
    seed : of every random choice.
    data_hash : of the training data, kept in ``model.json``.
    on_epoch : called after each epoch with its number, from 1, and its figures.
    start : folder of a slice spotter of the same architecture whose weights are gone on from;
        None for the folder ``start_from`` of the settings, or at random where that is empty.
    limits : the section ``limits`` of the params, which a scan is held against when it is answered;
        None for none.

    Raises ModelError for an unknown setting and for a start that does not fit, DatasetError for
    archives that are not.
    """
    known = Settings.of(settings, "models.slice_spotter")
    if start is None and known.start_from:
        start = Path(known.start_from)
    begun = None if start is None else read_start(start, KIND, known)
    facts = {} if begun is None else begun.facts
    keras.utils.set_random_seed(seed)
    lesson = _lesson(known, archives, seed)
    network = compiled(known)
    if begun is not None:
        begin(network, known.heads, begun)
    names = [path.name for part in archives.values() for path in part]
    mark = fingerprint(known, seed, data_hash, names, facts)
    path = folder.parent / f".{folder.name}.checkpoint" / "state.npz"
    progress = resume(network, path, mark)
    while schedule(known).spent(progress.history) < 1.0:
        _epoch(network, lesson, progress)
        save(network, path, mark, progress)
        on_epoch(progress.epoch, progress.history[-1])
    network.set_weights(progress.best)
    presence = best_presence_threshold(network, lesson.validation, known)
    reader = decoder(known, presence)
    answer = best_answer_threshold(network, lesson.validation, reader, known)
    contract = Contract(
        kind=KIND,
        settings=known,
        preparation=dict(projection),
        thresholds={"presence": presence, "answer": answer, "warning": known.warning_score},
        seed=seed,
        data_hash=data_hash,
        limits=dict(limits or {}),
        start=facts,
    )
    _write(folder, network, contract, progress)
    path.unlink(missing_ok=True)
    if path.parent.exists():
        path.parent.rmdir()


def compiled(settings: Settings) -> Any:
    """Build the network of ``settings`` with its loss and optimizer."""
    shape = architecture(settings.architecture)
    network = shape.network(len(settings.heads))
    network.compile(
        optimizer=keras.optimizers.AdamW(
            settings.learning_rate, weight_decay=DECAY, global_clipnorm=CLIP
        ),
        loss=LOSSES[shape.activation, settings.loss],
        jit_compile=False,  # one program for every height; slower to start and to run compiled
    )
    return network


def _lesson(settings: Settings, archives: Mapping[str, Sequence[Path]], seed: int) -> Lesson:
    shape, heads = architecture(settings.architecture), settings.heads
    counts = [len(archives[part]) for part in ("train", "validation")]
    if 0 in counts:
        raise ModelError(
            "training",
            found=f"{counts[0]} training and {counts[1]} validation scans",
            expected="at least one of each",
            fix="add scans or phantoms",
        )
    weights = np.array([ASKED_WEIGHT if level in settings.levels else 1.0 for level in heads])
    return Lesson(
        settings=settings,
        samples=read_samples(archives["train"], heads, shape),
        validation=validation_samples(
            read_samples(archives["validation"], heads, shape), settings.validation_fields, seed
        ),
        teaching=Teaching(
            heads, tuple(weights / weights.mean()), settings.target, settings.target_sigma_mm
        ),
        seed=seed,
    )


def schedule(settings: Settings) -> Schedule:
    """Return when the learning rate falls and the training ends."""
    return Schedule(settings.epochs, settings.minutes, settings.patience, SETTLE, LEAST)


def _epoch(network: Any, lesson: Lesson, progress: Progress) -> None:
    start, settings = time.perf_counter(), lesson.settings
    rate = _learning_rate(progress, settings)
    network.optimizer.learning_rate = rate
    batches = epoch_batches(
        lesson.samples,
        lesson.teaching,
        settings.batch,
        settings.steps_per_epoch,
        (lesson.seed, progress.epoch),
    )
    losses = []
    for inputs, targets, weights in batches:
        losses.append(float(network.train_on_batch(inputs, targets, sample_weight=weights)))
        progress.smooth(network.get_weights())
    figures = {"loss": float(np.mean(losses)), "learning_rate": rate}
    last = network.get_weights()
    network.set_weights(progress.average)
    figures |= measure(
        network, lesson.validation, decoder(settings, settings.presence_threshold), settings
    )
    network.set_weights(last)
    progress.add(figures | {"seconds": time.perf_counter() - start})
    log.info("epoch %d: %s", progress.epoch, figures)


def _learning_rate(progress: Progress, settings: Settings) -> float:
    waits = max(1, settings.patience // 3)
    steps, stale = 0, 0
    best = np.inf
    for row in progress.history:
        stale = 0 if row["error"] < best else stale + 1
        best = min(best, row["error"])
        if stale >= waits:
            steps, stale = steps + 1, 0
    fall = schedule(settings).fall(progress.history)
    return float(settings.learning_rate * fall * STEP_DOWN**steps)


def _write(folder: Path, network: Any, contract: Contract, progress: Progress) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".part.{WEIGHTS}"
    # A fresh network: the compiled one would take the optimizer along.
    plain = architecture(contract.settings.architecture).network(len(contract.settings.heads))
    plain.set_weights(network.get_weights())
    plain.save_weights(part)
    part.replace(folder / WEIGHTS)
    replace_text(folder / HISTORY, progress.table())
    contract.write(folder)
