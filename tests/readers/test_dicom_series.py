"""Several series in one folder or zip: which are CT, what they are called, what is left out."""

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComprehensiveSRStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
)

from tests.layouts import assert_same_scan, small_scan, zip_of
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.readers.dicom import Series, read_folder, read_zip, series_in
from vertebra_ml.readers.dicom_writer import Dress, write_enhanced, write_series
from vertebra_ml.volume import Volume

MOST = 10**7
SCAN = small_scan()
OTHER = Volume(SCAN.array[:, :, :5] + 7, SCAN.affine)
SECRETS = {
    "PatientName": "Doe^Jane", "PatientID": "SECRET77", "PatientBirthDate": "19511231",
    "SeriesDescription": "Jane Doe abdomen", "AccessionNumber": "ACC4711",
}  # fmt: skip
SECRET_DRESS = tuple(SECRETS.items())


def write(folder: Path, volume: Volume = SCAN, **dress: Any) -> None:
    dress = {"extra": SECRET_DRESS} | dress
    write_series(folder, volume, seed="study", dress=Dress(**dress))


def names(folder: Path) -> list[str]:
    return [series.name for series in series_in(folder, folder, voxels_max=MOST)]


def read(folder: Path, series: Series | None = None) -> Volume:
    return read_folder(folder, voxels_max=MOST, series=series)


def test_each_series_of_a_folder_has_a_name_and_its_files(tmp_path: Path) -> None:
    write(tmp_path / "b", OTHER, series="b", series_number=12)
    write(tmp_path / "a", series="a", series_number=3)
    first, second = series_in(tmp_path, tmp_path, voxels_max=MOST)
    assert (first.name, second.name) == ("s3", "s12")
    assert first.files == tuple(f"a/slice-{k:04d}.dcm" for k in range(1, 13))
    assert_same_scan(read(tmp_path, first), SCAN)
    assert_same_scan(read(tmp_path, second), OTHER)
    with pytest.raises(DatasetError, match=r"2 CT series: s3 of 12 .* a/slice-0001.dcm; s12 of 5"):
        read(tmp_path)


def test_each_series_of_a_zip_is_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a", series="a", series_number=3)
    write(tmp_path / "b", OTHER, series="b", series_number=4)
    content, where = zip_of(tmp_path, "study/"), Path("scan.zip")
    listed = series_in(content, where, voxels_max=MOST)
    assert [series.name for series in listed] == ["s3", "s4"]
    for series, volume in zip(listed, (SCAN, OTHER), strict=True):
        found = read_zip(content, where, voxels_max=MOST, series=series)
        assert_same_scan(found, volume)
    assert len(readers.open_contents(content, "scan")) == 2


def test_one_series_needs_no_name(tmp_path: Path) -> None:
    write(tmp_path, series_number=None)
    assert names(tmp_path) == [""]
    assert_same_scan(read(tmp_path), SCAN)


@pytest.mark.parametrize("number", [None, 3])
def test_numbers_that_repeat_or_are_missing_count_from_the_lowest(
    tmp_path: Path, number: int | None
) -> None:
    place = OTHER.affine.copy()
    place[2, 3] += 90
    upper = Volume(OTHER.array, place)
    write(tmp_path / "a", upper, series="a", series_number=number)
    write(tmp_path / "b", SCAN, series="b", series_number=number)
    write(tmp_path / "c", SCAN, series="c", series_number=7)
    label = "s" if number is None else "s3"
    listed = series_in(tmp_path, tmp_path, voxels_max=MOST)
    found = {series.name: read(tmp_path, series) for series in listed}
    assert set(found) == {f"{label}-1", f"{label}-2", "s7"}
    assert_same_scan(found[f"{label}-1"], SCAN)
    assert_same_scan(found[f"{label}-2"], upper)


