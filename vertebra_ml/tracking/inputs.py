"""What an evaluation was made from, as ``dvc.lock`` says it: equal ids are then equal images."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import yaml

from vertebra_ml.tracking.provenance import md5

INPUTS_TAG: Final = "evaluated_on"
"""Of a run: the hash of the test cases that it was measured on."""
TABLE: Final = "table.csv"
FILES: Final = ("data", "prepared/split.csv", "vertebra_ml/phantom", "pipelines/drawn.py")
"""What the test cases and their images come from, among the dependencies of ``evaluate``."""
PARAMS: Final = ("seed", "data")


def evaluated_on(project: Path, reports: Path) -> str:
    """Return a hash of the test cases that ``reports``, of a project, were measured on.

    Empty where ``dvc.lock`` does not speak of these very reports: it must name their table by its
    present hash.
    """
    table = md5(project / reports / TABLE)
    for stage in _stages(project / "dvc.lock"):
        outs = {out["path"]: out.get("md5") for out in stage.get("outs", ())}
        if outs.get(f"{reports.as_posix()}/{TABLE}") == table:
            return _hash(stage)
    return ""


def _hash(stage: dict[str, Any]) -> str:
    made = {each["path"]: each.get("md5") for each in stage.get("deps", ())}
    asked: dict[str, Any] = next(iter(stage.get("params", {}).values()), {})
    facts = {name: made.get(name) for name in FILES}
    facts |= {f"params.{name}": asked.get(name) for name in PARAMS}  # one is `data` like the folder
    facts["phantoms"] = asked.get("evaluate", {}).get("phantoms")
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _stages(path: Path) -> list[dict[str, Any]]:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return list(content.get("stages", {}).values()) if isinstance(content, dict) else []
