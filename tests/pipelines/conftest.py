"""A small project for tests that run real stages: the code, tiny data, a short training."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.layouts import POINTS_MM, TRUTH, Grid, make_scan
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

CHANGES = {
    "phantoms.train": {"trunks": 1, "scans": 1}, "phantoms.validation": {"trunks": 1, "scans": 0},
    "phantoms.workers": 2,
    "models.slice_spotter.architecture": "compact",  # one network: half of two to build and trace
    "models.slice_spotter.epochs": 1, "models.slice_spotter.steps_per_epoch": 2,
    "models.slice_spotter.batch": 2, "models.slice_spotter.validation_fields": 1,
    "samples.phantoms.train": {"trunks": 1, "scans": 0},
    "samples.phantoms.validation": {"trunks": 1, "scans": 0},
    "models.two_stage.detection.epochs": 1, "models.two_stage.detection.steps_per_epoch": 1,
    "models.two_stage.detection.batch": 1, "models.two_stage.identification.epochs": 1,
    "models.two_stage.identification.steps_per_epoch": 1,
    "models.two_stage.identification.batch": 1,
    "evaluate.phantoms": 1, "evaluate.bootstrap": 50, "monitor.phantoms": 1,
    "gate.two_stage.id_rate_min": 0.0, "gate.two_stage.mean_mm_max": 1e6,
    "gate.two_stage.off_by_one_max": 1.0, "gate.two_stage.all_right_min": 0.0,
    "gate.median_mm_max": 1e6, "gate.gross_rate_max": 1.0, "gate.presence_min": 0.0,
}  # fmt: skip
"""Everything as short as it gets, and a quality gate that lets a model without skill pass."""


def scan_of(seed: int, grid: Grid | None = None) -> Volume:
    """Return the scan of ``tests.layouts`` with a noise of its own."""
    volume = make_scan(grid)
    noise = np.random.default_rng(seed).integers(-9, 10, volume.shape)
    return Volume((volume.array + noise).astype(np.int16), volume.affine)


def moved(**points_mm: tuple[float, float, float]) -> Truth:
    """Return the truth of these scans with some landmarks elsewhere."""
    return Truth(Landmarks.of(POINTS_MM | points_mm), TRUTH.visible)


def change_params(project: Path, changes: dict[str, object]) -> None:
    """Set dotted keys of the project's parameters."""
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = params
        for section in sections:
            place = place[section]
        assert last in place
        place[last] = value
    path.write_text(yaml.safe_dump(params))


def make_project(root: Path) -> Path:
    """Lay out the project's code and five small scans of four patients in ``root``."""
    for name in ("vertebra_ml", "pipelines", "serving"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, root / name)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    change_params(root, CHANGES)
    plain, verse = root / "data" / "plain", root / "data" / "verse"
    write_case(plain, "a1", scan_of(1), TRUTH, "plain", patient="a")
    write_case(plain, "a2", scan_of(2, Grid("PIR", (2.5, 2.5, 3.0))), TRUTH, "plain", patient="a")
    write_case(plain, "b", scan_of(3), TRUTH, "plain-dicom")
    write_case(plain, "c", scan_of(4), TRUTH, "plain")
    write_case(verse, "d", scan_of(5), TRUTH, "verse")
    return root


def runner(project: Path) -> Run:
    """Return what runs a command in the project, with this environment's programs first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(project / ".dvc" / "site"),
    }  # fmt: skip

    def call(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            words, cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the project's code and five small scans of four patients."""
    return make_project(tmp_path)


@pytest.fixture
def run(project: Path) -> Run:
    """Return what runs a command in the project."""
    return runner(project)