def test_a_fault_of_one_series_stays_with_it(tmp_path: Path) -> None:
    write(tmp_path / "a", series="a", series_number=3)
    write(tmp_path / "b", series="b", series_number=4)
    (tmp_path / "a" / "slice-0005.dcm").unlink()
    first, second = series_in(tmp_path, tmp_path, voxels_max=MOST)
    with pytest.raises(DatasetError, match="1 missing slices"):
        read(tmp_path, first)
    assert_same_scan(read(tmp_path, second), SCAN)


def test_a_listed_file_that_is_gone_or_leads_out_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a", series="a")
    with pytest.raises(DatasetError, match=r"no file gone.dcm any more"):
        read(tmp_path / "in", Series("s1", ("gone.dcm",)))
    write(tmp_path / "out")
    with pytest.raises(LimitError, match="leads out of the folder"):
        read(tmp_path / "in", Series("s1", ("../out/slice-0001.dcm",)))
    (tmp_path / "in" / "link.dcm").symlink_to(tmp_path / "out" / "slice-0001.dcm")
    with pytest.raises(LimitError, match="leads out of the folder"):
        read(tmp_path / "in")


def scout(folder: Path, number: int = 2) -> None:
    """Two pictures from the front and the side, as a scanner's localizers."""
    for k, orientation in enumerate(("LSA", "PSL")):
        picture = SCAN.reorient(orientation)
        picture = Volume(picture.array[:, :, :1], picture.affine)
        write(
            folder / f"scout{k}", picture, series="scout", series_number=1,
            image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"),
        )  # fmt: skip


def turned(folder: Path) -> None:
    """Coronal pictures that do not call themselves anything."""
    write(folder / "cor", SCAN.reorient("LSA"), series="cor", image_type=("ORIGINAL", "PRIMARY"))


def derived(*words: str) -> Callable[[Path], None]:
    return lambda folder: write(folder / "d", OTHER, series="d", image_type=("DERIVED", *words))


