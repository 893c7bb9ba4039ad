"""NIfTI files (.nii, .nii.gz; version 1 and 2, either byte order) to volumes in HU.

The header is checked before memory is taken, and the voxels are streamed once: decompressed by
ISA-L (three times as fast as zlib) and converted piece by piece into the array that is kept.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from vertebra_ml.affines import Affine, check_affine
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.volume import AIR_HU, Volume

log = logging.getLogger(__name__)

INT16 = np.iinfo(np.int16)
PIECE_BYTES = 1 << 20  # stays in a processor's cache between decompression and conversion
DEFLATE_RATIO_MAX = 1032
"""No deflate stream expands further (zlib technical details); a header that needs more lies."""
OFFSET_MAX = 1 << 28  # bytes of header extensions: more than any real file carries
HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
FIX_BROKEN = "copy the file again from its source, or convert the DICOM again"


@dataclass(frozen=True)
class Header:
    """What a checked header says: voxels (x, y, z), their type on disk, HU scaling, place."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    offset: int
    affine: Affine

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels on disk, uncompressed."""
        x, y, z = self.shape
        return x * y * z * self.dtype.itemsize

    @property
    def keeps_integers(self) -> bool:
        """Whether every HU is a whole number by the header alone."""
        return self.dtype.kind in "iu" and self.slope.is_integer() and self.intercept.is_integer()


def read_volume(source: Path | bytes, where: Path, *, voxels_max: int) -> Volume:
    """Read a NIfTI file, or its bytes, as a volume in HU.

    ``scl_slope`` and ``scl_inter`` are applied. Whole HU are kept as int16 (values beyond its range
    are held at its ends: no tissue lies there), others as float32. A voxel that is NaN or infinite
    becomes air. ``where`` stands in messages.

    Raises DatasetError for a file that is broken, not NIfTI or not one 3D image, GeometryError for
    a bad affine, LimitError above ``voxels_max`` voxels.
    """
    with _stream(source, where) as (stream, ceiling):
        header = _checked_header(stream, where, voxels_max=voxels_max)
        _check_size(header, ceiling, where)
        _skip(stream, header.offset, where)
        return Volume(_read_voxels(stream, header, where), header.affine)


def read_grid(path: Path, *, voxels_max: int) -> tuple[Affine, tuple[int, int, int]]:
    """Read the affine voxel -> RAS+ mm and the shape (x, y, z) alone. Raises as `read_volume`."""
    with _stream(path, path) as (stream, _):
        header = _checked_header(stream, path, voxels_max=voxels_max)
    return header.affine, header.shape


@contextmanager
def _stream(source: Path | bytes, where: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the uncompressed stream and the most bytes it can hold; translate what goes wrong."""
    from isal import igzip
    from isal.igzip_lib import IsalError

    try:
        with BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if packed:
                with igzip.IGzipFile(fileobj=file, mode="rb") as unpacked:
                    yield unpacked, size * DEFLATE_RATIO_MAX
            else:
                yield file, size
    except EOFError:
        raise _truncated(where, "a gzip stream that ends too early") from None
    except (OSError, IsalError) as error:  # type: ignore[misc]  # its stub calls it an instance
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DatasetError(
            where, found=f"a file that cannot be read ({reason})", expected="a NIfTI file",
            fix=FIX_BROKEN,
        ) from None  # fmt: skip


def _checked_header(stream: BinaryIO, where: Path, *, voxels_max: int) -> Header:
    raw = _raw_header(stream, where)
    with np.errstate(all="ignore"):  # odd numbers are refused by name, not warned of
        return _check_header(raw, where, voxels_max=voxels_max)


def _check_header(raw: Any, where: Path, *, voxels_max: int) -> Header:
    try:
        dtype = raw.get_data_dtype()
        slope, intercept = raw.get_slope_inter()
    except (HeaderDataError, KeyError) as error:
        raise _no_ct(where, f"a header that contradicts itself ({error})") from None
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise _no_ct(where, f"voxels of type {dtype}")
    shape = _shape(raw, where)
    _check_count(shape, where, voxels_max=voxels_max)
    offset = float(raw["vox_offset"]) or raw.sizeof_hdr + 4
    if not raw.sizeof_hdr <= offset <= OFFSET_MAX:
        raise _no_ct(where, f"voxels that start at byte {offset:g}")
    return Header(
        shape,
        dtype,
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        int(offset) - raw.sizeof_hdr,
        check_affine(_affine(raw, where), str(where)),
    )


def _raw_header(stream: BinaryIO, where: Path) -> Any:
    start = stream.read(4)
    orders = {int.from_bytes(start, "big"): ">", int.from_bytes(start, "little"): "<"}
    size = next((size for size in orders if size in HEADERS), None)
    if size is None:
        raise DatasetError(
            where, found="a file that does not start as NIfTI does",
            expected="a .nii or .nii.gz file", fix="check what kind of file this is",
        )  # fmt: skip
    block = start + stream.read(size - 4)
    if len(block) < size:
        raise _truncated(where, f"a header of {len(block)} bytes")
    header = HEADERS[size](block, endianness=orders[size], check=False)
    magic = bytes(header["magic"])
    if not magic.startswith((b"n+1", b"n+2")):
        raise _no_ct(where, f"a header whose magic is {magic!r}")
    return header


