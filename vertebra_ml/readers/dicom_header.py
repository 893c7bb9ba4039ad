"""One DICOM file's header: which pictures it holds, what they say of themselves, where pixels lie.

Values are looked up, not yet checked: a picture that is left out of every series may say anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from vertebra_ml.readers.dicom_files import BROKEN, Entry, reading, refused

MAGIC_END: Final = 132  # 128 bytes of preamble, then "DICM"
META_BYTES: Final = 4096  # the file's own description lies within these
HEAD_BYTES: Final = 1 << 16  # nearly every header of one slice lies within these
DEFLATED: Final = DeflatedExplicitVRLittleEndian.encode()  # it expands without a bound
NAMED_DICOM: Final = (".dcm", ".ima", ".dicom")
PIXELS_TAG: Final = 0x7FE00010
LAST_TAG: Final = 0x7FE00008  # float pixels, and whatever comes after: none of it is a header
SINGLE_FRAME: Final = (CTImageStorage,)
MULTI_FRAME: Final = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
UNREADABLE: Final = "?"  # no number, no class and no modality
UNDEFINED: Final = 0xFFFFFFFF
KEYWORDS: Final = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "SeriesInstanceUID", "SeriesNumber",
    "AcquisitionNumber", "TemporalPositionIdentifier", "ConvolutionKernel", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "SamplesPerPixel", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "ConcatenationFrameOffsetNumber",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
TAGS: Final = [Tag(keyword) for keyword in KEYWORDS]
GROUPS: Final = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}
"""Where an enhanced image keeps what a slice says at its top level."""


@dataclass(frozen=True)
class Pixels:
    """How the pixels of one file are stored; nothing here has been held against the file yet.

    Parameters
    ----------
    offset : of the value of Pixel Data in the file.
    length : bytes of that value; None where it is a sequence of fragments.
    padding : stored values, least and largest, that stand for no measurement.
    """

    entry: Entry
    syntax: str
    big_endian: bool
    offset: int
    length: int | None
    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame of one file, and what its header says by keyword, in functional groups too."""

    entry: Entry
    pixels: Pixels
    frame: int
    values: Mapping[str, Any]

    def get(self, keyword: str) -> Any:
        """Return a value; None where the header has none, ``?`` where it cannot be read."""
        return self.values.get(keyword)

    @cached_property
    def normal(self) -> NDArray[np.float64] | None:
        """(3,) across the picture: rows x columns, LPS; None where it has no direction."""
        directions = vector(self.get("ImageOrientationPatient"), 6)
        return None if directions is None else np.cross(directions[:3], directions[3:])

    @cached_property
    def place(self) -> float | None:
        """How far along its normal the picture lies, mm; None where it does not say."""
        position = vector(self.get("ImagePositionPatient"), 3)
        return None if position is None or self.normal is None else float(position @ self.normal)

    @property
    def kind(self) -> tuple[str, ...]:
        """The values of ImageType, or of an enhanced image's FrameType, in capitals."""
        return words(self.get("FrameType")) or words(self.get("ImageType"))

    @property
    def multi_frame(self) -> bool:
        """Whether its file is an enhanced image."""
        return self.get("SOPClassUID") in MULTI_FRAME


def words(value: Any) -> tuple[str, ...]:
    """Return a text of one or many values as a tuple in capitals; empty where there is none."""
    if value is None or value == "":
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(word).strip().upper() for word in values)


