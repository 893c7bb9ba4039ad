"""One DICOM file's header: which pictures it holds, what they say of themselves, where pixels lie.

Values are looked up, not yet checked: a picture that is left out of every series may say anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader, BytesIO, RawIOBase
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.config import IGNORE
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from vertebra_ml.readers.dicom_files import BROKEN, Entry, reading, refused

MAGIC_END: Final = 132  # 128 bytes of preamble, then "DICM"
META_BYTES: Final = 4096  # the file's own description lies within these
ELEMENT_BYTES: Final = 1 << 28  # groups of thousands of frames stay far below it
HEAD_BYTES: Final = 1 << 16  # nearly every header of one slice lies within these
DEFLATED: Final = DeflatedExplicitVRLittleEndian.encode()  # it expands without a bound
BARE: Final = (b"\x08\x00", b"\x02\x00\x00\x00")  # old files start with their first element
NAMED_DICOM: Final = (".dcm", ".ima", ".dicom")
PIXELS_TAG: Final = 0x7FE00010
LAST_TAG: Final = 0x7FE00008  # float pixels, and whatever comes after: none of it is a header
SINGLE_FRAME: Final = (CTImageStorage,)
MULTI_FRAME: Final = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
NUMBER_MAX: Final = 1e9  # a place in mm or a rescaling beyond it is no scanner's
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
KEYWORD_OF: Final = {int(Tag(keyword)): keyword for keyword in KEYWORDS}
SHORTS: Final = frozenset(
    ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit",
     "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit")
)  # fmt: skip
"""Whole numbers of two bytes; sequences aside, everything else is text."""
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
    """Return ``length`` finite numbers, none absurd, or None where the value is anything else."""
    try:
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers.shape == (length,) and (np.abs(numbers) < NUMBER_MAX).all() else None


def pictures_in(entry: Entry, where: Path) -> list[Picture] | None:
    """Return the pictures of one file; None where it is not DICOM, empty where it holds none.

    Raises DatasetError for a file that is broken, deflated, or an image without pixels.
    """
    with reading(entry, where):
        with entry.open() as file:
            head = file.read(HEAD_BYTES)
        if head[MAGIC_END - 4 : MAGIC_END] != b"DICM":
            if not entry.name.lower().endswith(NAMED_DICOM):
                return None
            if not head.startswith(BARE):
                raise refused(where, entry, "a file that does not start as DICOM does")
        if DEFLATED in head[:META_BYTES]:
            raise refused(where, entry, "a deflated data set")
        header, place = _header(head, entry)
        values = _values(header)
        if place is None or "Rows" not in values:
            if _claims_image(header, values):
                raise refused(where, entry, "an image without pixels")
            return []
        big_endian = not header.original_encoding[1]
        syntax = str(header.file_meta.get("TransferSyntaxUID") or "")
        return _pictures(values, _pixels(values, place, entry, syntax, big_endian), where)


def _claims_image(header: Any, values: Mapping[str, Any]) -> bool:
    """Tell whether a file without pixels should have some: a report or a DICOMDIR should not."""
    kind = header.file_meta.get("MediaStorageSOPClassUID") or values.get("SOPClassUID")
    return not kind or "Image Storage" in UID(str(kind), validation_mode=IGNORE).name


def _header(head: bytes, entry: Entry) -> tuple[Any, tuple[int, int] | None]:
    """Parse the first bytes of a file, or all of it where they end before its pixels."""
    whole = len(head) >= entry.size
    try:
        header, place = _parse(BytesIO(head))
    except BROKEN:
        if whole:
            raise
    else:
        if place is not None or whole:
            return header, place
    with entry.open() as file:
        return _parse(BufferedReader(file) if isinstance(file, RawIOBase) else file)


def _parse(file: Any) -> tuple[Any, tuple[int, int] | None]:
    """Read a header; the second is where the value of Pixel Data starts, and its length."""
    seen: list[tuple[int, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if int.__lt__(tag, LAST_TAG):  # the tag's own comparison takes ten times as long
            if length > ELEMENT_BYTES and length != UNDEFINED and int(tag) in KEYWORD_OF:
                raise ValueError("an element of gigabytes")
            return False
        if tag == PIXELS_TAG:
            seen.append((file.tell(), length))
        return True

    header = read_partial(file, stop_when=at_pixels, force=True, specific_tags=list(KEYWORD_OF))
    return header, seen[0] if seen else None


def _values(header: Any) -> dict[str, Any]:
    """Return what a header says, by keyword; the few kinds of value needed are read here.

    pydicom's own conversion checks each value at length, and takes half of the time of a series.
    """
    order: Literal["little", "big"] = "little" if header.original_encoding[1] else "big"
    found: dict[str, Any] = {}
    for element in header.values():
        keyword = KEYWORD_OF.get(int(element.tag), "")
        value = element.value
        if keyword in SHORTS:
            value = int.from_bytes(value[:2], order) if value else None
        elif keyword.endswith("Sequence"):
            value = _value(header, keyword)
        elif isinstance(value, bytes):
            texts = tuple(text.strip(" \0") for text in value.decode("latin-1").split("\\"))
            value = texts if len(texts) > 1 else texts[0]
        if value not in (None, "", b""):
            found[keyword] = value
    return found


def _pixels(
    values: Mapping[str, Any], place: tuple[int, int], entry: Entry, syntax: str, big_endian: bool
) -> Pixels:
    offset, length = place
    allocated = values.get("BitsAllocated", 16)
    stored = values.get("BitsStored", allocated)
    padding = values.get("PixelPaddingValue")
    limit = values.get("PixelPaddingRangeLimit", padding)
    return Pixels(
        entry=entry,
        syntax=syntax,
        big_endian=big_endian,
        offset=offset,
        length=None if length == UNDEFINED else length,
        rows=values.get("Rows", 0),
        columns=values.get("Columns", 0),
        frames=int(values.get("NumberOfFrames", 1)),
        samples=values.get("SamplesPerPixel", 1),
        allocated=allocated,
        stored=stored,
        high_bit=values.get("HighBit", stored - 1),
        signed=values.get("PixelRepresentation", 0) == 1,
        padding=None if padding is None else (min(padding, limit), max(padding, limit)),
    )


def _pictures(own: dict[str, Any], pixels: Pixels, where: Path) -> list[Picture]:
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
