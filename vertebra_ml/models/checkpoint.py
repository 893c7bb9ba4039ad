"""The state of a training on disk: weights, optimizer, best weights, history, in one file."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.models.contract import Settings
from vertebra_ml.models.schedule import settled

Weights = list[NDArray[np.float32]]

MEMORY: Final = 0.995
"""Weights are averaged over about the last 200 steps: single steps jump about."""


@dataclass
class Progress:
    """How far a training has come; it grows by an epoch at a time."""

    history: list[dict[str, float]] = field(default_factory=list)
    best: Weights = field(default_factory=list)
    best_epoch: int = 0
    average: Weights = field(default_factory=list)
    steps: int = 0

    def smooth(self, weights: Weights) -> None:
        """Take the weights after one step into the running average."""
        self.steps += 1
        # Young averages forget fast: the first steps are not worth remembering.
        share = 1 - min(MEMORY, self.steps / (self.steps + 9))
        self.average = self.average or [np.array(weight) for weight in weights]
        for mean, weight in zip(self.average, weights, strict=True):
            mean += (share * (weight - mean)).astype(mean.dtype)  # a counter stays whole

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def add(self, figures: dict[str, float]) -> None:
        """Take in one epoch; keep its average where its ``error`` is the least so far.

        Of epochs whose learning rate has fallen, as soon as there is one (``schedule.settled``).
        """
        before = settled(self.history) if self.history else False
        least = self.history[self.best_epoch - 1]["error"] if self.history else np.inf
        self.history.append({"epoch": float(self.epoch + 1), **figures})
        if figures["error"] < least or (settled(self.history) and not before) or not self.best:
            self.best = [np.array(weight) for weight in self.average]
            self.best_epoch = self.epoch

    def table(self) -> str:
        """Return the history as CSV."""
        names = list(self.history[0])
        lines = [",".join(f"{row[name]:.6g}" for name in names) for row in self.history]
        return "\n".join([",".join(names), *lines]) + "\n"


def fingerprint(
    settings: Settings, seed: int, data_hash: str, names: list[str], start: Mapping[str, str]
) -> str:
    """Name a training: a checkpoint of another one is not gone on with."""
    content = json.dumps([asdict(settings), seed, data_hash, names, dict(start)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def save(network: Any, path: Path, mark: str, progress: Progress) -> None:
    """Write the state in one step: a kill leaves the epoch before or this one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part.npz")
    state = {
        "mark": mark,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "steps": progress.steps,
    }
    arrays = {f"weight_{i}": w for i, w in enumerate(network.get_weights())}
    arrays |= {f"best_{i}": w for i, w in enumerate(progress.best)}
    arrays |= {f"average_{i}": w for i, w in enumerate(progress.average)}
    arrays |= {f"chance_{i}": np.asarray(v) for i, v in enumerate(_chances(network))}
    arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(network.optimizer.variables)}
    np.savez(part, state=np.array(json.dumps(state)), **arrays)
    os.replace(part, path)  # noqa: PTH105 - one atomic step


def resume(network: Any, path: Path, mark: str) -> Progress:
    """Bring ``network`` to where the checkpoint of the same training stands, if there is one."""
    network.optimizer.build(network.trainable_variables)
    if not path.exists():
        return Progress()
    with np.load(path) as file:
        state = json.loads(str(file["state"]))
        if state["mark"] != mark:
            return Progress()
        arrays = {
            part: [file[f"{part}_{i}"] for i in range(_count(file.files, part))]
            for part in ("weight", "best", "average", "optimizer", "chance")
        }
    network.set_weights(arrays["weight"])
    variables = [*network.optimizer.variables, *_chances(network)]
    values = [*arrays["optimizer"], *arrays["chance"]]
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return Progress(
        state["history"], arrays["best"], state["best_epoch"], arrays["average"], state["steps"]
    )


def _chances(network: Any) -> list[Any]:
    """Where the random numbers of each dropout stand: variables that are no weights."""
    return [v for v in network.variables if v.name == "seed_generator_state"]


def _count(names: list[str], part: str) -> int:
    return sum(name.startswith(f"{part}_") for name in names)
