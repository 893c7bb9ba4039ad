"""NIfTI files (.nii, .nii.gz; version 1 and 2, either byte order) to volumes in HU.

The header is checked before memory is taken, and the voxels are streamed once: decompressed by
ISA-L (three times as fast as zlib) and converted piece by piece into the array that is kept.
"""

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

from vertebra_ml.affines import Affine, check_affine, spacing_of
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.voxels import (
    FIX_BROKEN,
    PIECE_BYTES,
    Stored,
    check_count,
    no_ct,
    read_voxels,
    truncated,
)
from vertebra_ml.volume import Volume

DEFLATE_RATIO_MAX = 1032
"""No deflate stream expands further (zlib technical details); a header that needs more lies."""
COSINE_MIN = 0.7
"""Between the two forms of one voxel axis: a registration turns it less than 45 degrees."""
SPACING_TOLERANCE = 0.05
SURPLUS_BYTES_MAX = 1 << 24  # after the voxels; a broken stream may go on for long
OFFSET_MAX = 1 << 28  # bytes of header extensions: more than any real file carries
HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}


@dataclass(frozen=True)
class Header:
    """What a checked header says: voxels (x, y, z), how they are stored, where they start, lie."""

    shape: tuple[int, int, int]
    stored: Stored
    offset: int
    affine: Affine

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels on disk, uncompressed."""
        x, y, z = self.shape
        return x * y * z * self.stored.dtype.itemsize


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
        voxels = read_voxels(stream, header.stored, header.shape, where)
        _check_end(stream, where)
        return Volume(voxels, header.affine)


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
        raise truncated(where, "a gzip stream that ends too early") from None
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
        raise no_ct(where, f"a header that contradicts itself ({error})") from None
    if np.isinf(raw["scl_slope"]):  # NaN and 0 are ways to say none
        raise no_ct(where, "a slope that is infinite")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise no_ct(where, f"voxels of type {dtype}")
    shape = _shape(raw, where)
    check_count(shape, where, voxels_max=voxels_max)
    offset = float(raw["vox_offset"]) or raw.sizeof_hdr + 4
    if not raw.sizeof_hdr <= offset <= OFFSET_MAX:
        raise no_ct(where, f"voxels that start at byte {offset:g}")
    return Header(
        shape,
        Stored(
            dtype,
            1.0 if slope is None else float(slope),
            0.0 if intercept is None else float(intercept),
        ),
        int(offset) - raw.sizeof_hdr,
        _affine(raw, where),
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
        raise truncated(where, f"a header of {len(block)} bytes")
    header = HEADERS[size](block, endianness=orders[size], check=False)
    magic = bytes(header["magic"])
    if not magic.startswith((b"n+1", b"n+2")):
        raise no_ct(where, f"a header whose magic is {magic!r}")
    return header


def _shape(header: Any, where: Path) -> tuple[int, int, int]:
    """Return (x, y, z); further axes may be there if they are 1 long."""
    count = int(header["dim"][0])
    shape = tuple(int(n) for n in header["dim"][1 : count + 1]) if 0 < count <= 7 else ()
    if len(shape) < 3 or 1 in shape[:3]:
        raise no_ct(where, f"a 2D image of shape {shape}" if shape else f"{count} axes")
    if min(shape) < 1:
        raise no_ct(where, f"a shape of {shape}")
    frames = int(np.prod(shape[3:], dtype=np.float64))
    if frames != 1:
        raise no_ct(where, f"{frames} frames (shape {shape})")
    return (shape[0], shape[1], shape[2])


def _affine(header: Any, where: Path) -> Affine:
    """Return the sform where its code is set, else the qform.

    Without either, left, right and the head are unknown; where both are set and contradict each
    other, nobody can tell which is right. Both are refused.
    """
    try:
        sform, scode = header.get_sform(coded=True)
        qform, qcode = header.get_qform(coded=True)
    except (HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise no_ct(where, f"an orientation that cannot be computed ({error})") from None
    stated = [form for form, code in ((sform, scode), (qform, qcode)) if code and form is not None]
    if not stated:
        raise DatasetError(
            where, found="neither sform nor qform in the header",
            expected="an orientation: without it left, right and the head are unknown",
            fix="convert the DICOM again with a tool that keeps it",
        )  # fmt: skip
    affine, *other = (check_affine(form, str(where)) for form in stated)
    if other:
        _check_agree(affine, other[0], where)
    return affine


def _check_agree(sform: Affine, qform: Affine, where: Path) -> None:
    """Refuse two forms that turn or scale a voxel axis apart; where they place it may differ."""
    lengths = spacing_of(sform), spacing_of(qform)
    cosines = (sform[:3, :3] / lengths[0] * qform[:3, :3] / lengths[1]).sum(axis=0)
    if cosines.min() < COSINE_MIN:
        mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
        found = "an sform and a qform that are mirror images of each other" if mirrored else (
            "an sform and a qform that point an axis in different directions"
        )  # fmt: skip
    elif not np.allclose(*lengths, rtol=SPACING_TOLERANCE):
        found = "an sform and a qform of different spacing"
    else:
        return
    raise DatasetError(
        where, found=found, expected="two that agree, or one whose code is 0",
        fix="convert the DICOM again, or set the code of the wrong one to 0",
    )  # fmt: skip


def _check_size(header: Header, ceiling: int, where: Path) -> None:
    if header.nbytes > ceiling:
        raise truncated(where, f"at most {ceiling:,} bytes for {header.nbytes:,} of voxels")


def _skip(stream: BinaryIO, count: int, where: Path) -> None:
    while count > 0:
        piece = stream.read(min(count, PIECE_BYTES))
        if not piece:
            raise truncated(where, "no voxels after the header")
        count -= len(piece)


def _check_end(stream: BinaryIO, where: Path) -> None:
    """Read to the end: only there is the sum of a gzip stream checked."""
    for _ in range(SURPLUS_BYTES_MAX // PIECE_BYTES):
        if not stream.read(PIECE_BYTES):
            return
    raise no_ct(where, f"more than {SURPLUS_BYTES_MAX:,} bytes after the voxels")
