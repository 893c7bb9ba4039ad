"""DICOM series, as a folder or a zip of one, to volumes in HU.

Files are told by their content, not their name. Headers are read first, pixels only when the series
is known to be one right-angled CT. A zip is read in memory; nothing is unpacked to disk.
"""

import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
)

from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.readers.dicom_series import Slice, arrange
from vertebra_ml.volume import Source, Volume

INT16: Final = np.iinfo(np.int16)
MAGIC_END: Final = 132  # 128 bytes of preamble, then "DICM"
META_BYTES: Final = 4096  # the file's own description lies within these
DEFLATED: Final = DeflatedExplicitVRLittleEndian.encode()  # it expands without a bound
UNITS: Final = ("HU", "US")  # US: unspecified, written by some scanners that mean HU
NAMED_DICOM: Final = (".dcm", ".ima", ".dicom")
BYTES_A_VOXEL_MAX: Final = 4  # what an archive may hold for each voxel allowed
ENTRIES_MAX: Final = 50_000
TAGS: Final = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "SeriesInstanceUID", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
    "SamplesPerPixel", "NumberOfFrames", "RescaleSlope", "RescaleIntercept", "RescaleType",
]  # fmt: skip
BROKEN: Final = (
    InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, TypeError, KeyError,
    AttributeError, IndexError, NotImplementedError, RuntimeError, OverflowError, struct.error,
    zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What pydicom and zipfile raise on bytes that are not what they claim."""


@dataclass(frozen=True)
class Entry:
    """One file of a folder or archive: its name there, and how to open it."""

    name: str
    open: Callable[[], IO[bytes]]


def read_folder(folder: Path, *, voxels_max: int) -> Volume:
    """Read the one CT series below a folder as a volume in HU.

    Voxels are (column, row, slice), slices in the order of position. Hidden files and those
    that are not DICOM are passed over. Whole HU are kept as int16, held at the ends of its range.

    Raises DatasetError as `dicom_series.arrange` does, and for files that are broken, compressed by
    an unknown codec, without rescale values or multi-frame; LimitError above ``voxels_max`` voxels.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder) for path in paths]
    entries = [
        Entry(str(name), partial(_open_file, path))
        for path, name in zip(paths, names, strict=True)
        if not any(part.startswith(".") for part in name.parts)
    ]
    return _read_series(entries, folder, voxels_max=voxels_max)


