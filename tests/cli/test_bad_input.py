"""Bad input on the command line: a line each, status 1, nothing half written, the rest done."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.layouts import make_scan
from vertebra_ml.cli import app
from vertebra_ml.readers.writers import write_nifti

Maker = Callable[[Path], Path]


def _truncated(folder: Path) -> Path:
    whole = folder / "whole.nii.gz"
    write_nifti(whole, make_scan())
    path = folder / "truncated.nii.gz"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return path


def _no_images(folder: Path) -> Path:
    path = folder / "holiday"
    path.mkdir()
    (path / "notes.txt").write_text("no image here")
    return path


def _text(folder: Path) -> Path:
    path = folder / "text.nii.gz"
    path.write_text("this is not a scan")
    return path


def _flat(folder: Path) -> Path:
    path = folder / "flat.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((64, 64), np.int16), np.eye(4)), path)
    return path


def _nan_affine(folder: Path) -> Path:
    whole = folder / "good.nii"
    write_nifti(whole, make_scan())
    content = bytearray(whole.read_bytes())
    content[280:284] = np.array([np.nan], "<f4").tobytes()  # srow_x[0] of the NIfTI-1 header
    path = folder / "nan.nii.gz"
    path.write_bytes(gzip.compress(bytes(content)))
    return path


def _nothing(folder: Path) -> Path:
    return folder / "lost.nii.gz"


def _picture(folder: Path) -> Path:
    path = folder / "picture.png"
    path.write_bytes(b"\x89PNG")
    return path


BAD: dict[str, tuple[Maker, str]] = {
    "truncated": (_truncated, "truncated.nii.gz"),
    "folder without images": (_no_images, "holiday"),
    "text": (_text, "text.nii.gz"),
    "2D image": (_flat, "flat.nii.gz"),
    "NaN affine": (_nan_affine, "nan.nii.gz"),
    "nothing there": (_nothing, "lost.nii.gz"),
    "unknown ending": (_picture, "picture.png"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line_and_the_rest_is_finished(name: str, tmp_path: Path, untrained: Path) -> None:
    make, named = BAD[name]
    bad = make(tmp_path)
    good = tmp_path / "fine.nii.gz"
    write_nifti(good, make_scan())
    out = tmp_path / "out"
    words = ["locate", str(bad), str(good), "--model", str(untrained), "--out", str(out)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, result.output
    assert named in lines[0]
    assert "found" in lines[0]
    assert "expected" in lines[0]
    with (out / "slices.csv").open() as table:
        assert {row["case"] for row in csv.DictReader(table)} == {"fine"}
    assert sorted(path.name for path in out.iterdir()) == ["slices.csv", "slices.json"]


def test_wrong_usage_is_status_2() -> None:
    assert CliRunner().invoke(app, ["locate"]).exit_code == 2


def test_a_model_that_is_none_is_one_line(tmp_path: Path) -> None:
    scan = tmp_path / "fine.nii.gz"
    write_nifti(scan, make_scan())
    result = CliRunner().invoke(app, ["locate", str(scan), "--model", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error:")


def test_all_good_is_status_0(tmp_path: Path, untrained: Path) -> None:
    scan = tmp_path / "fine.nii.gz"
    write_nifti(scan, make_scan())
    words = ["locate", str(scan), "--model", str(untrained), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--overlay"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "fine.png").read_bytes().startswith(b"\x89PNG")
