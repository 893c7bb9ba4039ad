"""What holds for any DICOM series: written and read, every place keeps its HU."""

import contextlib
import io
import tempfile
import zipfile
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from tests.layouts import assert_same_scan, small_scan, turn, zip_of
from vertebra_ml import readers
from vertebra_ml.errors import VertebraError
from vertebra_ml.readers.dicom import read_folder, read_zip, series_in
from vertebra_ml.readers.dicom_writer import Dress, write_enhanced, write_series
from vertebra_ml.volume import Volume

MOST = 10**7
ORIENTATIONS = ["".join(p) for axes in permutations(("RL", "AP", "SI")) for p in product(*axes)]


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Any small int16 volume: 48 orientations, turned, odd spacings, anywhere."""
    shape = tuple(draw(st.integers(2, 6)) for _ in range(3))
    spacing = [draw(st.floats(0.2, 9)) for _ in range(3)]
    angles = [draw(st.floats(-40, 40)) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn(angles) @ np.diag(spacing)
    affine[:3, 3] = [draw(st.floats(-900, 900)) for _ in range(3)]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.integers(-1024, 3071, shape, dtype=np.int16)
    turned = Volume(array, affine).reorient(draw(st.sampled_from(ORIENTATIONS)))
    return Volume(turned.array, turned.affine)


DRESSES = st.builds(
    Dress,
    syntax=st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]),
    signed=st.booleans(),
    reverse=st.booleans(),
    series_number=st.sampled_from([None, 1, 77]),
)


@given(volume=volumes(), dress=DRESSES, enhanced=st.booleans(), data=st.data())
@settings(max_examples=40)
def test_any_grid_comes_back(volume: Volume, dress: Dress, enhanced: bool, data: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if enhanced:
            write_enhanced(folder / "IM1", volume, seed="any", dress=dress)
        else:
            numbers = data.draw(st.permutations(range(volume.shape[2])))
            write_series(folder, volume, seed="any", instance_numbers=numbers, dress=dress)
        found = read_folder(folder, voxels_max=MOST)
        assert_same_scan(found, volume)
        zipped = read_zip(zip_of(folder, "a/"), Path("x.zip"), voxels_max=MOST)
        np.testing.assert_array_equal(zipped.array, found.array)
        np.testing.assert_array_equal(zipped.affine, found.affine)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


def test_a_header_longer_than_the_first_block_is_read_whole(tmp_path: Path) -> None:
    """Sequences of undefined length, cut by the end of that block, are no fault of the file."""
    volume = small_scan()
    write_enhanced(tmp_path / "IM1", volume, seed="scan")
    data = pydicom.dcmread(tmp_path / "IM1")
    data["SharedFunctionalGroupsSequence"].is_undefined_length = True
    frames = data["PerFrameFunctionalGroupsSequence"]
    frames.is_undefined_length = True
    for frame in frames.value:
        frame.is_undefined_length_sequence_item = True
        block = frame.private_block(0x0021, "VENDOR", create=True)
        block.add_new(1, "OB", bytes(20_000))
    data.save_as(tmp_path / "IM1")
    assert (tmp_path / "IM1").stat().st_size > 3 * (1 << 16)
    assert_same_scan(readers.open_volume(tmp_path), volume)
    content = zip_of(tmp_path)
    assert_same_scan(readers.open_contents(content, "x")[0].open_volume(), volume)


def test_a_slice_with_a_long_header_is_read(tmp_path: Path) -> None:
    volume = small_scan()
    for path in write_series(tmp_path, volume, seed="scan"):
        data = pydicom.dcmread(path)
        block = data.private_block(0x0009, "VENDOR", create=True)
        for element in range(9):
            block.add_new(element, "OB", bytes(20_000))
        data.save_as(path)
    assert_same_scan(readers.open_volume(tmp_path), volume)


def test_files_without_preamble_are_read_by_their_ending(tmp_path: Path) -> None:
    """As before DICOM had one, with and without the file's own description."""
    volume = small_scan()
    for k, path in enumerate(write_series(tmp_path, volume, seed="scan")):
        content = path.read_bytes()[132:]
        group_0008 = content.index(b"\x08\x00\x08\x00CS")
        path.write_bytes(content[group_0008 if k % 2 else 0 :])
    assert_same_scan(readers.open_volume(tmp_path), volume)


def put_text(path: Path, keyword: str, text: bytes) -> None:
    """Overwrite the value of a short element of an explicit little-endian file with any bytes."""
    content = path.read_bytes()
    tag = pydicom.tag.Tag(keyword)
    head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    start = content.index(head + pydicom.datadict.dictionary_VR(tag).encode(), 300)
    length = int.from_bytes(content[start + 6 : start + 8], "little")
    new = text + bytes(len(text) % 2)
    middle = content[start : start + 6] + len(new).to_bytes(2, "little") + new
    path.write_bytes(content[:start] + middle + content[start + 8 + length :])


def test_text_where_a_uid_or_number_belongs_goes_nowhere(tmp_path: Path) -> None:
    for path in write_series(tmp_path, small_scan(), seed="scan"):
        put_text(path, "SOPInstanceUID", b"Doe^Jane")
        put_text(path, "InstanceNumber", b"4Doe")
        put_text(path, "SeriesNumber", b"7e9")
    source = readers.open_volume(tmp_path).origin
    assert source.sop_instance_uids is None
    assert source.instance_numbers is None


def test_an_archives_names_are_shown_printably(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write_series(Path(scratch), small_scan(), seed="scan")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            first, second, _, *others = sorted(Path(scratch).iterdir())
            for path in (first, second, *others):
                archive.write(path, f"\x1b[31m{'x' * 300}\n{path.name}")
            archive.writestr("a\n\x1b[2J.zip", b"PK")
    listed = series_in(packed.getvalue(), Path("x.zip"), voxels_max=MOST)
    assert len(listed) == 1
    assert "left out 1 archive such as a??[2J.zip in x.zip" in caplog.text
    with pytest.raises(VertebraError, match=r"missing slices: .* after \.\.\.x") as caught:
        read_zip(packed.getvalue(), Path("x.zip"), voxels_max=MOST)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless])
@pytest.mark.parametrize("enhanced", [False, True])
def test_noise_in_a_header_never_makes_another_error(
    tmp_path: Path, syntax: str, enhanced: bool
) -> None:
    """Either a volume or our error, and no warning, whatever the bytes."""
    volume = Volume(small_scan().array[:, :, :3], small_scan().affine)
    if enhanced:
        write_enhanced(tmp_path / "IM1", volume, seed="scan", dress=Dress(syntax))
    else:
        write_series(tmp_path, volume, seed="scan", dress=Dress(syntax))
    path = sorted(tmp_path.iterdir())[0]
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(40):
        noisy = bytearray(content)
        place = int(rng.integers(132, 1500))
        noisy[place : place + int(rng.integers(0, 5))] = rng.bytes(int(rng.integers(0, 5)))
        path.write_bytes(noisy)
        with contextlib.suppress(VertebraError):
            readers.open_volume(tmp_path, voxels_max=MOST)
