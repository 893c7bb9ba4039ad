"""What holds for any DICOM series: written and read, every place keeps its HU."""

import tempfile
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.layouts import assert_same_scan, small_scan, turn, zip_of
from vertebra_ml import readers
from vertebra_ml.readers.dicom import read_folder, read_zip
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
@settings(max_examples=60, deadline=None)
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
