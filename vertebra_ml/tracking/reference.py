"""The reference that travels with a model: kept with its run, among the reports."""

from pathlib import Path
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.registry import fetch

REFERENCE: Final = "reports/reference.csv"


def reference_of(model: str, uri: str | None = None) -> Path:
    """Return the ``reference.csv`` of a registered model.

    Raises ModelError where the registry does not hold the model, or its run no reference.
    """
    _, identity = fetch(model, uri)
    try:
        return Path(mlflow.artifacts.download_artifacts(f"runs:/{identity.run}/{REFERENCE}"))
    except (MlflowException, OSError) as error:
        raise ModelError(
            model,
            found=f"no {REFERENCE} with its run",
            expected="one that the stage reference made",
            fix="run `dvc repro`, which publishes it, or give --reference",
        ) from error
