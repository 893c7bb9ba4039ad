"""One trial in a folder of its own: trained, gone on with, or what it came to before."""

import csv
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from vertebra_ml.errors import ModelError, VertebraError
from vertebra_ml.tuning.files import held, read_json, write_json

HISTORY: Final = "history.csv"
STARTS_MAX: Final = 5
"""A trial that ended its process so often before an epoch was done is not tried again."""
LINE: Final = 300  # characters of an error that are kept

OnEpoch = Callable[[int, dict[str, float]], None]
Train = Callable[[Mapping[str, Any], Path, OnEpoch], None]
"""Trains with these values into this folder, and leaves ``history.csv`` there.

It goes on with what it left beside the folder when it was killed."""
Epochs = dict[int, dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """What a trial came to: its error, or why there is none.

    ``error`` is the sum over its networks of the least validation error of an epoch, by which
    training chooses the epoch that it keeps; ``seconds`` are those since it was last begun.
    """

    error: float | None
    failure: str = ""
    seconds: float = 0.0


class Watched(Protocol):
    """Told how a trial goes."""

    def epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        """One epoch is done."""

    def ended(self, outcome: Outcome, epochs: Epochs) -> None:
        """The trial ended; ``epochs`` are all of it, also those from before a kill."""


Watch = Callable[[str, Mapping[str, Any]], Watched]
"""Opens what is told of the trial of this id and these values; the same again after a kill."""


class Diverged(ArithmeticError):
    """A figure of an epoch is no number."""


@dataclass(frozen=True)
class Task:
    """How trials are run: trained by ``train``, told to ``watch``, each below ``folder``."""

    train: Train
    watch: Watch
    folder: Path


def run(task: Task, trial: str, values: Mapping[str, Any]) -> Outcome:
    """Run a trial, or go on with it; one that had ended already is told again, not trained.

    Settings that cannot be trained with give an Outcome without error. What is wrong with the
    machine, the data or the watch is raised, and leaves the trial as it was.
    """
    place = task.folder / trial
    with held(place):
        watched = task.watch(trial, values)
        kept = read_json(place / "outcome.json")
        outcome = Outcome(**kept) if kept else _train(task.train, place, values, watched)
        epochs = read_epochs(place / "model" / HISTORY)
        if not kept:
            write_json(place / "outcome.json", asdict(outcome))  # before anybody is told
        watched.ended(outcome, epochs)
        for left in ("model", ".model.checkpoint"):
            shutil.rmtree(place / left, ignore_errors=True)
    return outcome


def read_epochs(path: Path) -> Epochs:
    """Return the figures of each epoch in a ``history.csv``; none where it is missing."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    return {int(row.pop("epoch")): row for row in rows}


def error_of(epochs: Epochs) -> float:
    """Return the sum over the networks of their least ``error``. Raises ModelError without one."""
    least: dict[str, float] = {}
    for figures in epochs.values():
        for name, value in figures.items():
            if name == "error" or name.endswith("_error"):
                least[name] = min(value, least.get(name, math.inf))
    if not least:
        raise ModelError(
            HISTORY, found="no column error", expected="the validation error of each epoch",
            fix="let training write it",
        )  # fmt: skip
    return math.fsum(least.values())


def _train(train: Train, place: Path, values: Mapping[str, Any], watched: Watched) -> Outcome:
    begun, starts = time.monotonic(), _starts(place)
    if starts > STARTS_MAX:
        said = f"ended its process {STARTS_MAX} times before an epoch was done (memory?)"
        return Outcome(None, said)
    listener = _Listener(watched, place)
    failure = ""
    try:
        train(values, place / "model", listener.hear)
        error: float | None = error_of(read_epochs(place / "model" / HISTORY))
    except (OSError, VertebraError) as fault:
        if listener.fault or not isinstance(fault, ModelError):
            raise  # not for the settings: the trial is begun again when that is mended
        error, failure = None, one_line(fault)
    except Exception as fault:  # a network may fail in any way
        if listener.fault:
            raise
        error, failure = None, one_line(fault)
    return Outcome(error, failure, time.monotonic() - begun)


@dataclass
class _Listener:
    """Stands between a training and its watch; remembers that it was the watch that failed."""

    watched: Watched
    place: Path
    fault: bool = False

    def hear(self, epoch: int, figures: dict[str, float]) -> None:
        self.fault = True
        self.watched.epoch(epoch, figures)
        write_json(self.place / "starts.json", 0)
        self.fault = False
        wrong = [
            name
            for name, value in figures.items()
            if name.endswith(("loss", "error")) and not math.isfinite(value)
        ]
        if wrong:
            raise Diverged(f"epoch {epoch}: {', '.join(wrong)} is no number")


def _starts(place: Path) -> int:
    starts = int(read_json(place / "starts.json") or 0) + 1
    write_json(place / "starts.json", starts)
    return starts


def one_line(error: BaseException) -> str:
    """Return an error in one line that is not too long."""
    text = " ".join(str(error).split())
    return (text if isinstance(error, ModelError) else f"{type(error).__name__}: {text}")[:LINE]
