"""DICOM series in every order and dress, and every refusal by its message."""

import contextlib
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from tests.dicom_edits import Edit, edit, setting, without
from tests.layouts import GRIDS, assert_same_scan, dicom_folder, make_scan, small_scan, zip_of
from vertebra_ml import readers
from vertebra_ml.errors import LimitError, VertebraError
from vertebra_ml.readers.dicom import read_zip
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.volume import Volume

SCAN = small_scan()
SLICES = SCAN.shape[2]


def edit_all(folder: Path, change: Edit) -> None:
    """Change each file of a folder in place."""
    for path in sorted(folder.rglob("*.dcm")):
        edit(path, change)


def test_slices_lie_in_the_order_of_position_whatever_their_numbers(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3).permutation(SLICES) + 1
    volume = readers.open_volume(dicom_folder(tmp_path, instance_numbers=numbers.tolist()))
    assert_same_scan(volume, SCAN)
    # Written in RAS; rows x columns then points to the head too, so foot to head is kept.
    assert volume.origin.instance_numbers == tuple(numbers)
    for k in (0, 5, 11):
        place = volume.origin.slice_at(volume.voxel_to_world(np.array([3, 4, k])))
        assert place is not None
        assert (place.index, place.instance_number) == (k, numbers[k])
        data = pydicom.dcmread(tmp_path / f"slice-{numbers[k]:04d}.dcm")
        assert place.sop_instance_uid == data.SOPInstanceUID


def test_the_first_pixel_lies_where_its_header_says(tmp_path: Path) -> None:
    """DICOM part 3, C.7.6.2.1.1, written out by hand for one pixel of one slice."""
    scan = make_scan(GRIDS["oblique"])
    (path, *_) = write_series(tmp_path, scan, seed="x")
    volume = readers.open_volume(tmp_path)
    data = pydicom.dcmread(path)
    row, column = 7, 12
    along, down = np.array(data.ImageOrientationPatient).reshape(2, 3).astype(float)
    lps = (
        np.array(data.ImagePositionPatient, dtype=float)
        + along * float(data.PixelSpacing[1]) * column
        + down * float(data.PixelSpacing[0]) * row
    )
    voxel = volume.world_to_voxel(lps * [-1, -1, 1])
    x, y, z = np.round(voxel).astype(int)
    assert voxel == pytest.approx([x, y, z], abs=1e-4)
    assert volume.array[x, y, z] == int(data.pixel_array[row, column]) + data.RescaleIntercept


def test_a_left_handed_grid_comes_back_along_the_normal(tmp_path: Path) -> None:
    scan = make_scan(GRIDS["coronal, left-handed"])
    write_series(tmp_path, scan, seed="x")
    volume = readers.open_volume(tmp_path)
    assert np.linalg.det(volume.affine[:3, :3]) > 0
    assert_same_scan(volume, scan)
    assert volume.origin.instance_numbers == tuple(range(scan.shape[2], 0, -1))


def test_a_coronal_stack_has_slices_of_no_one_file(tmp_path: Path) -> None:
    write_series(tmp_path, make_scan(GRIDS["coronal, left-handed"]), seed="x")
    place = readers.open_volume(tmp_path).origin.slice_at(np.array([0.0, 0.0, 0.0]))
    assert place is not None
    assert (place.instance_number, place.sop_instance_uid) == (None, None)


def rescale_each(data: Any) -> None:
    """Give each slice its own slope, as PET-like CT writers do, for the same HU."""
    hu = data.pixel_array.astype(float) - 1024
    slope = 0.5 if int(data.InstanceNumber) % 2 else 0.25
    data.RescaleSlope, data.RescaleIntercept = str(slope), "-1000"
    data.PixelData = np.round((hu + 1000) / slope).astype("<i2").tobytes()


def unsigned(data: Any) -> None:
    data.PixelData = (data.pixel_array.astype(int) + 100).astype("<u2").tobytes()
    data.PixelRepresentation = 0
    data.RescaleIntercept = -1124


