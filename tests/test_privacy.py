"""No trace of a patient in anything that is written or said: DICOM full of one goes everywhere.

Allowed by design (DESIGN, section 6): a slice's ``sop_instance_uid`` in slices.csv and slices.json,
and its InstanceNumber, a count, in these and in archives. Nothing else, and these nowhere else.
"""

import gzip
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import RLELossless
from typer.testing import CliRunner

from tests.layouts import TRUTH, dicom_folder, make_scan
from tests.pipelines.conftest import change_params, scan_of
from tests.privacy import MARKERS, fill, traces, traces_in
from vertebra_ml.cli import app
from vertebra_ml.outputs import FORMATS
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.readers.writers import write_case

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
Spoil = Callable[[Path], object]


def edit(path: Path, keyword: str, value: object) -> None:
    data = pydicom.dcmread(path)
    setattr(data, keyword, value)
    data.save_as(path)


def words_for(keyword: str) -> Spoil:
    """Return what puts a marker where a number should be, past pydicom's checks."""

    def act(path: Path) -> None:
        data = pydicom.dcmread(path)
        element = pydicom.DataElement(keyword, "LO", MARKERS["PatientName"])
        element.VR = "DS"
        data[keyword] = element
        data.save_as(path)

    return act


BROKEN: dict[str, Spoil] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-700]),
    "cut-early": lambda path: path.write_bytes(path.read_bytes()[:900]),
    "modality": lambda path: edit(path, "Modality", MARKERS["PatientName"]),
    "unit": lambda path: edit(path, "RescaleType", MARKERS["PatientName"]),
    "kind": lambda path: edit(path, "ImageType", ["DERIVED", MARKERS["PatientName"]]),
    "class": lambda path: edit(path, "SOPClassUID", MARKERS["StudyInstanceUID"]),
    "colour": lambda path: edit(path, "PhotometricInterpretation", MARKERS["PatientID"]),
    "slope": words_for("RescaleSlope"),
    "position": words_for("ImagePositionPatient"),
    "spacing": words_for("PixelSpacing"),
    "another-series": lambda path: edit(path, "SeriesInstanceUID", MARKERS["DeviceUID"]),
    "twice": lambda path: shutil.copy(path, path.with_name("copy.dcm")),
    "gone": lambda path: path.unlink(),
}


def compress(folder: Path) -> None:
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write good series of the patient, one compressed, and one of each kind of broken ones."""
    root = tmp_path_factory.mktemp("private")
    write_series(root / "whole", make_scan(), seed="a")
    write_series(root / "packed", make_scan(), seed="b")
    fill(root / "whole")
    compress(fill(root / "packed"))
    for name, spoil in BROKEN.items():
        folder = fill(dicom_folder(root / name))
        spoil(folder / "slice-0003.dcm")
    return sorted(root.iterdir())


def test_the_patient_is_in_the_series(series: list[Path]) -> None:
    found = traces(series[-1].parent / "whole")
    assert {line.split(": ")[1] for line in found} == {*MARKERS, "SOPInstanceUID"}


def invoke(words: list[object]) -> tuple[int, str]:
    """Run a command; return its status and all it said."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output + result.stderr


