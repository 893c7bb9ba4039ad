"""The VerSe layout: its published convention, and every fault of a file of centroids."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layouts import GRIDS, TRUTH, make_scan, nifti_bytes, small_scan, write_bytes
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.verse import read_centroids
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume

# anjany/verse data_utils/sample: sub-verse004, an image of axes PIR and zooms (1, 1, 2.000296).
SAMPLE = [{"direction": ["P", "I", "R"]}, {"label": 22, "X": 46.5, "Y": 202.0, "Z": 29.8}]
FRONT, HEAD, LEFT = 60.0, 500.0, -40.0  # mm of the first voxel: y, z, x


def pir_image(folder: Path) -> Path:
    """Write an image like that of the sample: index 0 in front, at the head and at the left."""
    affine = np.array([[0, 0, 2.0, LEFT], [-1, 0, 0, FRONT], [0, -1, 0, HEAD], [0, 0, 0, 1.0]])
    volume = Volume(np.zeros((100, 280, 40), np.int16), affine)
    assert volume.orientation == "PIR"
    return write_bytes(folder / "rawdata/sub-verse004/sub-verse004_ct.nii.gz", nifti_bytes(volume))


def labels(folder: Path, content: object, name: str = "sub-verse004_seg-subreg_ctd.json") -> Path:
    path = folder / "derivatives" / "sub-verse004" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_centroids_are_voxels_of_the_image_along_the_direction_named(tmp_path: Path) -> None:
    pir_image(tmp_path)
    labels(tmp_path, SAMPLE)
    (case,) = readers.find(tmp_path, "verse")
    assert (case.id, case.patient) == ("sub-verse004", "sub-verse004")
    # x: 29.8 voxels of 2 mm to the right of the left edge; y: back; z: down.
    expected = (LEFT + 2 * 29.8, FRONT - 46.5, HEAD - 202.0)
    assert case.truth().landmarks["L3"] == pytest.approx(expected)


def test_a_direction_other_than_the_images_is_turned(tmp_path: Path) -> None:
    """The same point counted from the other end of each axis: 40 - 1 - 29.8 and so on."""
    scan = pir_image(tmp_path)
    turned = [{"direction": ["L", "S", "A"]}, {"label": 22, "X": 9.2, "Y": 77.0, "Z": 52.5}]
    truth = read_centroids(labels(tmp_path, turned), scan, voxels_max=10**7)
    expected = (LEFT + 2 * 29.8, FRONT - 46.5, HEAD - 202.0)
    assert truth.landmarks["L3"] == pytest.approx(expected)


def test_writer_and_reader_agree_with_plain_arithmetic(tmp_path: Path) -> None:
    scan = make_scan(GRIDS["oblique and odd"])
    write_case(tmp_path, "p1", scan, TRUTH, "verse")
    entries = json.loads(next(tmp_path.rglob("*_ctd.json")).read_text())
    assert entries[0] == {"direction": list(scan.orientation)}
    for entry, label in zip(entries[1:], ("T12", "L1", "L3"), strict=True):
        world = scan.affine @ [entry["X"], entry["Y"], entry["Z"], 1]
        assert world[:3] == pytest.approx(TRUTH.landmarks[label], abs=0.001)


def entry(label: Any = 22, **values: Any) -> dict[str, Any]:
    return {"label": label, "X": 1, "Y": 2, "Z": 3, **values}


def test_sacrum_coccyx_and_nan_are_passed_over_and_the_variants_read(tmp_path: Path) -> None:
    scan = pir_image(tmp_path)
    content = [
        SAMPLE[0], entry(28), entry(25), entry(26), entry(27), entry(19, X=np.nan), entry(24.0),
    ]  # fmt: skip
    truth = read_centroids(labels(tmp_path, content), scan, voxels_max=10**7)
    assert truth.landmarks.labels == ("T13", "L5", "L6")
    assert truth.visible == ("T12", "T13", "L5", "L6")


def test_no_vertebra_is_a_truth_without_landmarks(tmp_path: Path) -> None:
    scan = pir_image(tmp_path)
    truth = read_centroids(labels(tmp_path, SAMPLE[:1]), scan, voxels_max=10**7)
    assert (len(truth.landmarks), truth.visible) == (0, ())


BAD: dict[str, tuple[object, str]] = {
    "no JSON": ("[{", "no readable JSON"),
    "an object": ({"L3": [1, 2, 3]}, "a JSON dict without a direction"),
    "empty": ([], "a JSON list without a direction"),
    "no direction": ([entry()], "the direction None"),
    "a direction of two": ([{"direction": ["P", "I"]}, entry()], r"the direction \['P', 'I'\]"),
    "a number for a direction": ([{"direction": 3.5}, entry()], "the direction 3.5"),
    "null for a direction": ([{"direction": None}, entry()], "the direction None"),
    "a direction twice": ([{"direction": ["P", "I", "A"]}], "the direction"),
    "an unknown label": ([SAMPLE[0], entry(), entry(31)], "label 31 at .* in entry 3"),
    "a label of 0": ([SAMPLE[0], entry(0)], "label 0"),
    "a label in words": ([SAMPLE[0], entry("L3")], "entry 2 without label, X, Y and Z"),
    "no Z": ([SAMPLE[0], {"label": 22, "X": 1, "Y": 2}], "entry 2 without label, X, Y and Z"),
    "a list as entry": ([SAMPLE[0], [22, 1, 2, 3]], "entry 2 without label"),
    "a label twice": ([SAMPLE[0], entry(), entry(X=9)], "a label given twice"),
    "infinite": ([SAMPLE[0], entry(X=float("inf"))], "label 22 at .inf"),
}


@pytest.mark.parametrize("kind", BAD)
def test_faults_of_centroids_are_named(tmp_path: Path, kind: str) -> None:
    content, message = BAD[kind]
    pir_image(tmp_path)
    path = labels(tmp_path, content)
    (case,) = readers.find(tmp_path, "verse")
    with pytest.raises(DatasetError, match=message) as caught:
        case.truth()
    assert str(caught.value).startswith(f"{path}: found ")


def test_files_are_matched_by_their_whole_name(tmp_path: Path) -> None:
    pir_image(tmp_path)
    labels(tmp_path, SAMPLE)
    # Another split of the same patient, whose name begins alike.
    split = "sub-verse004_split-verse253"
    write_bytes(tmp_path / f"rawdata/sub-verse004/{split}_ct.nii.gz", nifti_bytes(small_scan()))
    labels(tmp_path, [SAMPLE[0], entry(5)], f"{split}_seg-subreg_ctd.json")
    first, second = readers.find(tmp_path, "verse")
    assert (first.id, second.id) == ("sub-verse004", split)
    assert first.patient == second.patient
    assert first.truth().landmarks.labels == ("L3",)
    assert second.truth().landmarks.labels == ("C5",)


def test_two_files_of_centroids_are_refused(tmp_path: Path) -> None:
    pir_image(tmp_path)
    labels(tmp_path, SAMPLE)
    labels(tmp_path, SAMPLE, "sub-verse004_ctd.json")
    (case,) = readers.find(tmp_path, "verse")
    with pytest.raises(DatasetError, match=r"centroids in .* and .*; expected one file"):
        case.truth()


def test_names_that_bids_cannot_hold_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="names without underscore"):
        write_case(tmp_path, "p_1", small_scan(), TRUTH, "verse")