def whole_slope(data: Any) -> None:
    """Even HU only, stored by halves."""
    data.PixelData = (data.pixel_array // 2).astype("<i2").tobytes()
    data.RescaleSlope = 2


def rle(data: Any) -> None:
    data.compress(RLELossless, generate_instance_uid=False)


def deflated(data: Any) -> None:
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def unknown_codec(data: Any) -> None:
    rle(data)
    data.file_meta.TransferSyntaxUID = HTJ2KLossless


DRESSES: dict[str, tuple[Edit, type]] = {
    "a slope of its own for each slice": (rescale_each, np.float32),
    "unsigned": (unsigned, np.int16),
    "a whole slope": (whole_slope, np.int16),
    "run-length encoded": (rle, np.int16),
    "no instance numbers": (setting(InstanceNumber=None), np.int16),
    "unit not said": (without("RescaleType"), np.int16),
    "positions to a tenth": (
        lambda d: setattr(
            d, "ImagePositionPatient", [f"{float(v):.1f}" for v in d.ImagePositionPatient]
        ),
        np.int16,
    ),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_scan_in_every_dress(tmp_path: Path, dress: str) -> None:
    change, dtype = DRESSES[dress]
    edit_all(dicom_folder(tmp_path), change)
    volume = readers.open_volume(tmp_path)
    assert volume.array.dtype == dtype
    hu = 1 if dress == "a whole slope" else 0
    assert_same_scan(volume, SCAN, hu=hu, mm=0.1 if "tenth" in dress else 0.01)
    if dress == "no instance numbers":
        assert volume.origin.instance_numbers is None


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_same_scan_in_every_byte_order(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    for path in dicom_folder(tmp_path).iterdir():
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
        changed = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
        pydicom.dcmwrite(path, data, force_encoding=True, **changed)
    assert_same_scan(readers.open_volume(tmp_path), SCAN)


@pytest.mark.parametrize("slope", [1, 2])
def test_values_beyond_int16_are_held_at_its_ends(tmp_path: Path, slope: int) -> None:
    def change(data: Any) -> None:
        stored = data.pixel_array.copy()
        stored[0, :2] = -32768, 32767
        data.PixelData, data.RescaleSlope = stored.tobytes(), slope

    edit_all(dicom_folder(tmp_path), change)
    found = readers.open_volume(tmp_path).array[:2, 0, 0].tolist()
    assert found == [-32768, 31743 if slope == 1 else 32767]  # 32767 - 1024


def test_other_files_hidden_ones_and_folders_do_not_matter(tmp_path: Path) -> None:
    dicom_folder(tmp_path / "series" / "part")
    (tmp_path / "series" / "README.txt").write_text("text")
    (tmp_path / "series" / ".hidden.dcm").write_text("text")
    (tmp_path / "series" / "empty").mkdir()
    moved = tmp_path / "series" / "IM0001"  # no ending
    (tmp_path / "series" / "part" / "slice-0001.dcm").rename(moved)
    assert_same_scan(readers.open_volume(tmp_path / "series"), SCAN)


@pytest.mark.parametrize("prefix", ["", "patient/study/series/", "./"])
def test_a_zip_of_the_folder_is_the_same_scan(tmp_path: Path, prefix: str) -> None:
    content = zip_of(dicom_folder(tmp_path / "series"), prefix)
    (tmp_path / "scan.zip").write_bytes(content)
    before = set(tmp_path.rglob("*"))
    folder = readers.open_volume(tmp_path / "series")
    for volume in (
        readers.open_case(tmp_path / "scan.zip").open_volume(),
        readers.open_contents(content, "scan")[0].open_volume(),
    ):
        np.testing.assert_array_equal(volume.array, folder.array)
        np.testing.assert_array_equal(volume.affine, folder.affine)
        assert volume.origin.sop_instance_uids == folder.origin.sop_instance_uids
    assert set(tmp_path.rglob("*")) == before


def tilt(data: Any) -> None:
    x, y, z = (float(v) for v in data.ImagePositionPatient)
    data.ImagePositionPatient = [x, y + 0.8 * z, z]


def shift_some(data: Any) -> None:
    x, y, z = (float(v) for v in data.ImagePositionPatient)
    data.ImagePositionPatient = [x + (3 if 4 < data.InstanceNumber < 8 else 0), y, z]


def stretch(data: Any) -> None:
    """Gaps that grow by a little each: no two neighbours differ much, the ends do."""
    x, y, z = (float(v) for v in data.ImagePositionPatient)
    data.ImagePositionPatient = [x, y, z * 1.08 if z > 0 else z]


def first(folder: Path) -> Path:
    return folder / "slice-0003.dcm"


def remove(*numbers: int) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        for number in numbers:
            (folder / f"slice-{number:04d}.dcm").unlink()

    return act


def move(number: int, mm: float) -> Callable[[Path], None]:
    def change(data: Any) -> None:
        x, y, z = (float(v) for v in data.ImagePositionPatient)
        data.ImagePositionPatient = [x, y, z + mm]

    return lambda folder: edit(folder / f"slice-{number:04d}.dcm", change)


def second_series(folder: Path) -> None:
    other = Volume(SCAN.array[:, :, :3], SCAN.affine)
    for path in write_series(folder / "other", other, seed="other"):
        path.rename(folder / f"z-{path.name}")


def only(folder: Path, *names: str) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def every(change: Edit) -> Callable[[Path], None]:
    return lambda folder: edit_all(folder, change)


def one(change: Edit) -> Callable[[Path], None]:
    return lambda folder: edit(first(folder), change)


def cut(share: float) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        content = first(folder).read_bytes()
        first(folder).write_bytes(content[: int(len(content) * share)])

    return act


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty folder": (lambda f: only(f), "found no file"),
    "folder without images": (
        lambda f: (only(f), (f / "a.txt").write_text("a"), (f / "b.jpg").write_bytes(b"b")),
        "found 2 files, none a DICOM image; expected a DICOM series",
    ),
    "a text file named .dcm": (
        lambda f: first(f).write_text("text"),
        "does not start as DICOM does in slice-0003.dcm",
    ),
    "an empty file named .dcm": (lambda f: first(f).write_bytes(b""), "does not start as DICOM"),
    "a missing slice": (
        remove(5),
        r"found 1 missing slices: a gap of 8.00 mm after slice-0004.dcm, where .* is 4.00 mm",
    ),
    "missing slices": (remove(5, 6, 9), "found 3 missing slices"),
    "a duplicate slice": (
        lambda f: shutil.copy(first(f), f / "copy.dcm"),
        "found 1 duplicate slices, the first .*(copy|slice-0003).dcm at one position",
    ),
    "the series twice": (
        lambda f: [shutil.copy(p, f / f"again-{p.name}") for p in sorted(f.iterdir())],
        f"found {SLICES} duplicate slices",
    ),
    "an uneven slice": (move(6, 1.2), "found 2 uneven gaps, the first 5.20 mm after slice-0005"),
    "gaps of two kinds": (
        lambda f: (only(f), write_series(f, make_scan(), seed="x"), edit_all(f, stretch)),
        "found uneven positions",
    ),
    "a gantry tilt": (every(tilt), "found a gantry tilt of 38.7 degrees"),
    "slices moved aside": (every(shift_some), "uneven positions: .* aside of an even grid"),
    "two series": (
        second_series,
        f"found 2 CT series: s1-1 of {SLICES} slices such as slice-0001.dcm; s1-2 of 3 slices such",
    ),
    "another size": (
        one(lambda d: (setting(Rows=d.Rows - 1)(d), setattr(d, "PixelData", b"\0" * 2))),
        "found 2 image sizes: .*; 1 file such as slice-0003",
    ),
    "another spacing": (one(setting(PixelSpacing=[1, 1])), "found 2 pixel spacings"),
    "another orientation": (
        one(setting(ImageOrientationPatient=[1, 0, 0, 0, 0.98, -0.199])),
        r"found 2 orientations \(a localizer\?\): .*; 1 file such as slice-0003",
    ),
    "a slice lost as a localizer": (
        one(setting(ImageOrientationPatient=[0, 1, 0, 0, 0, -1])),
        "found 1 missing slices",
    ),
    "MR": (every(setting(Modality="MR")), "nothing but 12 MR images such as slice-0001.dcm; exp"),
    "one PET slice": (one(setting(Modality="PT")), "found 1 missing slices"),
    "a single slice": (lambda f: only(f, "slice-0003.dcm"), "found a single slice"),
    "a picture": (
        every(setting(SOPClassUID=SecondaryCaptureImageStorage)),
        "nothing but 12 images of another storage class than CT",
    ),
    "enhanced CT": (every(setting(SOPClassUID=EnhancedCTImageStorage)), "1 frames, of which 0 are"),
    "many frames": (every(setting(NumberOfFrames=2)), "many frames in an image of one in slice-00"),
    "colour": (every(setting(SamplesPerPixel=3)), "nothing but 12 colour pictures"),
    "no position": (one(without("ImagePositionPatient")), "no ImagePositionPatient in slice-0003"),
    "no orientation": (every(without("ImageOrientationPatient")), "no ImageOrientationPatient"),
    "no spacing": (every(without("PixelSpacing")), "no PixelSpacing"),
    "no intercept": (every(without("RescaleIntercept")), "no RescaleIntercept"),
    "not HU": (every(setting(RescaleType="MGML")), "values that are not in HU in slice-0001"),
    "two numbers for a position": (
        one(setting(ImagePositionPatient=[1, 2])),
        "a ImagePositionPatient that is not 3 finite numbers",
    ),
    "directions not at right angles": (
        every(setting(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0])),
        "no pair of right-angled directions",
    ),
    "directions of zeros": (
        every(setting(ImageOrientationPatient=[0] * 6)),
        "no pair of right-angled directions",
    ),
    "a negative spacing": (every(setting(PixelSpacing=[-1, 1])), "negative PixelSpacing in slice"),
    "a spacing of zero": (every(setting(PixelSpacing=[0, 0])), "spacing of .*0.0, 0.0"),
    "pixels cut": (cut(0.8), "pixels cut short: .* bytes in slice-0003.dcm"),
    "header cut": (cut(0.4), "found an image without pixels in slice-0003.dcm"),
    "header cut early": (cut(0.05), "does not start as DICOM does in slice-0003.dcm"),
    "deflated": (every(deflated), "a deflated data set in slice-0001.dcm"),
    "an unknown codec": (
        every(unknown_codec),
        "pixels compressed as High-Throughput JPEG 2000",
    ),
}


SECRETS = {
    "PatientName": "Doe^Jane", "PatientID": "SECRET77", "PatientBirthDate": "19511231",
    "StudyDate": "20200229", "AccessionNumber": "ACC4711", "SeriesInstanceUID": "1.2.3.4711",
}  # fmt: skip


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good series full of a patient's data, to be copied and spoiled."""
    folder = dicom_folder(tmp_path_factory.mktemp("dicom") / "ct")
    edit_all(folder, setting(**SECRETS))
    return folder


@pytest.mark.parametrize("kind", BAD)
def test_bad_series_are_refused_in_one_line(tmp_path: Path, template: Path, kind: str) -> None:
    spoil, message = BAD[kind]
    folder = tmp_path / "ct"
    shutil.copytree(template, folder)
    spoil(folder)
    with pytest.raises(VertebraError, match=message) as caught:
        readers.open_volume(folder)
    line = str(caught.value)
    assert line.startswith(f"{folder}: found ")
    assert "\n" not in line
    assert not [value for value in SECRETS.values() if value in line.removeprefix(str(folder))]
    assert caught.value.__cause__ is None
    if any(folder.iterdir()):
        with pytest.raises(VertebraError, match=message):
            read_zip(zip_of(folder), Path("scan.zip"), voxels_max=10**9)


def test_a_byte_changed_in_an_archive_is_found_by_its_sum(tmp_path: Path) -> None:
    content = bytearray(zip_of(dicom_folder(tmp_path), method=zipfile.ZIP_STORED))
    content[len(content) // 2] ^= 1  # somewhere in the pixels of a slice
    with pytest.raises(VertebraError, match=r"a broken DICOM file .BadZipFile. in slice-00"):
        read_zip(bytes(content), Path("scan.zip"), voxels_max=10**9)


def zip_with(*names: str, content: bytes = b"x") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


def encrypted() -> bytes:
    content = bytearray(zip_with("a.dcm"))
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    return bytes(content)


BAD_ZIPS = {
    "an entry above the archive": (zip_with("a.dcm", "../b.dcm"), r"an entry named '../b.dcm'"),
    "an entry above, further in": (zip_with("a/../../b.dcm"), "names that stay within"),
    "an absolute entry": (zip_with("/tmp/b.dcm"), "an entry named '/tmp/b.dcm'"),
    "an entry above with backslashes": (zip_with("..\\b.dcm"), "names that stay within"),
    "an entry on a drive": (zip_with("C:\\b.dcm"), "names that stay within"),
    "an empty archive": (zip_with(), "found no file"),
    "an archive of text": (zip_with("a.txt", "b.txt"), "found 2 files, none a DICOM image"),
    "half an archive": (zip_with("a.dcm", content=b"x" * 9999)[:40], "cannot be read .BadZip"),
    "an encrypted archive": (encrypted(), "encrypted entries"),
    "a bomb": (zip_with("a.dcm", content=bytes(10**6)), "1,000,000 bytes unpacked; expected"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_ZIPS)
def test_bad_archives_are_refused(tmp_path: Path, kind: str) -> None:
    content, message = BAD_ZIPS[kind]
    (tmp_path / "scan.zip").write_bytes(content)
    with pytest.raises(VertebraError, match=message):
        readers.open_case(tmp_path / "scan.zip", voxels_max=200_000).open_volume()
    assert [p.name for p in tmp_path.rglob("*")] == ["scan.zip"]


def test_too_many_voxels_are_refused_before_pixels_are_read(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="voxels; expected at most 1,000"):
        readers.open_volume(dicom_folder(tmp_path), voxels_max=1000)


def test_written_series_hold_no_patient_and_are_the_same_each_time(tmp_path: Path) -> None:
    (path, *_) = sorted(dicom_folder(tmp_path / "a").iterdir())
    assert path.read_bytes() == (dicom_folder(tmp_path / "b") / path.name).read_bytes()
    data = pydicom.dcmread(path)
    assert data.SOPClassUID == CTImageStorage
    assert not any(data[k].value for k in ("PatientName", "PatientID", "PatientBirthDate"))


def test_a_header_turned_to_noise_never_makes_another_error(tmp_path: Path, template: Path) -> None:
    """Bytes replaced, cut out and put in: either our error or a volume, nothing else."""
    folder = tmp_path / "ct"
    folder.mkdir()
    for path in sorted(template.iterdir())[:3]:
        shutil.copy(path, folder)
    content = first(folder).read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(150):
        noisy = bytearray(content)
        place = int(rng.integers(0, 1400))
        noisy[place : place + int(rng.integers(0, 5))] = rng.bytes(int(rng.integers(0, 5)))
        first(folder).write_bytes(noisy)
        with contextlib.suppress(VertebraError):
            readers.open_volume(folder)
