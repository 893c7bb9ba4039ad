"""The command over a dozen scans with two processes and a real network, killed and repeated."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.layouts import Grid, make_scan
from tests.many.conftest import ROOT, killed
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.cli import app
from vertebra_ml.many.journal import NAME
from vertebra_ml.prepare import project
from vertebra_ml.readers.writers import write_nifti
from vertebra_ml.volume import Volume

COUNT = 12
PROJECTION = {"spacing_mm": 1.0, "body_threshold_hu": -300, "slab_mm": 60.0}


def scan_of(seed: int) -> Volume:
    volume = make_scan(Grid(("RAS", "LPS", "PIR")[seed % 3]))
    noise = np.random.default_rng(seed).integers(-9, 10, volume.shape)
    return Volume((volume.array + noise).astype(np.int16), volume.affine)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Write two CTs for each MIP archive."""
    (tmp_path / "scans").mkdir()
    paths = []
    for number in range(COUNT):
        volume, name = scan_of(number), f"scan-{number:02d}"
        path = tmp_path / "scans" / f"{name}{'.npz' if number % 3 == 2 else '.nii.gz'}"
        if path.suffix == ".npz":
            pair = project(volume, **PROJECTION)
            write_archive(path, Archive(name, name, "plain", pair, volume.origin, None))
        else:
            write_nifti(path, volume)
        paths.append(path)
    return paths


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["locate", *map(str, words)])
    assert result.exit_code == 0, result.output
    assert f"{COUNT} of {COUNT} scans located" in result.stdout
    return str(result.stdout)


def test_killed_and_repeated_it_is_as_if_never_killed(
    tmp_path: Path, paths: list[Path], untrained: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    words = [*paths, "--model", untrained, "--format", "csv,json,verse"]
    run(*words, "--out", whole, "--workers", 1)

    program = Path(sys.executable).parent / "vertebra-ml"
    running = subprocess.Popen(
        [program, "locate", *map(str, words), "--out", out, "--workers", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    journal = out / NAME
    killed(running, journal)
    done = journal.read_bytes()
    assert not (out / "slices.csv").exists()
    with journal.open("ab") as file:
        file.write(done[: len(done) // 7])  # a line that a kill has cut off

    run(*words, "--out", out, "--workers", 1)
    assert journal.read_bytes().startswith(done)
    assert journal.read_bytes().count(b"\n") == COUNT
    assert (out / "slices.csv").read_bytes() == (whole / "slices.csv").read_bytes()
    listed = {path.name for path in whole.iterdir()}
    assert {path.name for path in out.iterdir() if not path.name.endswith(".part")} == listed
    assert len(json.loads((out / "slices.json").read_text())["cases"]) == COUNT


def test_two_ways_at_once_are_wrong_usage(tmp_path: Path) -> None:
    words = ["locate", "a.nii", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9"]
    result = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "expected one of the two" in result.stderr
    assert not (tmp_path / "out").exists()
