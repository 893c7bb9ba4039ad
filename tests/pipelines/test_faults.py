"""Faults planted in the files themselves stop the real stage, and its last line names the rows."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.split import check
from tests.layouts import TRUTH, Grid
from tests.pipelines.conftest import Run, change_params, moved, scan_of
from vertebra_ml.archive import read_archive, write_archive
from vertebra_ml.errors import GateError
from vertebra_ml.landmarks import Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import AIR_HU

SHARES = {"train": 0.5, "validation": 0.25, "test": 0.25}

CASES: dict[str, tuple[int, Truth, Grid]] = {
    "thick": (11, TRUTH, Grid(spacing_mm=(2.0, 2.0, 12.0))),
    "swap": (12, moved(T12=(-9.0, 20.5, 3.75), L1=(-11.5, 22.25, 28.0)), Grid()),
    "out": (13, moved(L3=(-8.0, 26.0, -400.0)), Grid()),
    "sub-d": (14, TRUTH, Grid()),
    "torn": (15, TRUTH, Grid()),
}
SAID = (
    "can be read [fault empty] broken by torn (found",
    "share an id [case unique] broken by sub-d (data/plain/sub-d), sub-d (data/verse/",
    "is there twice [fingerprint unique] broken by c (data/plain/c), c-again (data/plain/c-again)",
    "[spacing_largest_mm at most 10] broken by thick (2 2 12)",
    "from head to foot [out_of_order at most 0] broken by swap (T12-L1)",
    "inside the scan [outside at most 0] broken by out (L3)",
)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_raw_faults_stop_validate(project: Path, run: Run) -> None:
    plain = project / "data" / "plain"
    for name, (seed, truth, grid) in CASES.items():
        write_case(plain, name, scan_of(seed, grid), truth, "plain")
    shutil.copytree(plain / "c", plain / "c-again")
    _truncate(plain / "torn" / "ct.nii.gz")
    assert run("python", "-m", "pipelines.index").returncode == 0
    result = run("python", "-m", "pipelines.validate")
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith("gate raw: ")
    assert [said for said in SAID if said not in last] == [], last
    assert "Traceback" not in result.stderr
    assert (project / "reports" / "validation" / "raw.html").exists()


def test_mip_faults_stop_project(project: Path, run: Run) -> None:
    for stage in ("index", "validate", "split", "project"):
        result = run("python", "-m", f"pipelines.{stage}")
        assert result.returncode == 0, result.stderr
    # Where a stage keeps what it has finished: what lies there is taken again by the next run.
    (folder,) = (project / ".cache" / "mips").iterdir()
    _truncate(folder / "a1.npz")
    entry = read_archive(folder / "c.npz")
    views = [
        replace(mip, image=np.full_like(mip.image, AIR_HU))
        for mip in (entry.pair.frontal, entry.pair.sagittal)
    ]
    air = MipPair(views[0], views[1], entry.pair.spine_mm)
    write_archive(folder / "c.npz", replace(entry, pair=air))
    result = run("python", "-m", "pipelines.project")
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith("gate mips: ")
    assert "Traceback" not in result.stderr
    for said in (
        "archive can be read [fault empty] broken by a1 (found a file that cannot be read",
        "There is bone (HU) [hu_largest 200 to 32767] broken by c (-1024)",
        "A body was crossed [body_share at least 0.02] broken by c (0)",
    ):
        assert said in last


def test_a_split_without_the_level_is_refused(project: Path, run: Run) -> None:
    change_params(project, {"split.levels": ["T12", "T3"]})
    (project / "prepared").mkdir()
    scans = [
        {"case": name, "patient": name, "layout": "plain", "labels": "T12 L3", "fingerprint": name}
        for name in "abcd"
    ]
    pd.DataFrame(scans).to_csv(project / "prepared" / "scans.csv", index=False)
    result = run("python", "-m", "pipelines.split")
    assert result.returncode == 1
    assert result.stderr.startswith("split: found T3 in 0 of 4 patients")


def _split(**changes: str) -> pd.DataFrame:
    parts = {"a1": "train", "a2": "train", "b": "train", "c": "validation", "d": "test"} | changes
    rows = [
        {"case": case, "patient": case[0], "labels": "T12 L1 L3", "part": part}
        for case, part in parts.items()
    ]
    return pd.DataFrame(rows)


@pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
def test_split_faults_stop_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(_split(), SHARES, ("T12", "L3"))
    with pytest.raises(GateError, match=r"in two parts .* broken by a1 \(a\), a2 \(a\)"):
        check(_split(a2="test"), SHARES, ("T12", "L3"))
    with pytest.raises(GateError, match=r"each level .* broken by train \(C4\), validation \(C4\)"):
        check(_split(), SHARES, ("T12", "C4"))
    with pytest.raises(GateError, match=r"No part is empty .* broken by validation \(0\)"):
        check(_split(c="test"), SHARES, ("T12", "L3"))