def test_locate_in_every_format(
    series: list[Path], untrained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["locate", *series, "--model", untrained, "--out", tmp_path / "out"]
    status, said = invoke([*words, "--format", ",".join(FORMATS), "--overlay"])
    assert status == 1
    assert said.count("error: ") >= len(BROKEN) - 3
    assert len(list((tmp_path / "out").iterdir())) > 8
    assert "whole" in (tmp_path / "out" / "slices.csv").read_text()
    assert traces(tmp_path) == []
    chatter = capfd.readouterr()
    assert traces_in(said + chatter.out + chatter.err) == []


def test_mips(series: list[Path], tmp_path: Path) -> None:
    status, said = invoke(["mips", *series, "--out", tmp_path / "out", "--params", PARAMS])
    assert status == 1
    assert (tmp_path / "out" / "whole.npz").exists()
    assert traces(tmp_path) == []
    assert traces_in(said) == []


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a data set of four patients with pseudonyms, whose DICOM is full of the real one."""
    root = tmp_path_factory.mktemp("labelled") / "plain"
    for number, case in enumerate("abcd"):
        write_case(root, case, scan_of(number), TRUTH, "plain-dicom", patient=f"p{case}")
    fill(root)
    return root


def test_check_and_evaluate(labelled: Path, untrained: Path, tmp_path: Path) -> None:
    broken = tmp_path / "in"
    shutil.copytree(labelled, broken)
    BROKEN["unit"](next((broken / "b").rglob("slice-0003.dcm")))
    for data, expected in ((labelled, 0), (broken, 1)):
        out = tmp_path / f"out-{expected}"
        status, said = invoke(["check", data, "--out", out / "check", "--params", PARAMS])
        assert status == expected, said
        words = ["evaluate", "--data", data, "--model", untrained, "--params", PARAMS]
        status, more = invoke([*words, "--out", out / "evaluate"])
        assert status == expected, more
        assert (out / "evaluate" / "report.html").exists()
        assert traces(out) == []
        assert traces_in(said + more) == []


STAGES = """
import sys
from pathlib import Path
import pandas as pd
from pipelines import index, validate, split, project
from pipelines.stage import run
from vertebra_ml import tracking

for stage in (index, validate, split, project):
    run(stage.main)
table = pd.read_csv("prepared/mips.csv")
with tracking.start_training_run(
    uri="sqlite:///mlflow.db", experiment="private", kind="slice_spotter",
    settings={"seed": 1, "data_hash": "d"}, state=Path(".cache/run.json"), table=table,
) as run:
    run.log_epoch(1, {"loss": 0.5})
    run.log_files(Path("reports"), "reports")
    run.log_files(Path("prepared"), "prepared")
"""


@pytest.mark.server
def test_the_pipeline_and_its_run(labelled: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("vertebra_ml", "pipelines"):
        (project / name).symlink_to(ROOT / name)
    shutil.copy(PARAMS, project / "params.yaml")
    change_params(project, {"phantoms.workers": 1, "data.sources": {"plain": "plain"}})
    shutil.copytree(labelled, tmp_path / "data" / "plain")
    change_params(project, {"data.root": str(tmp_path / "data")})
    environment = os.environ | {"PYTHONPATH": str(project), "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", STAGES], cwd=project, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("vertebra_ml", "pipelines"):
        (project / name).unlink()
    assert len(list(project.rglob("*.npz"))) >= 8  # made, and once more as artifacts
    assert (project / "mlflow.db").stat().st_size > 10_000
    assert traces(project) == []
    assert traces_in(done.stdout + done.stderr) == []


def planted(place: Path, marker: bytes) -> None:
    """Write a marker in each of the ways in which one could be hidden."""
    place.mkdir()
    (place / "plain.log").write_bytes(b"x" * 999 + marker)
    (place / "wide.txt").write_bytes(marker.decode().encode("utf-16-le"))
    (place / "lower.txt").write_bytes(marker.lower())
    (place / "packed.gz").write_bytes(gzip.compress(marker))
    with zipfile.ZipFile(place / "mips.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", marker)
    text = b"Title\0\0" + zlib.compress(marker)
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text + bytes(4)
    picture = b"\x89PNG\r\n\x1a\n" + chunk
    (place / "picture.png").write_bytes(picture)
    (place / "page.html").write_bytes(b"<img src='data:image/png;base64," + b64encode(picture))


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    planted(tmp_path / "in", MARKERS["PatientName"].encode())
    found = {line.split(":")[0] for line in traces(tmp_path / "in")}
    assert found == {path.name for path in (tmp_path / "in").iterdir()}
    (tmp_path / "name").mkdir()
    (tmp_path / "name" / f"{MARKERS['PatientID']}.csv").write_text("")
    (tmp_path / "name" / "date.csv").write_text("case,born\na,1871-07-13\n")
    assert len(traces(tmp_path / "name")) == 2
    (tmp_path / "uid").mkdir()
    for name in ("slices.csv", "other.csv"):
        (tmp_path / "uid" / name).write_text("1.2.826.0.1.3680043.8.498.773")
    assert traces(tmp_path / "uid") == ["other.csv: SOPInstanceUID"]
    assert traces_in(f"error: {MARKERS['AccessionNumber']}") == ["AccessionNumber"]
