"""Scoring a registered model anew, by the project's own pipeline, for a comparison."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vertebra_ml.errors import ModelError

if TYPE_CHECKING:
    from vertebra_ml.config import Params
    from vertebra_ml.tracking.evidence import Scored

PROJECT, SCRIPT, REPORTS = Path(), "pipelines.rescore", Path("reports")


def rescored(params: "Params", name: str, version: str) -> "Scored":
    """Return how a registered version does on the test cases of the project in this folder.

    Raises ModelError for a name that the project does not publish, and where it cannot be scored.
    """
    from vertebra_ml import tracking
    from vertebra_ml.tracking.evidence import SCANS, TABLE, read_scored
    from vertebra_ml.tracking.inputs import evaluated_on

    kinds = {registered: kind for kind, registered in params.tracking.registered.items()}
    if name not in kinds or not Path("pipelines/rescore.py").is_file():
        raise ModelError(
            f"--rescore {name}",
            found="a model or a folder of no pipeline",
            expected=f"one of {', '.join(kinds)}, in the folder of the project",
            fix="go to the project's folder, or promote with --force and say why",
        )
    kind = kinds[name]
    folder, _ = tracking.fetch(f"models:/{name}/{version}")
    with tempfile.TemporaryDirectory() as out:
        _run(kind, folder, out)
        table, scans = ((Path(out) / file).read_bytes() for file in (TABLE, SCANS))
    made = evaluated_on(PROJECT, REPORTS / kind)
    return read_scored(f"{name} version {version}", version, table, scans, made)


def _run(kind: str, folder: Path, out: str) -> None:
    """Score in a process of its own; its bar is shown where somebody watches."""
    words = [sys.executable, "-m", SCRIPT, kind, str(folder), out]
    said = b""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.stderr and (part := os.read(process.stderr.fileno(), 4096)):
            said = (said + part)[-4096:]
            if sys.stderr.isatty():
                os.write(2, part)
    if process.returncode:
        last = (said.decode(errors="replace").strip().splitlines() or ["nothing said"])[-1]
        raise ModelError(
            f"python -m {SCRIPT} {kind}",
            found=last[:500],
            expected="the version in production scored on the test cases at hand",
            fix="mend that, or promote with --force and say why",
        )
