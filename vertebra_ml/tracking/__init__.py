"""The only door to MLflow: runs, registry, promotion.

    start_training_run   a run that is live while it trains and goes on after a kill
    publish              the run and the registered version of a model folder, once
    models, fetch        what is registered; the folder of a registered model
    promote, rollback    which version answers as production
    weigh, audit_of      how two versions compare; who promoted what, when and why

``uri`` is a tracking store everywhere: ``sqlite:///mlflow.db``, a server's http address, or None
for MLflow's own choice (``MLFLOW_TRACKING_URI``).
"""

import os

# Read once, when mlflow is imported, and only from the environment.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Its bars over files of a few kB would stand between our lines.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# A packed model names its packages itself; our uv.lock beside it would be preferred, and wants
# a project to build.
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")

from vertebra_ml.tracking.example import made_up_scan
from vertebra_ml.tracking.promotion import audit_of, in_production, promote, rollback, weigh
from vertebra_ml.tracking.publish import Published, publish
from vertebra_ml.tracking.registry import fetch, identity, models
from vertebra_ml.tracking.runs import TrainingRun, start_training_run
from vertebra_ml.tracking.weighing import Weighing

__all__ = [
    "Published",
    "TrainingRun",
    "Weighing",
    "audit_of",
    "fetch",
    "identity",
    "in_production",
    "made_up_scan",
    "models",
    "promote",
    "publish",
    "rollback",
    "start_training_run",
    "weigh",
]