def _shape(header: Any, where: Path) -> tuple[int, int, int]:
    """Return (x, y, z); further axes may be there if they are 1 long."""
    count = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : count + 1]) if 0 < count <= 7 else ()
    if len(shape) < 3 or 1 in shape[:3]:
        raise _no_ct(where, f"a 2D image of shape {shape}" if shape else f"{count} axes")
    if min(shape) < 1:
        raise _no_ct(where, f"a shape of {shape}")
    frames = int(np.prod(shape[3:], dtype=np.float64))
    if frames != 1:
        raise _no_ct(where, f"{frames} frames (shape {shape})")
    return (shape[0], shape[1], shape[2])


def _affine(header: Any, where: Path) -> NDArray[np.float64]:
    """Return the sform, else the qform; without either, left, right and the head are unknown."""
    try:
        affine, code = header.get_sform(coded=True)
        if not code:
            affine, code = header.get_qform(coded=True)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise _no_ct(where, f"an orientation that cannot be computed ({error})") from None
    if affine is None or not code:
        raise DatasetError(
            where, found="neither sform nor qform in the header",
            expected="an orientation: without it left, right and the head are unknown",
            fix="convert the DICOM again with a tool that keeps it",
        )  # fmt: skip
    return np.asarray(affine, dtype=np.float64)


def _check_count(shape: tuple[int, int, int], where: Path, *, voxels_max: int) -> None:
    count = shape[0] * shape[1] * shape[2]
    if count > voxels_max:
        raise LimitError(
            where,
            found=f"a header of {shape[0]} x {shape[1]} x {shape[2]} = {count:,} voxels",
            expected=f"at most {voxels_max:,}",
            fix="crop or resample the scan, or raise limits.voxels_max",
        )


def _check_size(header: Header, ceiling: int, where: Path) -> None:
    if header.nbytes > ceiling:
        raise _truncated(where, f"at most {ceiling:,} bytes for {header.nbytes:,} of voxels")


def _skip(stream: BinaryIO, count: int, where: Path) -> None:
    while count > 0:
        piece = stream.read(min(count, PIECE_BYTES))
        if not piece:
            raise _truncated(where, "no voxels after the header")
        count -= len(piece)


def _read_voxels(stream: BinaryIO, header: Header, where: Path) -> NDArray[Any]:
    count = header.nbytes // header.dtype.itemsize
    voxels = np.empty(count, np.int16 if header.keeps_integers else np.float32)
    piece = bytearray(PIECE_BYTES)
    done = lost = 0
    while done < count:
        wanted = min((count - done) * header.dtype.itemsize, PIECE_BYTES)
        if _read_fully(stream, memoryview(piece)[:wanted]) < wanted:
            raise _truncated(where, f"fewer than {count:,} voxels")
        stored = np.frombuffer(piece, header.dtype, wanted // header.dtype.itemsize)
        lost += _convert(stored, header, voxels[done : done + stored.size])
        done += stored.size
    stream.read(1)  # a gzip stream checks its sum when its end is reached
    if lost == count:
        raise _no_ct(where, "no finite voxel")
    if lost:
        log.info("%s: %d voxels that are not finite were taken as air", where, lost)
    return voxels.reshape(header.shape, order="F")


def _read_fully(stream: BinaryIO, target: memoryview) -> int:
    """Fill ``target`` as far as the stream goes; return how far that was."""
    done = 0
    while done < len(target):
        count = stream.readinto(target[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _convert(stored: NDArray[Any], header: Header, target: NDArray[Any]) -> int:
    """Write ``stored`` as HU into ``target``; return how many were not finite and became air."""
    scaled = header.slope != 1 or header.intercept != 0
    if target.dtype == np.int16:
        if scaled or not np.can_cast(stored.dtype, np.int16):
            wide = stored.astype(np.float64) * header.slope + header.intercept
            np.clip(wide, INT16.min, INT16.max, out=wide)
            stored = wide
        target[:] = stored
        return 0
    # In float64, so that HU do not depend on the order of operations. What overflows or signals
    # ends as infinity or NaN, and then as air.
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored.astype(np.float64) * header.slope + header.intercept if scaled else stored
        target[:] = values
    finite = np.isfinite(target)
    if finite.all():
        return 0
    target[~finite] = AIR_HU
    return int(finite.size - np.count_nonzero(finite))


def _truncated(where: Path, found: str) -> DatasetError:
    return DatasetError(
        where, found=f"a truncated file: {found}", expected="all voxels that the header names",
        fix=FIX_BROKEN,
    )  # fmt: skip


def _no_ct(where: Path, found: str) -> DatasetError:
    return DatasetError(
        where, found=found, expected="one 3D CT with HU values", fix="drop the file or correct it"
    )
