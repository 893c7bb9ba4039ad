"""The whole pipeline by `dvc repro`: it runs, a second one runs nothing, a clone pulls it all."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipelines.conftest import Run, change_params
from vertebra_ml.monitor.reference import read_reference

KINDS = ("slice_spotter", "two_stage")
OF_A_KIND = ("train", "evaluate", "reference", "publish")
STAGES = ("index", "validate", "split", "project", "phantoms", "samples", "expected",
          *(f"{stage}@{kind}" for stage in OF_A_KIND for kind in KINDS))  # fmt: skip


def _ran(text: str) -> set[str]:
    return {line.split("'")[1] for line in text.splitlines() if line.startswith("Running stage")}


@pytest.mark.server
def test_repro(project: Path, run: Run) -> None:
    assert run("git", "init", "-q").returncode == 0
    assert run("dvc", "add", "-q", "data").returncode == 0
    first = run("dvc", "repro")
    assert first.returncode == 0, first.stderr[-3000:]
    assert _ran(first.stdout) == set(STAGES)
    gates = ("raw", "split", "mips", "phantoms", "detection", "identification")
    for gate in (*gates, *(f"{what}-{kind}" for what in ("inputs", "metrics") for kind in KINDS)):
        verdict = project / "reports" / "validation" / f"{gate}.verdict.json"
        assert json.loads(verdict.read_text())["passed"], gate
    for kind in KINDS:
        reference = read_reference(project / "reports" / kind / "reference.csv")
        assert set(reference["form"]) == {"ct", "mips"}
        assert reference["levels_found"].notna().sum() >= 2, "no scan of the test part was joined"
    second = run("dvc", "repro")
    assert second.returncode == 0
    assert _ran(second.stdout) == set()

    # A clone has what git tracks and the remote; it publishes to its own tracking server.
    assert run("dvc", "push").returncode == 0
    for name in ("data", "prepared", "models", "reports", ".dvc/cache", ".cache"):
        shutil.rmtree(project / name, ignore_errors=True)
    (project / "mlflow.db").unlink()
    lock = (project / "dvc.lock").read_text()
    pulled = run("dvc", "pull")
    assert pulled.returncode == 0, pulled.stderr
    third = run("dvc", "repro")
    assert third.returncode == 0, third.stderr
    assert _ran(third.stdout) == {f"publish@{kind}" for kind in KINDS}
    assert (project / "dvc.lock").read_text() == lock

    # A quality gate that is missed stops before anything is published.
    change_params(project, {"gate.median_mm_max": 0.001, "evaluate.phantoms": 0})
    fourth = run("dvc", "repro", "publish@slice_spotter")
    assert fourth.returncode != 0
    assert _ran(fourth.stdout) == {"evaluate@slice_spotter"}
    assert "gate metrics-slice_spotter: found Median error" in fourth.stderr
