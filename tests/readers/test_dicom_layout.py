"""Layout ``dicom``: patients are folders or zips, cases are their series, names never come from
headers."""

import json
import shutil
from pathlib import Path

import pydicom
import pytest

from tests.layouts import POINTS_MM, TRUTH, assert_same_scan, dicom_folder, small_scan, zip_of
from vertebra_ml import readers
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.readers.plain import write_landmarks
from vertebra_ml.volume import Volume


def found(root: Path) -> dict[str, Case]:
    return {case.id: case for case in readers.find(root, "dicom")}


def two_series(folder: Path, *, numbers: tuple[int, int] = (2, 5)) -> Path:
    """Write two series of unlike HU below one folder."""
    for number in numbers:
        scan, part = small_scan(), folder / f"st{number}"
        write_series(part, Volume(scan.array + number, scan.affine), seed=f"s{number}")
        for path in part.iterdir():
            data = pydicom.dcmread(path)
            data.SeriesNumber = number
            data.save_as(path)
    return folder


def test_a_patient_is_a_folder_of_any_depth_or_a_zip(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "p1" / "2019" / "series")
    (tmp_path / "p1" / "2019" / "report.txt").write_text("text")
    (tmp_path / "p2.zip").write_bytes(zip_of(tmp_path / "p1"))
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / ".hidden").mkdir()
    cases = found(tmp_path)
    assert {name: case.patient for name, case in cases.items()} == {"p1": "p1", "p2": "p2"}
    for case in cases.values():
        assert_same_scan(case.open_volume(), small_scan())
        assert (case.layout, case.truth()) == ("dicom", None)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_each_series_is_a_case_of_one_patient(tmp_path: Path, packed: bool) -> None:
    two_series(tmp_path / "p1")
    if packed:
        (tmp_path / "p1.zip").write_bytes(zip_of(tmp_path / "p1"))
        shutil.rmtree(tmp_path / "p1")
    write_landmarks(tmp_path / "p1-s5.json", TRUTH, "someone")
    cases = found(tmp_path)
    assert {name: case.patient for name, case in cases.items()} == {
        "p1-s2": "someone", "p1-s5": "someone"
    }  # fmt: skip
    volume = small_scan()
    for name, more in (("p1-s2", 2), ("p1-s5", 5)):
        assert_same_scan(
            cases[name].open_volume(), type(volume)(volume.array + more, volume.affine)
        )
    assert cases["p1-s2"].truth() is None
    truth = cases["p1-s5"].truth()
    assert truth is not None
    assert truth.landmarks["L3"] == pytest.approx(POINTS_MM["L3"])


def test_landmarks_that_fit_no_one_series_are_refused(tmp_path: Path) -> None:
    two_series(tmp_path / "p1")
    write_landmarks(tmp_path / "p1.json", TRUTH, "p1")
    for case in found(tmp_path).values():
        assert case.open_volume()
        with pytest.raises(DatasetError, match=r"p1.json: found landmarks of .* p1-s\d.js"):
            case.truth()


def test_series_of_two_patients_in_one_folder_are_refused(tmp_path: Path) -> None:
    two_series(tmp_path / "p1")
    for number in (2, 5):
        write_landmarks(tmp_path / f"p1-s{number}.json", TRUTH, f"p{number}")
    (case,) = found(tmp_path).values()
    with pytest.raises(DatasetError, match="p1: found 2 patients in the landmarks of its series"):
        case.open_volume()


def test_names_come_from_folders_never_from_headers(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "p1")
    for path in (tmp_path / "p1").iterdir():
        data = pydicom.dcmread(path)
        data.PatientName, data.PatientID, data.SeriesDescription = "Doe^Jane", "4711", "Thorax Doe"
        data.save_as(path)
    (case,) = found(tmp_path).values()
    assert (case.id, case.patient) == ("p1", "p1")


def test_faults_of_one_patient_stay_with_that_one(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "good")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK no archive")
    (tmp_path / "labels").mkdir()
    dicom_folder(tmp_path / "labels")
    (tmp_path / "labels.json").write_text(json.dumps({"frame": "LPS"}))
    (tmp_path / "away").symlink_to(tmp_path.parent)
    cases = found(tmp_path)
    assert sorted(cases) == ["away", "broken", "empty", "good", "labels"]
    assert_same_scan(cases["good"].open_volume(), small_scan())
    for name, kind, message in (
        ("empty", DatasetError, "empty: found no file"),
        ("broken", DatasetError, "broken.zip: found an archive that cannot be read"),
        ("away", LimitError, "away: found a symbolic link that leads out"),
    ):
        with pytest.raises(kind, match=message):
            cases[name].open_volume()
    with pytest.raises(DatasetError, match=r"labels.json: found missing keys"):
        cases["labels"].truth()


def test_dicom_files_directly_in_the_root_are_refused(tmp_path: Path) -> None:
    dicom_folder(tmp_path)
    with pytest.raises(DatasetError, match=r"dcm: found a DICOM file directly in the root; expec"):
        readers.find(tmp_path, "dicom")


def test_a_folder_that_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "Doe, Jane")
    with pytest.raises(DatasetError, match="found the id 'Doe, Jane'"):
        readers.find(tmp_path, "dicom")
