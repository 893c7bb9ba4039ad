"""Train and evaluate on MIP archives alone: ours and the thesis's, no scan, no phantom."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.models.toys import archives
from tests.pipelines.conftest import Run, change_params
from tests.readers.archives import thesis_archive
from vertebra_ml.archive import read_archive

OURS, THEIRS = 5, 4
ALONE = {
    "data.sources": {"mips": "sarcopenia"},
    "phantoms.train": {"trunks": 0, "scans": 0},
    "phantoms.validation": {"trunks": 0, "scans": 0},
    "evaluate.phantoms": 0,
}
STAGES = ("index", "validate", "split", "project", "phantoms")


@pytest.mark.server
def test_mip_archives_alone_go_through_every_stage(project: Path, run: Run) -> None:
    shutil.rmtree(project / "data")
    archives(project / "data" / "mips" / "ours", OURS, rows=240)
    thesis_archive(project / "data" / "mips" / "RAW.npz", THEIRS)
    change_params(project, ALONE)
    for stage in STAGES:
        done = run("python", "-m", f"pipelines.{stage}")
        assert done.returncode == 0, f"{stage}: {done.stdout[-2000:]} {done.stderr[-3000:]}"

    names = {f"toy-{i}" for i in range(OURS)} | {f"RAW_exam{i}" for i in range(THEIRS)}
    split = pd.read_csv(project / "prepared" / "split.csv")
    assert set(split["case"]) == names
    assert set(split["part"]) == {"train", "validation", "test"}
    mips = pd.read_csv(project / "prepared" / "mips.csv")
    assert set(mips["case"]) == names
    assert set(mips["group"]) == {"sarcopenia"}
    entry = read_archive(project / "prepared" / "mips" / "RAW_exam1.npz")
    assert entry.truth is not None
    assert entry.truth.landmarks.labels == ("T12",)
    assert "L3" not in entry.truth.visible
    assert pd.read_csv(project / "prepared" / "phantoms.csv").empty

    done = run("python", "-m", "pipelines.train", "slice_spotter")
    assert done.returncode == 0, done.stderr[-3000:]
    learnt = f"{(split['part'] == 'train').sum()} archives to train"
    assert learnt in done.stdout

    # Two steps of training teach nothing: its gate may say so, but every case has its rows.
    done = run("python", "-m", "pipelines.evaluate", "slice_spotter")
    assert done.returncode == 0 or "gate metrics-slice_spotter" in done.stderr, done.stderr[-3000:]
    table = pd.read_csv(project / "reports" / "slice_spotter" / "table.csv")
    tested = set(split["case"][split["part"] == "test"])
    assert set(table["case"]) == tested
    assert set(table["level"]) == {"T12", "L3"}
    assert len(table) == 2 * len(tested)
    truths = {case: read_archive(project / f"prepared/mips/{case}.npz").truth for case in tested}
    for row in table.to_dict("records"):
        truth = truths[row["case"]]
        assert truth is not None
        assert row["present"] == (row["level"] in truth.landmarks)
    numbers = json.loads((project / "reports" / "slice_spotter" / "metrics.json").read_text())
    assert numbers["overall"]["cases"] == len(tested)
    assert yaml.safe_load((project / "params.yaml").read_text())["evaluate"]["phantoms"] == 0
