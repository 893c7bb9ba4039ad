"""The arrays of a foreign ``.npz``: its zip is checked before anything is unpacked.

Nothing is written to disk, so the names of members cannot lead anywhere; they are only looked up.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from numpy.typing import NDArray

from vertebra_ml.readers.npy import read_npy

MEMBERS_MAX: Final = 64
MEMBER_BYTES_MAX: Final = 2**31
"""A thousand scans of one view are 0.5 GB as int16."""

EXPANSION_MAX: Final = 200
SMALL_BYTES: Final = 2**26
"""Pictures deflate to a third; what grows 200-fold is a bomb, unless it stays below 64 MiB."""

FAULTS: Final = (
    OSError, EOFError, KeyError, TypeError, ValueError, OverflowError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What a damaged or foreign file makes zipfile, numpy and the readers here raise."""

DICTIONARY_MAX: Final = 2**26
"""LZMA takes its dictionary's memory before it reads; Python's own writer says 8 MiB."""

METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
ENCRYPTED: Final = 1
LOCAL_HEADER_BYTES: Final = 30

Members = Mapping[str, zipfile.ZipInfo]


def opened(source: Path | bytes) -> zipfile.ZipFile:
    """Open a zip file or the bytes of one; raises what FAULTS names."""
    return zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)


def members(file: zipfile.ZipFile) -> Members:
    """Return the arrays by name, unread. Raises ValueError for too many, or one that is twice."""
    infos = file.infolist()
    names = [info.filename.removesuffix(".npy") for info in infos]
    if len(infos) > MEMBERS_MAX:
        raise ValueError(f"{len(infos):,} members")
    if len(set(names)) < len(names):
        raise ValueError("a member that is there twice")
    return dict(zip(names, infos, strict=True))


def read_member(file: zipfile.ZipFile, infos: Members, key: str) -> NDArray[Any]:
    """Read one array. Raises ValueError naming it, and what FAULTS names."""
    check_members(file, {key: infos[key]})
    try:
        with file.open(infos[key]) as stream:
            return read_npy(cast(BinaryIO, stream), infos[key].file_size)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def check_members(file: zipfile.ZipFile, infos: Members) -> None:
    """Raise ValueError naming an array that must not be unpacked, before it is."""
    for key, info in infos.items():
        fault = _fault(file, info)
        if fault:
            raise ValueError(f"{key} {fault}")


def _fault(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    if info.flag_bits & ENCRYPTED:
        return "that is encrypted"
    if info.compress_type not in METHODS:
        return "packed by another method than stored, deflate or LZMA"
    if info.compress_type == zipfile.ZIP_LZMA and _dictionary(file, info) > DICTIONARY_MAX:
        return "that wants a dictionary of more than 64 MiB"
    if info.file_size > MEMBER_BYTES_MAX:
        return f"of {info.file_size:,} bytes, more than {MEMBER_BYTES_MAX:,}"
    if info.file_size > max(SMALL_BYTES, EXPANSION_MAX * info.compress_size):
        return f"that expands {info.file_size // max(1, info.compress_size):,}-fold"
    return ""


def _dictionary(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Return the size of the dictionary that an LZMA member asks for, bytes (APPNOTE 5.8.8)."""
    stream = cast(BinaryIO, file.fp)
    place = stream.tell()
    stream.seek(info.header_offset)
    header = stream.read(LOCAL_HEADER_BYTES)
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    stream.seek(info.header_offset + LOCAL_HEADER_BYTES + names)
    # Version (2 bytes), size of what follows (2), literal and position bits (1), dictionary (4).
    properties = stream.read(9)
    stream.seek(place)
    return int.from_bytes(properties[5:9], "little")