def read_zip(source: Path | bytes, where: Path, *, voxels_max: int) -> Volume:
    """Read the one CT series in a zip archive, or in its bytes, in memory; as `read_folder`.

    Raises DatasetError also for a broken or encrypted archive and for entries that would leave it,
    LimitError for one that would expand beyond the size allowed.
    """
    try:
        with zipfile.ZipFile(BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check_members(members, where, voxels_max=voxels_max)
            entries = [
                Entry(info.filename, partial(_open_member, archive, info))
                for info in members
                if not PurePosixPath(info.filename).name.startswith(".")
            ]
            return _read_series(entries, where, voxels_max=voxels_max)
    except VertebraError:
        raise
    except BROKEN as error:
        raise DatasetError(
            where, found=f"an archive that cannot be read ({type(error).__name__})",
            expected="a zip of one DICOM series", fix="pack the folder again",
        ) from None  # fmt: skip


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open an entry as a stream: its header is read without unpacking its pixels."""
    return archive.open(info)


def _check_members(members: list[zipfile.ZipInfo], where: Path, *, voxels_max: int) -> None:
    for info in members:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise DatasetError(
                where, found=f"an entry named {info.filename[:80]!r}",
                expected="names that stay within the archive", fix="pack the folder again",
            )  # fmt: skip
        if info.flag_bits & 1:
            raise DatasetError(
                where, found="encrypted entries", expected="a zip without a password",
                fix="pack the folder again",
            )  # fmt: skip
    size, most = sum(info.file_size for info in members), voxels_max * BYTES_A_VOXEL_MAX
    if size > most or len(members) > ENTRIES_MAX:
        raise LimitError(
            where, found=f"an archive of {len(members):,} entries and {size:,} bytes unpacked",
            expected=f"at most {ENTRIES_MAX:,} and {most:,}", fix="pack one series alone",
        )  # fmt: skip


def _read_series(entries: Sequence[Entry], where: Path, *, voxels_max: int) -> Volume:
    read = [(entry, _header(entry, where)) for entry in entries]
    found = [(entry, header) for entry, header in read if header is not None]
    if not found:
        raise DatasetError(
            where,
            found=f"{len(entries)} files, none a DICOM image" if entries else "no file",
            expected="a DICOM series of CT slices",
            fix="check the path; name a NIfTI file itself",
        )
    _check_modality(found, where)
    slices = [_slice(header, entry, where) for entry, header in found]
    opener = {item.name: entry for item, (entry, _) in zip(slices, found, strict=True)}
    order, affine = arrange(slices, where)
    rows, columns = order[0].size
    count = rows * columns * len(order)
    if count > voxels_max:
        raise LimitError(
            where, found=f"{columns} x {rows} x {len(order)} = {count:,} voxels",
            expected=f"at most {voxels_max:,}", fix="crop the series, or raise limits.voxels_max",
        )  # fmt: skip
    whole = all(s.slope.is_integer() and s.intercept.is_integer() for s in order)
    # Fortran order: each slice is one run of memory, in the order in which its pixels are stored.
    array = np.empty((columns, rows, len(order)), np.int16 if whole else np.float32, order="F")
    for k, header in enumerate(order):
        _read_pixels(opener[header.name], header, array[:, :, k].T, where)
    numbers = [header.instance_number for header in order]
    known = tuple(number for number in numbers if number is not None)
    source = Source(
        affine,
        (columns, rows, len(order)),
        known if len(known) == len(order) else None,
        tuple(header.sop_instance_uid for header in order),
    )
    return Volume(array, affine, source)


def _header(entry: Entry, where: Path) -> Any | None:
    """Read one header; None where the file is not DICOM or holds no image."""
    with _reading(entry, where), entry.open() as file:
        start = file.read(META_BYTES)
        if start[MAGIC_END - 4 : MAGIC_END] != b"DICM":
            if entry.name.lower().endswith(NAMED_DICOM):
                raise _refused(where, entry, "a file that does not start as DICOM does")
            return None
        if DEFLATED in start:
            raise _refused(where, entry, "a deflated data set")
        file.seek(0)
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(TAGS))
        if "Rows" in header:
            return header
        kind = header.file_meta.get("MediaStorageSOPClassUID")
        if kind is None or "Image Storage" in kind.name:  # a report or a DICOMDIR is passed over
            raise _refused(where, entry, "an image without pixels")
        return None


def _check_modality(found: Sequence[tuple[Entry, Any]], where: Path) -> None:
    other = []
    for entry, header in found:
        with _reading(entry, where):
            modality = str(header.get("Modality") or "unknown")
        if modality != "CT":
            other.append((entry.name, modality[:16]))
    if other:
        name, modality = other[0]
        raise DatasetError(
            where,
            found=f"modality {modality} in {len(other)} of {len(found)} files such as {name}",
            expected="CT",
            fix="leave only the CT series there",
        )


def _slice(header: Any, entry: Entry, where: Path) -> Slice:
    with _reading(entry, where):
        kind = header.get("SOPClassUID")
        if kind == EnhancedCTImageStorage or int(header.get("NumberOfFrames") or 1) > 1:
            raise _refused(where, entry, "a multi-frame image")
        if kind != CTImageStorage or int(header.get("SamplesPerPixel") or 1) != 1:
            raise _refused(where, entry, "an image of another storage class than CT Image Storage")
        unit = str(header.get("RescaleType") or "HU").upper()
        if unit not in UNITS:
            raise _refused(where, entry, f"values in {unit[:16]}, not HU")
        number = header.get("InstanceNumber")
        return Slice(
            name=entry.name,
            series=str(header.get("SeriesInstanceUID", "")),
            sop_instance_uid=str(header.get("SOPInstanceUID", "")),
            instance_number=int(number) if number not in (None, "") else None,
            size=(int(header.Rows), int(header.Columns)),
            position=_numbers(header, "ImagePositionPatient", 3, entry, where),
            orientation=_numbers(header, "ImageOrientationPatient", 6, entry, where),
            spacing=_numbers(header, "PixelSpacing", 2, entry, where),
            slope=float(_numbers(header, "RescaleSlope", 1, entry, where)[0]),
            intercept=float(_numbers(header, "RescaleIntercept", 1, entry, where)[0]),
        )


def _numbers(
    header: Any, keyword: str, count: int, entry: Entry, where: Path
) -> NDArray[np.float64]:
    value = header.get(keyword)
    if value is None or value == "":
        raise _refused(where, entry, f"no {keyword}")
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise _refused(where, entry, f"a {keyword} that is not {count} finite numbers")
    return numbers


def _read_pixels(entry: Entry, header: Slice, target: NDArray[Any], where: Path) -> None:
    """Write one slice as HU into ``target`` (row, column)."""
    with _reading(entry, where), entry.open() as file:
        data = pydicom.dcmread(file)
        syntax = data.file_meta.TransferSyntaxUID
        try:
            stored = data.pixel_array
        except RuntimeError:  # what pydicom raises where no codec is installed
            if not syntax.is_compressed:
                raise
            raise _refused(where, entry, f"pixels compressed as {syntax.name}") from None
    if stored.shape != target.shape:
        raise _refused(where, entry, f"pixels of shape {stored.shape}")
    if target.dtype == np.int16:
        _put_integers(stored, int(header.slope), int(header.intercept), target)
    else:
        target[:] = stored * header.slope + header.intercept


def _put_integers(stored: NDArray[Any], slope: int, intercept: int, target: NDArray[Any]) -> None:
    low, high = (int(v) * slope + intercept for v in (stored.min(), stored.max()))
    if slope == 1 and INT16.min <= low <= high <= INT16.max:  # nearly always; one pass
        np.add(stored, intercept, out=target, dtype=np.int32, casting="unsafe")
    else:
        wide = stored.astype(np.float64) * slope + intercept
        target[:] = np.clip(wide, INT16.min, INT16.max)


@contextmanager
def _reading(entry: Entry, where: Path) -> Iterator[None]:
    """Turn whatever a malformed file makes pydicom raise into one line without its values."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote values, and those can be a patient's
            yield
    except VertebraError:
        raise
    except BROKEN as error:
        raise _refused(where, entry, f"a broken DICOM file ({type(error).__name__})") from None


def _refused(where: Path, entry: Entry, found: str) -> DatasetError:
    return DatasetError(
        where,
        found=f"{found} in {entry.name}",
        expected="uncompressed CT slices, one a file, with geometry and rescale values",
        fix="export the series again from its source",
    )
