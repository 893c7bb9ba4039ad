"""A model of no skill, a tracking store of its own, and what publishes the one to the other."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.test_tracking import CODE, HISTORY, METRICS, SETTINGS
from vertebra_ml import tracking
from vertebra_ml.tracking.runs import start_training_run

NAME, EXPERIMENT = "spotter", "tests"


@dataclass(frozen=True)
class Toy:
    """A folder with a local store and the files of one trained model."""

    root: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.root}/mlflow.db"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, registry_uri=self.uri)

    def write(self, weights: bytes = b"one") -> Path:
        """Write what a training and an evaluation leave; return the model's folder."""
        for name in ("model", "reports"):
            (self.root / name).mkdir(exist_ok=True)
        model, reports = self.root / "model", self.root / "reports"
        (model / "model.json").write_text(json.dumps({"kind": "slice_spotter", **SETTINGS}))
        (model / "model.weights.h5").write_bytes(weights)
        (model / "history.csv").write_text(HISTORY)
        (reports / "metrics.json").write_text(json.dumps(METRICS))
        (reports / "verdict.json").write_text(json.dumps({"passed": True, "failures": []}))
        (self.root / "served.py").write_text(CODE)
        return model

    def publish(self) -> tracking.Published:
        """Publish what was written."""
        return tracking.publish(
            self.root / "model", self.root / "reports", uri=self.uri, experiment=EXPERIMENT,
            registered=NAME, code=self.root / "served.py",
        )  # fmt: skip

    def train(self) -> None:
        """Do as the stage ``train``: three epochs."""
        state = self.root / "state" / "run.json"
        with start_training_run(
            uri=self.uri, experiment=EXPERIMENT, kind="slice_spotter", settings=SETTINGS,
            state=state,
        ) as run:  # fmt: skip
            for epoch in (1, 2, 3):
                run.log_epoch(epoch, {"loss": 1 / epoch, "error": 2 / epoch})
            run.log_model_folder(self.write())

    def runs(self) -> list[Run]:
        known = self.client.get_experiment_by_name(EXPERIMENT)
        assert known is not None
        return list(self.client.search_runs([known.experiment_id]))

    def versions(self) -> list[Any]:
        return list(self.client.search_model_versions(f"name = '{NAME}'"))

    def steps(self, run: str) -> list[int]:
        """Return the epochs that a run holds."""
        return [point.step for point in self.client.get_metric_history(run, "epoch/loss")]


def two_versions(root: Path) -> None:
    """Register two versions in a store below ``root``."""
    for weights in (b"one", b"two"):
        toy = Toy(root)
        toy.write(weights)
        toy.publish()
