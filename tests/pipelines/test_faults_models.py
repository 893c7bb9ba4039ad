"""Faults planted before phantoms are kept, a model is trained, measured and published."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipelines import planted
from tests.pipelines.conftest import Run, change_params
from tests.pipelines.planted import change_archive, person, truncated
from tests.pipelines.test_faults import names, stopped
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.prepare import project as to_mips
from vertebra_ml.readers.writers import write_case

PROJECTION = {"spacing_mm": 1.0, "body_threshold_hu": -300, "slab_mm": 60.0}


def _archive(folder: Path, case: str, patient: str = "") -> Path:
    scan = person(len(case))
    pair = to_mips(scan, **PROJECTION)
    path = folder / f"{case}.npz"
    write_archive(path, Archive(case, patient or case, "plain", pair, scan.origin, planted.TRUTH))
    return path


PHANTOMS = {
    "a part of a trunk": ("labelled", "phantom-train-20261121", "7"),
    "truncated archive": ("fault", "phantom-scan-train-20761121", "found a file that cannot"),
    "a MIP of air": ("body_share", "phantom-validation-21261121", "0"),
}

KEPT = """
from pathlib import Path
from pipelines import people, phantoms
from pipelines.products import product_key
from pipelines.stage import projection_of
from vertebra_ml.config import load
params = load(Path("params.yaml"))
key = product_key(phantoms.MADE_BY, projection_of(params) | {"seed": params.seed})
print(*(f"{key}-{person.name}.npz" for person in people.people_of(params, params.phantoms)))
"""
"""Says under which names the stage ``phantoms`` keeps what it has finished."""


def test_phantom_faults_stop_phantoms(project: Path, run: Run) -> None:
    for name in run("python", "-c", KEPT).stdout.split():
        case = name.partition("-")[2].removesuffix(".npz")
        path = _archive(project / ".cache" / "phantoms", case)
        if "scan" in case:
            truncated(path)
        elif "validation" in case:
            change_archive(path, planted.air)
        path.replace(path.with_name(name))
    found = stopped(project, "phantoms", "phantoms")
    for rule, row, said in PHANTOMS.values():
        names(found, rule, row, said)


INPUTS = {
    "an archive that is not there": ("fault", "absent", "found no such file"),
    "truncated archive": ("fault", "torn", "found a file that cannot be read"),
    "another's archive": ("other", "other", "case good, patient good"),
    "other pixels": ("spacing_off_mm", "coarse", "0.5"),
    "a patient learnt from and tuned on": ("parts_of_patient", "p2", "p"),
    "a level that nobody labelled": ("levels_missing", "train", "L5"),
}


def test_input_faults_stop_train(project: Path) -> None:
    change_params(project, {"models.slice_spotter.levels": ["T12", "L5"]})
    folder = project / "prepared" / "mips"
    cases = ["good", "absent", "torn", "other", "coarse", "p1", "p2"]
    paths = {case: _archive(folder, case, case[:1] if case[0] == "p" else "") for case in cases}
    paths["absent"].unlink()
    truncated(paths["torn"])
    shutil.copy(paths["good"], paths["other"])
    change_archive(paths["coarse"], planted.coarser)
    rows = ["case,patient,group,part,levels"]
    for case in cases:
        part = "validation" if case in ("p2", "coarse") else "train"
        rows.append(f"{case},{case[:1] if case[0] == 'p' else case},plain,{part},T12 L3")
    (folder.parent / "mips.csv").write_text("\n".join(rows))
    found = stopped(project, "train slice_spotter", "inputs-slice_spotter")
    for rule, row, said in INPUTS.values():
        names(found, rule, row, said)
    assert "good (" not in found.line
    assert not (project / "models").exists()
    assert not (project / "mlflow.db").exists()


def test_a_scan_that_fails_and_a_poor_model_stop_evaluate_and_publish(
    project: Path, run: Run, untrained: Path
) -> None:
    shutil.copytree(untrained, project / "models" / "slice_spotter")
    change_params(project, {"evaluate.phantoms": 0, "gate.median_mm_max": 0.001})
    truncated(write_case(project / "data/plain", "torn", person(1), planted.TRUTH, "plain"))
    write_case(project / "data/plain", "whole", person(2), planted.TRUTH, "plain")
    (project / "prepared").mkdir()
    table = "case,patient,part\ntorn,torn,test\nwhole,whole,test\n"
    (project / "prepared" / "split.csv").write_text(table)
    found = stopped(project, "evaluate slice_spotter", "metrics-slice_spotter")
    names(found, "failed", "all", "1")
    names(found, "median_mm", "all", "")
    verdict = json.loads((project / "reports/slice_spotter/verdict.json").read_text())
    assert verdict["passed"] is False

    result = run("python", "-m", "pipelines.publish", "slice_spotter")
    assert result.returncode == 1
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("vertebra-slice-spotter: found thresholds missed: all: Every scan")
    assert "Traceback" not in result.stderr
    assert not (project / "reports" / "published").exists()


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("model.weights.h5", "model.weights.h5"),
        ("model.json", "model.json"),
    ],
)
def test_an_incomplete_model_stops_evaluate(
    lost: str, said: str, project: Path, run: Run, untrained: Path
) -> None:
    shutil.copytree(untrained, project / "models" / "slice_spotter")
    (project / "models" / "slice_spotter" / lost).unlink()
    result = run("python", "-m", "pipelines.evaluate", "slice_spotter")
    assert result.returncode == 1
    assert said in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
