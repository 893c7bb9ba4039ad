"""The plain layout: what a case folder may hold, and every fault of ``landmarks.json``."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layouts import (
    POINTS_MM,
    TRUTH,
    VISIBLE,
    assert_same_scan,
    dicom_folder,
    nifti_bytes,
    small_scan,
    write_bytes,
    zip_of,
)
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.plain import read_landmarks
from vertebra_ml.readers.writers import write_case

GOOD: dict[str, Any] = {
    "frame": "RAS",
    "unit": "mm",
    "landmarks": {"L3": [1.5, -2, 30], "T12": [None, None, 90.25]},
    "visible": ["T12", "L2", "L3"],
}


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "landmarks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_points_heights_and_visible_levels_are_read(tmp_path: Path) -> None:
    truth = read_landmarks(written(tmp_path, {**GOOD, "note": "by hand", "patient": "p"}))
    assert truth.landmarks.labels == ("T12", "L3")
    assert truth.landmarks["L3"].tolist() == [1.5, -2, 30]
    np.testing.assert_array_equal(truth.landmarks["T12"], [np.nan, np.nan, 90.25])
    assert truth.visible == ("T12", "L2", "L3")


def test_a_height_alone_is_written_and_read_back(tmp_path: Path) -> None:
    nan = float("nan")
    truth = Truth(Landmarks.of({"L3": (nan, nan, -30.5)}), ("L3",))
    write_case(tmp_path, "p1", small_scan(), truth, "plain")
    found = read_landmarks(tmp_path / "p1" / "landmarks.json")
    np.testing.assert_array_equal(found.landmarks["L3"], [nan, nan, -30.5])


def changed(**values: object) -> dict[str, Any]:
    return {**GOOD, **values}


def lacking(key: str) -> dict[str, Any]:
    return {k: v for k, v in GOOD.items() if k != key}


BAD: dict[str, tuple[object, str]] = {
    "no JSON": ("{frame: RAS", "no readable JSON"),
    "empty": ("", "no readable JSON"),
    "nested beyond sense": ("[" * 100_000, "no readable JSON"),
    "a level twice": ('{"landmarks": {"L3": [1, 2, 3], "L3": [4, 5, 6]}}', "the key 'L3' twice"),
    "a list": ([1], "a JSON list"),
    "no frame": (lacking("frame"), "missing keys frame"),
    "no visible": (lacking("visible"), "missing keys visible"),
    "no landmarks": (lacking("landmarks"), "missing keys landmarks"),
    "an unknown key": (changed(visibles=[]), "unknown keys visibles"),
    "DICOM's frame": (changed(frame="LPS"), "frame 'LPS' and unit 'mm'"),
    "voxels": (changed(unit="voxel"), "unit 'voxel'"),
    "an unknown level": (changed(landmarks={"L7": [0, 0, 0]}), r"unknown levels \['L7'\]"),
    "a number as level": (changed(landmarks={"22": [0, 0, 0]}), "unknown levels"),
    "an unknown visible level": (changed(visible=["S1"]), r"unknown levels \['S1'\]"),
    "a visible level twice": (changed(visible=["L3", "L3"]), r"given twice \['L3'\]"),
    "visible as text": (changed(visible="L3"), "visible that is no list"),
    "landmarks as a list": (changed(landmarks=[[0, 0, 0]]), "landmarks that are no object"),
    "two coordinates": (changed(landmarks={"L3": [0, 0]}), r"L3 at \[0, 0\]"),
    "text as coordinate": (changed(landmarks={"L3": [0, 0, "1"]}), "L3 at"),
    "true as coordinate": (changed(landmarks={"L3": [0, 0, True]}), "L3 at"),
    "no height": (changed(landmarks={"L3": [0, 0, None]}), "both NaN for a height alone"),
    "half a place": (changed(landmarks={"L3": [0, None, 1]}), "both NaN for a height alone"),
    "infinite": (json.dumps(changed(landmarks={"L3": [0, 0, float("inf")]})), "L3 at .0, 0, inf"),
    "metres away": (changed(landmarks={"L3": [0, 0, 1e7]}), "L3 at"),
    "beyond any number": (changed(landmarks={"L3": [0, 0, 10**400]}), "L3 at"),
    "not text": ("\x00\x01", "no readable JSON"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_faults_of_landmarks_are_named(tmp_path: Path, kind: str) -> None:
    content, message = BAD[kind]
    path = written(tmp_path, content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_landmarks(path)
    assert str(caught.value).startswith(f"{path}: found ")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_files_too_large_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(DatasetError, match="no readable JSON"):
        read_landmarks(path)
    with path.open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(DatasetError, match="20,000,000 bytes; expected a label file"):
        read_landmarks(path)


SCANS: dict[str, Callable[[Path], object]] = {
    "ct.nii.gz": lambda p: write_bytes(p, nifti_bytes(small_scan())),
    "ct.nii": lambda p: write_bytes(p, nifti_bytes(small_scan())),
    "ct": dicom_folder,
    "ct.zip": lambda p: (
        p.write_bytes(zip_of(dicom_folder(p.parent / "tmp"))),
        shutil.rmtree(p.parent / "tmp"),
    ),
}


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_in_each_form(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "p1"
    folder.mkdir()
    SCANS[name](folder / name)
    (case,) = readers.find(tmp_path, "plain")
    assert (case.id, case.layout, case.truth()) == ("p1", "plain", None)
    assert_same_scan(case.open_volume(), small_scan())
    # The folder itself, and the scan in it, are scans for `locate` too, under the folder's name.
    for path in (folder, folder / name):
        given = readers.open_case(path)
        assert given.id == "p1"
        assert_same_scan(given.open_volume(), small_scan())


def test_faults_of_one_case_wait_until_it_is_opened(tmp_path: Path) -> None:
    write_case(tmp_path, "good", small_scan(), TRUTH, "plain")
    write_case(tmp_path, "two", small_scan(), TRUTH, "plain")
    write_bytes(tmp_path / "two" / "ct.nii", nifti_bytes(small_scan()))
    (tmp_path / "none").mkdir()
    (tmp_path / "labels").mkdir()
    written(tmp_path / "labels", "{")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.txt").write_text("text")
    cases = {case.id: case for case in readers.find(tmp_path, "plain")}
    assert sorted(cases) == ["good", "labels", "none", "two"]
    assert cases["good"].open_volume()
    with pytest.raises(DatasetError, match=r"found ct.nii.gz and ct.nii; expected one of"):
        cases["two"].open_volume()
    with pytest.raises(DatasetError, match=r"none: found no CT; expected one of ct.nii.gz"):
        cases["none"].open_volume()
    with pytest.raises(DatasetError, match="no readable JSON"):
        cases["labels"].truth()


def test_a_folder_that_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p 1").mkdir()
    with pytest.raises(DatasetError, match="found the id 'p 1'"):
        readers.find(tmp_path, "plain")


def test_ids_of_files_come_from_their_names(tmp_path: Path) -> None:
    for name, expected in {
        "scan.nii.gz": "scan",
        "Scan (2).nii": "Scan_2_",
        "a.b.zip": "a.b",
        "mips.npz": "mips",
        "UPPER.NII.GZ": "UPPER",
    }.items():
        (tmp_path / name).write_bytes(b"")
        (case,) = readers.open_cases([tmp_path / name])
        assert case.id == expected.rstrip("_")
    (case,) = readers.open_contents(b"", "p 1")
    assert case.id == "p_1"


def test_paths_that_cannot_be_scans_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scan.txt").write_text("text")
    (tmp_path / "scan").write_text("text")
    for name, message in {
        "none.nii.gz": "found nothing at that path",
        "scan.txt": r"a file that ends in '.txt'; expected a DICOM folder or .*\.nii\.gz",
        "scan": "a file that ends in 'nothing'",
    }.items():
        with pytest.raises(DatasetError, match=message):
            readers.open_case(tmp_path / name)


def test_a_batch_outlives_its_bad_scans(tmp_path: Path) -> None:
    good = write_bytes(tmp_path / "good.nii.gz", nifti_bytes(small_scan()))
    (tmp_path / "note.txt").write_text("text")
    cases = pickle.loads(
        pickle.dumps(readers.open_cases([tmp_path / "note.txt", good, tmp_path / "none.nii"]))
    )
    assert [case.id for case in cases] == ["note.txt", "good", "none.nii"]
    assert_same_scan(cases[1].open_volume(), small_scan())
    with pytest.raises(DatasetError, match=r"a file that ends in '.txt'"):
        cases[0].open_volume()
    with pytest.raises(DatasetError, match="found nothing at that path"):
        cases[2].open_volume()


def test_what_is_written_is_what_the_issue_states(tmp_path: Path) -> None:
    write_case(tmp_path, "p1", small_scan(), TRUTH, "plain")
    content = json.loads((tmp_path / "p1" / "landmarks.json").read_text())
    assert content == {
        "frame": "RAS",
        "unit": "mm",
        "patient": "p1",
        "landmarks": {level: list(point) for level, point in POINTS_MM.items()},
        "visible": list(VISIBLE),
    }
