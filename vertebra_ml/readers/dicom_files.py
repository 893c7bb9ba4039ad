"""The files of a DICOM folder or zip, and what is said when one of them is not what it claims."""

import logging
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
from typing import IO, Final

from pydicom.errors import BytesLengthException, InvalidDicomError

from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.readers.roots import check_within, files_below

log = logging.getLogger(__name__)
PYDICOM_LOG: Final = logging.getLogger("pydicom")
PYDICOM_LOG.addHandler(logging.NullHandler())

BYTES_A_VOXEL_MAX: Final = 4  # what an archive may hold for each voxel allowed
ENTRIES_MAX: Final = 50_000
NAME_MAX: Final = 120
ARCHIVES: Final = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar")
BROKEN: Final = (
    InvalidDicomError, BytesLengthException, EOFError, OSError, ValueError, TypeError, KeyError,
    AttributeError, IndexError, NotImplementedError, RuntimeError, OverflowError, MemoryError,
    RecursionError, AssertionError, LookupError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What pydicom and zipfile raise on bytes that are not what they claim."""


@dataclass(frozen=True)
class Entry:
    """One file of a folder or archive: its name there, its bytes, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    @property
    def shown(self) -> str:
        """The name as a message may hold it: an archive's may be any text."""
        return shown(self.name)


def shown(name: str) -> str:
    """Return a name of printable characters, of bounded length."""
    printable = "".join(c if c.isprintable() else "?" for c in name)
    return printable if len(printable) <= NAME_MAX else f"...{printable[-NAME_MAX:]}"


def folder_entries(folder: Path, names: Sequence[str] | None = None) -> list[Entry]:
    """Return the files below ``folder`` that are not hidden, sorted; or the named ones alone.

    Raises LimitError for links that lead out of the folder, DatasetError for a named file that is
    not there.
    """
    if names is not None:
        return [_named_file(folder, name) for name in names]
    paths = [
        path
        for path in files_below(folder)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    entries = []
    for path in paths:
        if path.is_symlink():
            check_within(folder, path)
        if path.is_file():  # neither a pipe nor a link to nothing
            entries.append(_file_entry(folder, path))
    return entries


def _named_file(folder: Path, name: str) -> Entry:
    path = check_within(folder, folder / name)
    if not path.is_file():
        raise DatasetError(
            folder, found=f"no file {name} any more", expected="the series as it was listed",
            fix="run again, and leave the folder alone meanwhile",
        )  # fmt: skip
    return _file_entry(folder, path)


def _file_entry(folder: Path, path: Path) -> Entry:
    # Unbuffered: a header is read as one block, and pixels go straight to where they belong.
    opener = partial(path.open, "rb", buffering=0)
    return Entry(path.relative_to(folder).as_posix(), path.stat().st_size, opener)  # type: ignore[arg-type]


@contextmanager
def zip_entries(
    source: Path | bytes, where: Path, names: Sequence[str] | None = None, *, voxels_max: int
) -> Iterator[list[Entry]]:
    """Yield the files of a zip archive, or of its bytes, while it is open; nothing is unpacked.

    Raises DatasetError for a broken or encrypted archive and for entries that would leave it,
    LimitError for one that would expand beyond the size allowed.
    """
    try:
        with zipfile.ZipFile(BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            _check_members(members, where, voxels_max=voxels_max)
            wanted = None if names is None else set(names)
            yield [
                # As a stream: a header is read without unpacking the pixels behind it.
                Entry(info.filename, info.file_size, partial(archive.open, info))
                for info in members
                if (wanted is None or info.filename in wanted)
                and not PurePosixPath(info.filename).name.startswith(".")
            ]
    except VertebraError:
        raise
    except BROKEN as error:
        raise DatasetError(
            where, found=f"an archive that cannot be read ({type(error).__name__})",
            expected="a zip of DICOM series", fix="pack the folder again",
        ) from None  # fmt: skip


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
    nested = [info.filename for info in members if info.filename.lower().endswith(ARCHIVES)]
    if nested:
        what = "archive" if len(nested) == 1 else "archives"
        log.warning("left out %d %s such as %s in %s", len(nested), what, shown(nested[0]), where)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom: its warnings and its log quote values, and those can be a patient's."""
    PYDICOM_LOG.propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def naming(entry: Entry, where: Path) -> Iterator[None]:
    """Turn whatever a malformed file makes pydicom raise into one line without its values."""
    try:
        yield
    except VertebraError:
        raise
    except BROKEN as error:
        raise refused(where, entry, f"a broken DICOM file ({type(error).__name__})") from None


@contextmanager
def reading(entry: Entry, where: Path) -> Iterator[None]:
    """Do both, `quiet` and `naming`."""
    with naming(entry, where), quiet():
        yield


def refused(where: Path, entry: Entry, found: str) -> DatasetError:
    """Return the error that names one file of a series and what is wrong with it."""
    return DatasetError(
        where,
        found=f"{found} in {entry.shown}",
        expected="CT slices with geometry and rescale values, in a codec that is known",
        fix="export the series again from its source",
    )