def vector(value: Any, length: int) -> NDArray[np.float64] | None:
    """Return ``length`` finite numbers, or None where the value is anything else."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers.shape == (length,) and np.isfinite(numbers).all() else None


def pictures_in(entry: Entry, where: Path) -> list[Picture] | None:
    """Return the pictures of one file; None where it is not DICOM, empty where it holds none.

    Raises DatasetError for a file that is broken, deflated, or an image without pixels.
    """
    with reading(entry, where):
        with entry.open() as file:
            head = file.read(HEAD_BYTES)
            if head[MAGIC_END - 4 : MAGIC_END] != b"DICM":
                if entry.name.lower().endswith(NAMED_DICOM):
                    raise refused(where, entry, "a file that does not start as DICOM does")
                return None
            if DEFLATED in head[:META_BYTES]:
                raise refused(where, entry, "a deflated data set")
            header, place = _parse(BytesIO(head))
        if place is None and len(head) < entry.size:
            with entry.open() as file:
                header, place = _parse(_buffered(file))
        if place is None or "Rows" not in header:
            kind = header.file_meta.get("MediaStorageSOPClassUID")
            if kind is None or "Image Storage" in kind.name:  # a report or a DICOMDIR is no image
                raise refused(where, entry, "an image without pixels")
            return []
        return _pictures(header, _pixels(header, place, entry), where)


def _buffered(file: IO[bytes]) -> Any:
    import io

    return io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file


def _parse(file: Any) -> tuple[Any, tuple[int, int] | None]:
    """Read a header; the second is where the value of Pixel Data starts, and its length."""
    seen: list[tuple[int, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag < LAST_TAG:
            return False
        if tag == PIXELS_TAG:
            seen.append((file.tell(), length))
        return True

    header = read_partial(file, stop_when=at_pixels, specific_tags=list(TAGS))
    return header, seen[0] if seen else None


def _pixels(header: Any, place: tuple[int, int], entry: Entry) -> Pixels:
    offset, length = place
    big_endian = not header.original_encoding[1]

    def number(keyword: str, default: int) -> int:
        value = header.get(keyword)
        if isinstance(value, bytes):  # implicit VR leaves open whether it is signed
            value = int.from_bytes(value[:2], "big" if big_endian else "little")
        return default if value in (None, "", b"") else int(value)

    syntax = header.file_meta.get("TransferSyntaxUID")
    allocated = number("BitsAllocated", 16)
    stored = number("BitsStored", allocated)
    padding = number("PixelPaddingValue", 1 << 32)
    limit = number("PixelPaddingRangeLimit", padding)
    return Pixels(
        entry=entry,
        syntax=str(syntax or ""),
        big_endian=big_endian,
        offset=offset,
        length=None if length == UNDEFINED else length,
        rows=number("Rows", 0),
        columns=number("Columns", 0),
        frames=number("NumberOfFrames", 1),
        samples=number("SamplesPerPixel", 1),
        allocated=allocated,
        stored=stored,
        high_bit=number("HighBit", stored - 1),
        signed=number("PixelRepresentation", 0) == 1,
        padding=None if padding == 1 << 32 else (min(padding, limit), max(padding, limit)),
    )


def _pictures(header: Any, pixels: Pixels, where: Path) -> list[Picture]:
    own = {keyword: _value(header, keyword) for keyword in KEYWORDS if keyword in header}
    if own.get("SOPClassUID") not in MULTI_FRAME:
        return [Picture(pixels.entry, pixels, 0, own)]
    shared = own.pop("SharedFunctionalGroupsSequence", None) or ()
    frames = own.pop("PerFrameFunctionalGroupsSequence", None) or ()
    if len(frames) != pixels.frames:
        found = f"{pixels.frames:,} frames, of which {len(frames):,} are described,"
        raise refused(where, pixels.entry, found)
    for group in shared[:1]:
        own |= _grouped(group)
    return [
        Picture(pixels.entry, pixels, k, own | _grouped(group)) for k, group in enumerate(frames)
    ]


def _grouped(groups: Any) -> dict[str, Any]:
    """Return what functional groups say, by keyword."""
    found = {}
    for keyword, group in GROUPS.items():
        items = groups.get(group)
        if items and (value := _value(items[0], keyword)) is not None:
            found[keyword] = value
    return found


def _value(header: Any, keyword: str) -> Any:
    try:
        return header.get(keyword)
    except BROKEN:
        return UNREADABLE
