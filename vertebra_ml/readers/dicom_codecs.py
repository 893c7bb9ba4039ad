"""Compressed DICOM frames to stored values; every codec is named, and what is not is refused.

A codec's own header is held against the file's before anything is decoded: a small file could claim
a frame of gigabytes there. GDCM decodes in processes of its own, RLE is pydicom's.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
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

from vertebra_ml.readers.dicom_files import refused
from vertebra_ml.readers.dicom_header import Pixels
from vertebra_ml.readers.dicom_workers import Workers

JPEG: Final = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
JPEG_LS: Final = (JPEGLSLossless, JPEGLSNearLossless)
JPEG_2000: Final = (JPEG2000Lossless, JPEG2000)
NATIVE: Final = ("", ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
KNOWN: Final = (RLELossless, *JPEG, *JPEG_LS, *JPEG_2000)
FRAMES_OF_JPEG: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
"""Markers that open a frame: baseline, extended, progressive, lossless, JPEG-LS."""
EXTENDED_BITS: Final = 12


@dataclass(frozen=True)
class _Frame:
    """What a codec's own header says; ``signed`` is None where it cannot say."""

    rows: int
    columns: int
    precision: int
    components: int
    signed: bool | None


def is_compressed(pixels: Pixels) -> bool:
    """Tell whether the pixels are, or should be, a sequence of fragments."""
    return pixels.length is None or pixels.syntax not in NATIVE


def check_codec(pixels: Pixels, where: Path) -> None:
    """Raise DatasetError, naming the codec, where it is not one of those known."""
    if pixels.syntax not in KNOWN:
        syntax = UID(pixels.syntax, validation_mode=IGNORE)
        name = syntax.name if syntax.is_transfer_syntax else "something unknown"
        raise refused(where, pixels.entry, f"pixels compressed as {name}")


def frames_of(pixels: Pixels) -> list[bytes]:
    """Return the compressed frames of one file."""
    with pixels.entry.open() as file:
        file.seek(pixels.offset)
        content = file.read()
    return list(generate_frames(content, number_of_frames=pixels.frames))


def decoded(source: bytes, pixels: Pixels, workers: Workers, where: Path) -> NDArray[Any]:
    """Return the stored values (row, column) of one compressed frame.

    Raises DatasetError where the codec's header does not fit the file's, ValueError for a frame
    that cannot be decoded.
    """
    if pixels.syntax == RLELossless:
        return _run_lengths(source, pixels)
    read = _frame_of_2000 if pixels.syntax in JPEG_2000 else _frame_of_jpeg
    frame = read(source)
    if (frame.rows, frame.columns, frame.components) != (pixels.rows, pixels.columns, 1):
        raise refused(where, pixels.entry, "a compressed frame of another size than the header's")
    if pixels.syntax == JPEGExtended12Bit and pixels.stored > EXTENDED_BITS:
        raise refused(where, pixels.entry, f"JPEG of 12 bits for pixels of {pixels.stored}")
    own = pixels.syntax in (*JPEG_LS, *JPEG_2000)  # there the container follows the codec's header
    allocated = 8 * _bytes_for(frame.precision) if own else pixels.allocated
    stored = frame.precision if own else pixels.stored
    numbers = (pixels.rows, pixels.columns, allocated, stored, int(pixels.signed))
    content = workers.decode(source, pixels.syntax, numbers)
    width, rest = divmod(len(content), pixels.rows * pixels.columns)
    if rest or width not in (1, 2, 4):
        raise ValueError("a decoded frame of another size")
    array = np.frombuffer(content, f"<{'i' if pixels.signed else 'u'}{width}")
    if own and pixels.signed != bool(frame.signed):
        # The codec took signed values for unsigned ones, or the other way round.
        spare = 8 * width - frame.precision
        array = (array << spare) >> spare
    return array.reshape(pixels.rows, pixels.columns)


def _bytes_for(bits: int) -> int:
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def _run_lengths(source: bytes, pixels: Pixels) -> NDArray[Any]:
    options: dict[str, Any] = {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": int(pixels.signed),
        "bits_allocated": pixels.allocated,
        "bits_stored": pixels.stored,
        "pixel_keyword": "PixelData",
    }
    array, _ = get_decoder(RLELossless).as_array(
        encapsulate([source]), raw=True, index=0, **options
    )
    return array


def _frame_of_jpeg(source: bytes) -> _Frame:
    """Read the frame header of a JPEG or JPEG-LS stream (ITU T.81, B.2.2)."""
    place = 2 if source[:2] == b"\xff\xd8" else len(source)
    while place + 10 <= len(source):
        if source[place] != 0xFF:
            break
        marker = source[place + 1]
        if marker == 0xFF:  # fill
            place += 1
        elif marker in FRAMES_OF_JPEG:
            precision, rows, columns, components = struct.unpack_from(">BHHB", source, place + 4)
            return _Frame(rows, columns, precision, components, None)
        else:
            place += 2 + int.from_bytes(source[place + 2 : place + 4], "big")
    raise ValueError("no JPEG frame header")


def _frame_of_2000(source: bytes) -> _Frame:
    """Read the size marker of a JPEG 2000 codestream, in a JP2 wrapping or bare (T.800, A.5.1)."""
    start = source.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(source) < start + 45:
        raise ValueError("no JPEG 2000 size marker")
    right, bottom, left, top = struct.unpack_from(">4I", source, start + 8)
    components, depth = struct.unpack_from(">HB", source, start + 40)
    return _Frame(bottom - top, right - left, (depth & 0x7F) + 1, components, bool(depth & 0x80))
