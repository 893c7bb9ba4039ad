"""Scans given by path or as bytes: what is found in them, how it is named, what stays apart."""

import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.layouts import (
    TRUTH,
    assert_same_scan,
    dicom_folder,
    nifti_bytes,
    small_scan,
    write_bytes,
    zip_of,
)
from tests.readers.archives import thesis_archive
from vertebra_ml import readers
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.readers.dicom_writer import Dress, write_enhanced, write_series
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume


def two_series(folder: Path) -> Path:
    """Write series 2 and 5 below one folder, in HU that tell them apart."""
    scan = small_scan()
    for number in (2, 5):
        more = Volume(scan.array + number, scan.affine)
        dress = Dress(series=f"s{number}", series_number=number)
        write_series(folder / f"st{number}", more, seed="scan", dress=dress)
    return folder


def opened(case: Case) -> Volume:
    assert case.open_volume
    return case.open_volume()


def told(case: Case) -> str:
    """Return the one line that opening the case ends in."""
    with pytest.raises(VertebraError) as caught:
        (case.open_volume or case.open_mips)()
    return str(caught.value)


@pytest.mark.parametrize("form", ["folder", "zip", "bytes"])
def test_each_series_of_a_folder_or_zip_is_a_case(tmp_path: Path, form: str) -> None:
    path = two_series(tmp_path / "p1")
    if form != "folder":
        path = tmp_path / "p1.zip"
        path.write_bytes(zip_of(tmp_path / "p1"))
    if form == "bytes":
        cases = readers.open_contents(path.read_bytes(), "p1")
    else:
        cases = readers.open_cases([path])
    cases = pickle.loads(pickle.dumps(cases))
    assert [(case.id, case.patient) for case in cases] == [("p1-s2", "p1"), ("p1-s5", "p1")]
    scan = small_scan()
    for case, more in zip(cases, (2, 5), strict=True):
        assert_same_scan(opened(case), Volume(scan.array + more, scan.affine))


def test_a_broken_slice_fails_its_own_series_alone(tmp_path: Path) -> None:
    folder = two_series(tmp_path / "p1")
    victim = sorted((folder / "st5").iterdir())[3]
    data = pydicom.dcmread(victim)
    data.PixelData = data.PixelData[:100]
    data.save_as(victim)
    good, bad = readers.open_cases([folder])
    assert opened(good)
    assert victim.name in told(bad)


