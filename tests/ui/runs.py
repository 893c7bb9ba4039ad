"""Two small trainings of different settings, published as the pipeline would."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from vertebra_ml import tracking
from vertebra_ml.errors import GateError

EXPERIMENT, NAME = "vertebra-ml", "vertebra-slice-spotter"
SETTINGS: dict[str, dict[str, Any]] = {
    "better": {
        "architecture": "compact",
        "loss": "bce",
        "learning_rate": 0.001,
        "batch": 8,
        "target_sigma_mm": 4.0,
    },
    "worse": {
        "architecture": "kanavati",
        "loss": "focal",
        "learning_rate": 0.01,
        "batch": 4,
        "target_sigma_mm": 6.0,
    },
}
NUMBERS = {
    "better": {"median_mm": 0.53, "gross_rate": 0.0, "presence_right": 0.98, "mean_mm": 0.7},
    "worse": {"median_mm": 4.75, "gross_rate": 0.11, "presence_right": 0.85, "mean_mm": 6.2},
}
CODE = """
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Nothing(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
        return []


set_model(Nothing())
"""


def two_runs(uri: str, place: Path) -> dict[str, str]:
    """Train and publish, so to speak; the worse one fails its gate. Returns their ids."""
    return {which: _one(uri, place / which, which) for which in SETTINGS}


def _one(uri: str, place: Path, which: str) -> str:
    place.mkdir(parents=True)
    model, reports, code = place / "model", place / "reports", place / "served.py"
    code.write_text(CODE)
    contract = {
        "settings": {**SETTINGS[which], "levels": ["T12", "L3"], "epochs": 12},
        "projection": {"spacing_mm": 1.0, "sagittal_slab_mm": 60.0},
        "seed": 20261121,
        "data_hash": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    }
    _write_reports(reports, which)
    model.mkdir()
    (model / "model.json").write_text(json.dumps({"kind": "slice_spotter", **contract}))
    (model / "model.weights.h5").write_bytes(which.encode())
    with tracking.start_training_run(
        uri=uri, experiment=EXPERIMENT, kind="slice_spotter", settings=contract,
        state=place / "state.json",
        table=pd.DataFrame({"case": ["a", "b"], "part": ["train", "validation"]}),
    ) as run:  # fmt: skip
        slow = 1 if which == "better" else 4
        for epoch in range(1, 13):
            falling = float(np.exp(-epoch / (3 * slow)))
            run.log_epoch(epoch, {"loss": 0.1 * slow + falling, "error": 20 * slow * falling})
        run.log_model_folder(model)
    with suppress(GateError):
        tracking.publish(model, reports, uri=uri, experiment=EXPERIMENT, registered=NAME, code=code)
    return run.id


def _write_reports(folder: Path, which: str) -> None:
    (folder / "worst").mkdir(parents=True)
    numbers = NUMBERS[which]
    metrics = {
        "overall": numbers | {"median_mm_low": 0.8 * numbers["median_mm"], "levels": 269},
        "levels": {level: {"median_mm": numbers["median_mm"]} for level in ("T12", "L3")},
    }
    passed = which == "better"
    verdict = {"passed": passed, "failures": [] if passed else ["gross_rate <= 0.05"]}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "verdict.json").write_text(json.dumps(verdict))
    (folder / "report.html").write_text("<h1>The report of this run</h1>")
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))).save(
        folder / "worst" / "a.png"
    )
