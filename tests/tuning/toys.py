"""A search whose training is arithmetic: what is around it is real."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vertebra_ml.config import Search, Section
from vertebra_ml.tuning.space import Space
from vertebra_ml.tuning.trials import OnEpoch, Outcome

EPOCHS = 3


class Settings(Section):
    """What a toy is trained with."""

    rate: float
    batch: int
    epochs: int
    loss: str = "bce"


def space(trials: int = 12, search: str = "random", **changed: object) -> Space:
    """Return a search of a rate and a batch; the best rate is 0.01."""
    usual: dict[str, object] = {
        "search": search, "trials": trials, "workers": 1, "factor": 3, "short": {"epochs": EPOCHS},
        "space": {
            "rate": {"low": 0.0001, "high": 1.0, "scale": "log"},
            "batch": {"choices": [2, 4, 8]},
        },
    }  # fmt: skip
    settings = Settings(rate=0.5, batch=4, epochs=30)
    return Space("slice_spotter", settings, Search.model_validate(usual | changed))


@dataclass
class Toy:
    """Trains by writing errors; a rate above ``raises`` raises, above ``diverges`` is no number.

    Epochs are kept beside the folder, and gone on with, as a real training does.
    """

    seconds: float = 0.0
    raises: float = 2.0
    diverges: float = 2.0
    trained: list[str] = field(default_factory=list)

    def __call__(self, values: Mapping[str, Any], folder: Path, on_epoch: OnEpoch) -> None:
        self.trained.append(folder.parent.name)
        if values["rate"] > self.raises:
            raise ValueError("the rate is\nno good")
        checkpoint = folder.parent / ".model.checkpoint" / "epochs.json"
        done: list[float] = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
        for epoch in range(len(done) + 1, EPOCHS + 1):
            time.sleep(self.seconds)
            error = abs(values["rate"] - 0.01) + 1 / (epoch * values["batch"])
            done.append(float("nan") if values["rate"] > self.diverges else error)
            checkpoint.parent.mkdir(parents=True, exist_ok=True)
            part = checkpoint.with_suffix(".part")
            part.write_text(json.dumps(done))
            part.replace(checkpoint)
            on_epoch(epoch, {"loss": 1.0, "error": done[-1]})
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{epoch},1.0,{error:.6g}" for epoch, error in enumerate(done, 1)]
        (folder / "history.csv").write_text("\n".join(["epoch,loss,error", *lines]) + "\n")


@dataclass
class Heard:
    """Keeps what is told of one trial."""

    epochs: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.epochs.append(epoch)

    def ended(self, outcome: Outcome, epochs: Mapping[int, Mapping[str, float]]) -> None:
        self.outcomes.append(outcome)
        self.epochs = sorted({*self.epochs, *epochs})


@dataclass
class Ear:
    """Stands for the tracking store: the trials told of, and the best marked."""

    heard: dict[str, Heard] = field(default_factory=dict)
    best: str | None = None

    def watch(self, trial: str, values: Mapping[str, Any]) -> Heard:
        return self.heard.setdefault(trial, Heard())

    def mark_best(self, trial: str | None, figures: Mapping[str, float]) -> None:
        self.best = trial