def test_one_case_of_several_is_not_chosen_silently(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found 2 cases: p1-s2, p1-s5; expected one"):
        readers.open_case(two_series(tmp_path / "p1"))


@pytest.mark.parametrize("name", ["scan.dcm", "IM0001"])
def test_one_dicom_file_is_a_scan_whatever_its_name(tmp_path: Path, name: str) -> None:
    path = write_enhanced(tmp_path / name, small_scan(), seed="scan")
    (tmp_path / "note.txt").write_text("beside")
    (case,) = readers.open_cases([path])
    assert case.id == Path(name).stem
    assert_same_scan(opened(case), small_scan())
    (case,) = readers.open_contents(path.read_bytes(), "scan")
    assert_same_scan(opened(case), small_scan())


def test_one_slice_of_a_series_is_no_scan(tmp_path: Path) -> None:
    first = min(dicom_folder(tmp_path / "p1").iterdir())
    (case,) = readers.open_cases([first])
    assert "expected" in told(case)


def test_a_raw_with_its_sidecar_is_a_scan(tmp_path: Path) -> None:
    path = write_case(tmp_path, "p1", small_scan(), TRUTH, "raw")
    (case,) = readers.open_cases([path])
    assert case.id == "p1"
    assert_same_scan(opened(case), small_scan())


@pytest.mark.parametrize("form", ["path", "bytes"])
def test_each_entry_of_a_thesis_archive_is_a_case(tmp_path: Path, form: str) -> None:
    path = tmp_path / "abdomen.npz"
    arrays = thesis_archive(path)
    if form == "path":
        cases = readers.open_cases([path])
    else:
        cases = readers.open_contents(path.read_bytes(), "abdomen")
    assert [case.id for case in cases] == [f"abdomen_exam{i}" for i in range(3)]
    for case, frontal in zip(cases, arrays["imgs_f"], strict=True):
        assert case.open_mips
        image = case.open_mips()[0].frontal.image
        body = frontal > -1000  # outside it the thesis has -1000
        np.testing.assert_array_equal(image[body], frontal[body])


@pytest.mark.parametrize("form", ["path", "bytes"])
def test_an_archive_of_ours_is_named_as_its_file_is(tmp_path: Path, form: str) -> None:
    written = write_case(tmp_path, "p1", small_scan(), TRUTH, "sarcopenia", patient="someone")
    path = written.rename(tmp_path / "Other Name.npz")
    if form == "path":
        (case,) = readers.open_cases([path])
    else:
        (case,) = readers.open_contents(path.read_bytes(), "Other Name")
    assert (case.id, case.patient) == ("Other_Name", "someone")
    assert case.truth()


def test_bytes_of_every_kind_are_told_by_their_content(tmp_path: Path) -> None:
    content = nifti_bytes(small_scan())
    packed = write_bytes(tmp_path / "scan.nii.gz", content).read_bytes()
    zipped = zip_of(dicom_folder(tmp_path / "ct"))
    for data in (content, packed, zipped):
        (case,) = readers.open_contents(data, "p 1/scan")
        assert case.id == "p_1_scan"
        assert_same_scan(opened(case), small_scan())


BAD_BYTES = {
    "nothing": (b"", "does not start as NIfTI does"),
    "text": (b"no image", "does not start as NIfTI does"),
    "a broken zip": (b"PK\3\4 broken", "an archive that cannot be read"),
    "a zip of text": (None, "none a DICOM image"),
}


@pytest.mark.parametrize("kind", BAD_BYTES)
def test_bad_bytes_are_one_case_that_fails(tmp_path: Path, kind: str) -> None:
    content, message = BAD_BYTES[kind]
    if content is None:
        (tmp_path / "text").write_text("text")
        content = zip_of(tmp_path)
    (case,) = readers.open_contents(content, "scan")
    line = told(case)
    assert line.startswith("scan: found ")
    assert message in line


def test_bad_paths_are_one_case_each_that_fails_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "scan.hdr").write_bytes(bytes(348))
    (tmp_path / "lone.raw").write_bytes(bytes(348))
    good = write_bytes(tmp_path / "good.nii", nifti_bytes(small_scan()))
    messages = {
        "empty": "empty: found no file",
        "broken.zip": "broken.zip: found an archive that cannot be read",
        "broken.npz": "broken.npz: found ",
        "scan.hdr": "scan.hdr: found a file that ends in '.hdr': header and image in two files; "
        "expected a DICOM folder or a file that ends in .nii.gz",
        "lone.raw": "lone.raw: found no description beside it",
        "none": "none: found nothing at that path",
        "x" * 300: "found nothing at that path",
    }
    cases = readers.open_cases([*(tmp_path / name for name in messages), good])
    assert len(cases) == len(messages) + 1
    for case, message in zip(cases, messages.values(), strict=False):
        assert message in told(case), case.id
    assert opened(cases[-1])


def test_a_case_folder_whose_scan_leads_out_of_it_is_refused(tmp_path: Path) -> None:
    scan = write_bytes(tmp_path / "elsewhere.nii", nifti_bytes(small_scan()))
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "ct.nii").symlink_to(scan)
    with pytest.raises(LimitError, match=r"p1/ct.nii: found a symbolic link that leads out"):
        readers.open_case(tmp_path / "p1")
    # Named itself, it is the user's own choice.
    (tmp_path / "chosen.nii").symlink_to(scan)
    assert opened(readers.open_case(tmp_path / "chosen.nii"))
