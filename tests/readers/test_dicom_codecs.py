"""Compressed DICOM: the same HU through every codec, and nothing that a damaged frame can do."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.layouts import assert_same_scan, small_scan
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.dicom_codecs import decoded, frames_of
from vertebra_ml.readers.dicom_files import Entry
from vertebra_ml.readers.dicom_header import pictures_in
from vertebra_ml.readers.dicom_workers import Workers
from vertebra_ml.readers.dicom_writer import Dress, write_enhanced, write_series
from vertebra_ml.volume import Volume

LOSSLESS = {
    "JPEG lossless, process 14": JPEGLossless,
    "JPEG lossless, first order": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG-LS near-lossless": JPEGLSNearLossless,  # as GDCM writes it: with an error of none
    "JPEG 2000 lossless": JPEG2000Lossless,
    "RLE": RLELossless,
}
STORED = {
    "signed, 16 bits": {},
    "unsigned, 16 bits": {"signed": False},
    "signed, 12 bits": {"stored_bits": 12, "intercept": 0},
    "unsigned, 12 bits": {"signed": False, "stored_bits": 12},
}
SCAN = small_scan()
FEW = Volume(SCAN.array[:, :, :4], SCAN.affine)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("codec", LOSSLESS)
def test_lossless_codecs_give_the_same_values(tmp_path: Path, codec: str, stored: str) -> None:
    write_series(tmp_path, FEW, seed="scan", dress=Dress(LOSSLESS[codec], **STORED[stored]))
    volume = readers.open_volume(tmp_path)
    assert volume.array.dtype == np.int16
    assert_same_scan(volume, FEW)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("stored", [8, 12, 16])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_native_values_of_any_width_and_order(
    tmp_path: Path, syntax: UID, stored: int, signed: bool
) -> None:
    if syntax == ExplicitVRBigEndian and stored == 8:
        write_series(tmp_path, FEW, seed="scan", dress=Dress(syntax, True, 8, 8))
        with pytest.raises(DatasetError, match="big-endian pixels of 8 bits"):
            readers.open_volume(tmp_path)
        return
    intercept = {8: 120, 12: 0, 16: -1024}[stored] if signed else {8: -8}.get(stored, -1024)
    clipped = Volume(np.clip(FEW.array, intercept - 100, intercept + 100), FEW.affine)
    if not signed:
        clipped = Volume(np.clip(FEW.array, intercept, intercept + 200), FEW.affine)
    dress = Dress(
        syntax, signed=signed, stored_bits=stored, allocated_bits=8 if stored == 8 else 16,
        intercept=intercept,
    )  # fmt: skip
    write_series(tmp_path, clipped, seed="scan", dress=dress)
    assert_same_scan(readers.open_volume(tmp_path), clipped)


def test_thirty_two_bits_are_held_at_the_ends_of_int16(tmp_path: Path) -> None:
    dress = Dress(allocated_bits=32, stored_bits=32, intercept=0, slope=1)
    array = FEW.array.astype(np.float32)
    array[0, 0], array[1, 0] = 1e6, -1e6
    write_series(tmp_path, Volume(array, FEW.affine), seed="scan", dress=dress)
    found = readers.open_volume(tmp_path)
    assert_same_scan(found, Volume(np.clip(array, -32768, 32767).astype(np.int16), FEW.affine))


LOSSY = {  # stored bits, sign, HU that a smooth picture may lose
    "JPEG 2000": (JPEG2000, 12, True, 4),
    "JPEG extended, 12 bits": (JPEGExtended12Bit, 12, True, 6),
    "JPEG extended, unsigned": (JPEGExtended12Bit, 12, False, 6),
    "JPEG baseline": (JPEGBaseline8Bit, 8, False, 6),
}


@pytest.mark.parametrize("codec", LOSSY)
def test_lossy_codecs_keep_smooth_values_to_a_few_hu(tmp_path: Path, codec: str) -> None:
    syntax, stored, signed, hu = LOSSY[codec]
    x, y, z = np.meshgrid(*map(np.arange, (48, 40, 3)), indexing="ij")
    smooth = (100 * np.sin(x / 9) * np.cos(y / 7) + 10 * z).astype(np.int16)
    volume = Volume(smooth, FEW.affine)
    dress = Dress(
        syntax, signed=signed, stored_bits=stored, allocated_bits=8 if stored == 8 else 16,
        intercept=-1024 if stored == 12 else -120,
    )  # fmt: skip
    write_series(tmp_path, volume, seed="scan", dress=dress)
    assert_same_scan(readers.open_volume(tmp_path), volume, hu=hu)


@pytest.mark.parametrize("codec", LOSSLESS)
def test_frames_of_an_enhanced_image_are_compressed_one_by_one(tmp_path: Path, codec: str) -> None:
    write_enhanced(tmp_path / "ct", FEW, seed="scan", dress=Dress(LOSSLESS[codec]))
    assert_same_scan(readers.open_volume(tmp_path), FEW)


def damaged(folder: Path, change: object) -> None:
    """Replace the frame of one file."""
    path = folder / "slice-0002.dcm"
    data = pydicom.dcmread(path)
    frame = next(generate_frames(data.PixelData, number_of_frames=1))
    data.PixelData = encapsulate([change(bytearray(frame))])  # type: ignore[operator]
    data["PixelData"].is_undefined_length = True
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[UID, Path]:
    """A compressed series for each codec, to be copied and spoiled."""
    root = tmp_path_factory.mktemp("codecs")
    found = {}
    for syntax in (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless):
        found[syntax] = root / syntax
        write_series(found[syntax], FEW, seed="scan", dress=Dress(syntax))
    return found


DAMAGED = {
    "cut in half": lambda frame: bytes(frame[: len(frame) // 2]),
    "nothing": lambda frame: b"\0\0",
    "text": lambda frame: b"no picture at all " * 9,
    "noise behind the header": lambda frame: bytes(frame[:120]) + bytes(range(256)) * 4,
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_a_damaged_frame_is_one_line_or_another_picture(
    tmp_path: Path, templates: dict[UID, Path], syntax: UID, kind: str
) -> None:
    """No codec carries a sum over its values, so that some damage cannot be told."""
    shutil.copytree(templates[syntax], tmp_path / "ct")
    damaged(tmp_path / "ct", DAMAGED[kind])
    lines = []
    try:
        readers.open_volume(tmp_path / "ct")
    except DatasetError as error:
        lines = str(error).split("\n")
    if not lines:
        assert kind in ("cut in half", "noise behind the header")
    else:
        assert len(lines) == 1
        assert "in slice-0002.dcm" in lines[0]


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
def test_a_frame_that_claims_another_size_is_not_decoded(
    tmp_path: Path, templates: dict[UID, Path], syntax: UID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The codec's own header could claim gigabytes in a small file."""

    def change(frame: bytearray) -> bytes:
        place = frame.index(b"\xff\x51") if syntax == JPEG2000Lossless else 0
        marker = {JPEGLosslessSV1: b"\xff\xc3", JPEGLSLossless: b"\xff\xf7"}.get(syntax)
        start = place + 6 if marker is None else frame.index(marker) + 5
        frame[start : start + 2] = b"\x7f\xff"
        return bytes(frame)

    shutil.copytree(templates[syntax], tmp_path / "ct")
    damaged(tmp_path / "ct", change)
    asked = []
    whole = Workers.decode

    def decode(self: Workers, source: bytes, *rest: object) -> bytes:
        asked.append(b"\x7f\xff" in source[:200])
        return whole(self, source, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Workers, "decode", decode)
    with pytest.raises(DatasetError, match=r"another size than the header's in slice-0002.dcm"):
        readers.open_volume(tmp_path / "ct")
    assert True not in asked