def other_class(modality: str, kind: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        write(folder / "other", OTHER, series="other")
        for path in (folder / "other").iterdir():
            data = pydicom.dcmread(path)
            data.Modality, data.SOPClassUID = modality, kind
            del data.RescaleIntercept, data.ImageOrientationPatient
            data.save_as(path, enforce_file_format=True)

    return act


def colour(folder: Path) -> None:
    write(folder / "rgb", OTHER, series="rgb")
    for path in (folder / "rgb").iterdir():
        data = pydicom.dcmread(path)
        data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
        data.save_as(path, enforce_file_format=True)


def bolus(folder: Path) -> None:
    """One place, again and again, until the contrast arrives."""
    for k in range(4):
        one = Volume(SCAN.array[:, :, 3:4], SCAN.affine)
        path = folder / f"bolus{k}"
        write_series(path, one, seed="study", dress=Dress(series="bolus"), instance_numbers=[k])


def unplaced(folder: Path) -> None:
    """A picture of a dose report that calls itself CT."""
    write(folder / "dose", OTHER, series="dose", image_type=("ORIGINAL", "SECONDARY", "OTHER"))
    for path in (folder / "dose").iterdir():
        data = pydicom.dcmread(path)
        del data.ImagePositionPatient, data.ImageOrientationPatient
        data.save_as(path, enforce_file_format=True)


LEFT_OUT = {
    "localizers": (scout, "2 localizers such as scout0/slice-0001.dcm"),
    "another orientation": (turned, "20 images of another orientation than the axial stack such"),
    "MPR": (derived("SECONDARY", "MPR"), "5 derived images such as d/slice-0001.dcm"),
    "thick MIP": (derived("PRIMARY", "MIP"), "5 derived images such as d/slice-0001.dcm"),
    "GE reformat": (derived("SECONDARY", "REFORMATTED", "AVERAGE"), "5 derived images"),
    "a dose page": (derived("SECONDARY", "DOSE_INFO"), "5 derived images"),
    "derived without a word": (derived("SECONDARY"), "5 derived images"),
    "PET": (
        other_class("PT", PositronEmissionTomographyImageStorage),
        "5 PT images such as other/",
    ),
    "MR": (other_class("MR", MRImageStorage), "5 MR images such as other/slice-0001.dcm"),
    "a modality nobody knows": (other_class("DOEJANE", MRImageStorage), "5 other images such as"),
    "screen shots": (
        other_class("CT", SecondaryCaptureImageStorage),
        "5 images of another storage",
    ),
    "colour": (colour, "5 colour pictures such as rgb/slice-0001.dcm"),
    "bolus test": (bolus, "4 images of a series that stays at one place such as bolus0/"),
    "a dose page that is CT": (unplaced, "5 images without a place such as dose/slice-0001.dcm"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_what_is_no_slice_is_left_out_by_name(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    put, note = LEFT_OUT[kind]
    write(tmp_path / "x", series="x", series_number=5)
    put(tmp_path)
    with caplog.at_level(logging.INFO):
        assert names(tmp_path) == [""]
    assert f"left out {note}" in caplog.text
    assert f"in {tmp_path}" in caplog.text
    assert not [value for value in (*SECRETS.values(), "DOEJANE") if value in caplog.text]
    assert_same_scan(read(tmp_path), SCAN)


@pytest.mark.parametrize("kind", [k for k in LEFT_OUT if k not in (
    "another orientation", "derived without a word", "bolus test", "a dose page that is CT",
)])  # fmt: skip
def test_where_nothing_remains_the_error_says_what_was_there(tmp_path: Path, kind: str) -> None:
    put, note = LEFT_OUT[kind]
    put(tmp_path)
    with pytest.raises(
        DatasetError, match=f"found nothing but {note}.*; expected a series"
    ) as error:
        series_in(tmp_path, tmp_path, voxels_max=MOST)
    assert not [value for value in (*SECRETS.values(), "DOEJANE") if value in str(error.value)]


ALONE = {
    "lossy compression": ("DERIVED", "PRIMARY", "AXIAL"),
    "another kernel": ("DERIVED", "PRIMARY"),
    "made anonymous": ("DERIVED", "SECONDARY", "AXIAL"),
    "no type at all": (),
}


@pytest.mark.parametrize("kind", ALONE)
def test_a_derived_stack_that_is_alone_is_the_scan(tmp_path: Path, kind: str) -> None:
    write(tmp_path, image_type=ALONE[kind])
    assert_same_scan(read(tmp_path), SCAN)


def test_a_primary_reconstruction_is_a_case_beside_the_original(tmp_path: Path) -> None:
    write(tmp_path / "a", series="a", series_number=2)
    write(tmp_path / "b", series="b", series_number=3, image_type=("DERIVED", "PRIMARY", "AXIAL"))
    assert names(tmp_path) == ["s2", "s3"]


def test_a_coronal_stack_that_is_alone_is_the_scan(tmp_path: Path) -> None:
    turned(tmp_path)
    assert_same_scan(read(tmp_path), SCAN)


def test_reports_and_archives_are_passed_over(tmp_path: Path, caplog: Any) -> None:
    write(tmp_path)
    data = pydicom.dcmread(tmp_path / "slice-0001.dcm")
    del data.PixelData, data.Rows, data.Columns
    data.Modality = "SR"
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    data.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    content = zip_of(tmp_path)
    (tmp_path / "more.zip").write_bytes(content)
    assert_same_scan(read(tmp_path), SCAN)
    with caplog.at_level(logging.WARNING):
        found = read_zip(zip_of(tmp_path), Path("x.zip"), voxels_max=MOST)
    assert "left out 1 archive such as more.zip in x.zip" in caplog.text
    assert_same_scan(found, SCAN)


def phases(folder: Path, second: Volume = OTHER, **dress: Any) -> None:
    """Two acquisitions at the same places under one SeriesInstanceUID."""
    first = Volume(SCAN.array[:, :, :5], SCAN.affine)
    for k, volume in enumerate((first, second), start=1):
        how = {key: values[k - 1] for key, values in dress.items()}
        start = (k - 1) * 50 + 1
        numbers = range(start, start + volume.shape[2])
        write_series(
            folder, volume, seed="study", instance_numbers=numbers,
            dress=Dress(series_number=3, **how),
        )  # fmt: skip


PARTED = {
    "acquisitions": {"acquisition": (1, 2)},
    "phases": {
        "extra": ((("TemporalPositionIdentifier", 1),), (("TemporalPositionIdentifier", 2),))
    },
    "kernels": {"extra": ((("ConvolutionKernel", "B"),), (("ConvolutionKernel", "C"),))},
    "energies": {
        "image_type": (
            ("ORIGINAL", "PRIMARY", "AXIAL", "E1"),
            ("ORIGINAL", "PRIMARY", "AXIAL", "E2"),
        )
    },
}


@pytest.mark.parametrize("kind", PARTED)
def test_two_acquisitions_at_the_same_places_are_two_cases(tmp_path: Path, kind: str) -> None:
    phases(tmp_path, **PARTED[kind])
    first, second = series_in(tmp_path, tmp_path, voxels_max=MOST)
    assert (first.name, second.name) == ("s3-1", "s3-2")
    assert_same_scan(read(tmp_path, first), Volume(SCAN.array[:, :, :5], SCAN.affine))
    assert_same_scan(read(tmp_path, second), OTHER)


def test_acquisitions_one_above_the_other_are_one_case(tmp_path: Path) -> None:
    upper = SCAN.affine.copy()
    upper[:3, 3] = SCAN.voxel_to_world(np.array([0, 0, 5]))
    phases(tmp_path, Volume(SCAN.array[:, :, 5:], upper), acquisition=(1, 2))
    assert names(tmp_path) == [""]
    assert_same_scan(read(tmp_path), SCAN)


def test_duplicates_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    phases(tmp_path)
    assert names(tmp_path) == [""]
    with pytest.raises(DatasetError, match="5 duplicate slices"):
        read(tmp_path)


def test_positions_that_waver_by_a_little_are_one_grid(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    write(tmp_path)
    for path in tmp_path.iterdir():
        data = pydicom.dcmread(path)
        wavering = np.array(data.ImagePositionPatient, float) + rng.uniform(-0.04, 0.04, 3)
        data.ImagePositionPatient = [f"{v:.4f}" for v in wavering]
        data.save_as(path, enforce_file_format=True)
    assert_same_scan(read(tmp_path), SCAN, mm=0.06)


# Enhanced images: one file of many frames.


def edited(path: Path, change: Callable[[Any], None]) -> None:
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("reverse", [False, True])
def test_frames_lie_in_the_order_of_position(tmp_path: Path, reverse: bool) -> None:
    volume = SCAN.reorient("LPS")
    write_enhanced(tmp_path / "IM1", volume, seed="scan", dress=Dress(reverse=reverse))
    found = readers.open_volume(tmp_path)
    assert_same_scan(found, SCAN)
    numbers = tuple(range(1, 13))
    assert found.origin.instance_numbers == (numbers[::-1] if reverse else numbers)
    assert len(set(found.origin.sop_instance_uids or ())) == 1


def test_what_is_shared_may_stand_with_each_frame_and_the_other_way_round(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "IM1", SCAN, seed="scan")

    def swap(data: Any) -> None:
        shared = data.SharedFunctionalGroupsSequence[0]
        for frame in data.PerFrameFunctionalGroupsSequence:
            frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
            frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
        shared.PixelValueTransformationSequence = frame.PixelValueTransformationSequence
        for frame in data.PerFrameFunctionalGroupsSequence:
            del frame.PixelValueTransformationSequence
        del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
        data.SOPClassUID = LegacyConvertedEnhancedCTImageStorage

    edited(tmp_path / "IM1", swap)
    assert_same_scan(readers.open_volume(tmp_path), SCAN)


def test_each_frame_may_have_a_rescaling_of_its_own(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "IM1", SCAN, seed="scan")

    def change(data: Any) -> None:
        for k, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            frame.PixelValueTransformationSequence[0].RescaleIntercept = -1024 + k
        shared = copy.deepcopy(frame.PixelValueTransformationSequence)
        shared[0].RescaleIntercept = 99  # for frames that have none
        data.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = shared

    edited(tmp_path / "IM1", change)
    expected = Volume((SCAN.array + np.arange(12)).astype(np.int16), SCAN.affine)
    assert_same_scan(readers.open_volume(tmp_path), expected)


def test_stacks_of_one_file_are_cases(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "IM1", SCAN, seed="scan", dress=Dress(series_number=4))

    def change(data: Any) -> None:
        for k, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            frame.FrameContentSequence[0].StackID = "lower" if k < 5 else "upper"

    edited(tmp_path / "IM1", change)
    first, second = series_in(tmp_path, tmp_path, voxels_max=MOST)
    assert [(s.name, s.files, s.part) for s in (first, second)] == [
        ("s4-1", ("IM1",), 0), ("s4-2", ("IM1",), 1),
    ]  # fmt: skip
    assert_same_scan(read(tmp_path, first), Volume(SCAN.array[:, :, :5], SCAN.affine))
    assert read(tmp_path, second).shape[2] == 7
    assert read(tmp_path, second).origin.instance_numbers == tuple(range(6, 13))


def test_localizer_frames_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_enhanced(tmp_path / "IM1", SCAN, seed="scan")
    scouts = SCAN.reorient("LSA")
    how = Dress(series="scout", image_type=("ORIGINAL", "PRIMARY"))
    write_enhanced(tmp_path / "IM2", scouts, seed="scan", dress=how)
    edited(
        tmp_path / "IM2", lambda d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    assert_same_scan(readers.open_volume(tmp_path), SCAN)
    assert "left out 20 localizers such as IM2" in caplog.text


def frames(change: Callable[[list[Any]], None]) -> Callable[[Any], None]:
    def act(data: Any) -> None:
        items = list(data.PerFrameFunctionalGroupsSequence)
        change(items)
        data.PerFrameFunctionalGroupsSequence = Sequence(items)

    return act


BAD_FRAMES: dict[str, tuple[Callable[[Any], None], str]] = {
    "more claimed than described": (
        lambda d: setattr(d, "NumberOfFrames", 2_000_000_000),
        r"2,000,000,000 frames, of which 12 are described, in IM1",
    ),
    "fewer described": (frames(lambda f: f.pop()), "12 frames, of which 11 are described"),
    "no description": (lambda d: delattr(d, "PerFrameFunctionalGroupsSequence"), "of which 0 are"),
    "no position": (
        frames(lambda f: delattr(f[3], "PlanePositionSequence")), "no ImagePositionPatient in IM1"
    ),
    "an empty position": (
        frames(lambda f: setattr(f[3], "PlanePositionSequence", [Dataset()])),
        "no ImagePositionPatient in IM1",
    ),
    "no rescaling": (
        frames(lambda f: [delattr(x, "PixelValueTransformationSequence") for x in f]),
        "no RescaleSlope in IM1",
    ),
    "two at one place": (
        frames(lambda f: setattr(f[3], "PlanePositionSequence", f[4].PlanePositionSequence)),
        "1 duplicate slices",
    ),
    "pixels for fewer": (
        lambda d: setattr(d, "PixelData", d.PixelData[:-600]), "pixels cut short: .* in IM1"
    ),
    "a size no file holds": (
        lambda d: (setattr(d, "Rows", 60000), setattr(d, "Columns", 60000)),
        "60000 x 60000 x 12 = 43,200,000,000 voxels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_bad_enhanced_images_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    change, message = BAD_FRAMES[kind]
    write_enhanced(tmp_path / "IM1", SCAN, seed="scan", dress=Dress(extra=SECRET_DRESS))
    edited(tmp_path / "IM1", change)
    with pytest.raises(VertebraError, match=message) as caught:
        readers.open_volume(tmp_path)
    assert "\n" not in str(caught.value)
    assert not [value for value in SECRETS.values() if value in str(caught.value)]