def test_a_decoder_that_dies_is_one_line_and_the_next_frame_is_decoded() -> None:
    with Workers() as workers:
        for _ in range(2 * workers.count):  # each would be lost if the dead were put back
            with pytest.raises(ValueError, match="the decoder ended"):
                workers.decode(b"x", "not a syntax at all", (1, 1, 8, 8, 0))


def test_a_decoder_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vertebra_ml.readers.dicom_workers.SECONDS_MAX", 0.3)
    asleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    monkeypatch.setattr(
        "vertebra_ml.readers.dicom_workers._start", lambda: subprocess.Popen(asleep, **pipes)
    )
    with Workers() as workers, pytest.raises(ValueError, match="the decoder ended"):
        workers.decode(b"x", JPEGLosslessSV1, (1, 1, 8, 8, 0))


@pytest.mark.parametrize(
    ("syntax", "name"),
    [(HTJ2KLossless, "High-Throughput JPEG 2000"), (UID("1.2.3.4.567"), "something unknown")],
)
def test_what_cannot_be_decoded_is_refused_by_name(
    tmp_path: Path, templates: dict[UID, Path], syntax: UID, name: str
) -> None:
    shutil.copytree(templates[RLELossless], tmp_path / "ct")
    for path in (tmp_path / "ct").iterdir():
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        data.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(DatasetError, match=f"pixels compressed as {name}") as caught:
        readers.open_volume(tmp_path / "ct")
    assert "1.2.3.4.567" not in str(caught.value)


def test_padding_becomes_air_where_no_tissue_has_its_value(tmp_path: Path) -> None:
    array = FEW.array.copy()
    array[:3, :3] = -2000 - 1024
    padded = Volume(array, FEW.affine)
    dress = Dress(extra=(("PixelPaddingValue", -2000),))
    write_series(tmp_path / "below", padded, seed="scan", dress=dress)
    found = readers.open_volume(tmp_path / "below")
    array[:3, :3] = -1024
    assert_same_scan(found, Volume(array, FEW.affine))
    dress = Dress(intercept=0, extra=(("PixelPaddingValue", 0),))  # water, in HU
    array[:3, :3] = 0
    write_series(tmp_path / "water", Volume(array, FEW.affine), seed="scan", dress=dress)
    assert_same_scan(readers.open_volume(tmp_path / "water"), Volume(array, FEW.affine))


def test_bits_above_those_stored_do_not_matter(tmp_path: Path) -> None:
    """Old files keep overlays there."""
    dress = Dress(signed=False, stored_bits=12)
    for path in write_series(tmp_path, FEW, seed="scan", dress=dress):
        data = pydicom.dcmread(path)
        stored = np.frombuffer(data.PixelData, "<u2").copy()
        stored[::3] |= 0x8000
        data.PixelData = stored.tobytes()
        data.save_as(path, enforce_file_format=True)
    assert_same_scan(readers.open_volume(tmp_path), FEW)


FOREIGN = (
    "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "rtdose_rle.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_files_that_others_compressed_are_what_pydicom_makes_of_them(name: str) -> None:
    """Among them one whose codec says unsigned where the header says signed."""
    path = Path(pydicom.data.__file__).parent / "test_files" / name  # part of pydicom itself
    entry = Entry(name, path.stat().st_size, lambda: path.open("rb"))
    pixels = (pictures_in(entry, path) or [])[0].pixels
    with Workers() as workers:
        found = decoded(frames_of(pixels)[0], pixels, workers, path)
    expected = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(found, expected[0] if expected.ndim == 3 else expected)
