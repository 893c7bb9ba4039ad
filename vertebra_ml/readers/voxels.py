"""Stored numbers to HU: voxels are streamed once, piece by piece, into the array that is kept."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.volume import AIR_HU

log = logging.getLogger(__name__)

INT16 = np.iinfo(np.int16)
PIECE_BYTES = 1 << 20  # stays in a processor's cache between decompression and conversion
FIX_BROKEN = "copy the file again from its source, or convert the DICOM again"


@dataclass(frozen=True)
class Stored:
    """How a file holds HU: the numbers' type (with byte order), HU = number * slope + intercept."""

    dtype: np.dtype[Any]
    slope: float
    intercept: float

    @property
    def keeps_integers(self) -> bool:
        """Whether every HU is a whole number by the header alone."""
        return self.dtype.kind in "iu" and self.slope.is_integer() and self.intercept.is_integer()


def read_voxels(
    stream: BinaryIO, stored: Stored, shape: tuple[int, int, int], where: Path
) -> NDArray[Any]:
    """Read HU of ``shape`` (x, y, z), x fastest in the stream, which may end after them or not.

    Whole HU are kept as int16 (values beyond its range are held at its ends: no tissue lies there),
    others as float32. A voxel that is NaN or infinite becomes air.

    Raises DatasetError where the stream ends too early or no voxel is finite.
    """
    count = shape[0] * shape[1] * shape[2]
    voxels = np.empty(count, np.int16 if stored.keeps_integers else np.float32)
    piece = bytearray(PIECE_BYTES)
    done = lost = 0
    while done < count:
        wanted = min((count - done) * stored.dtype.itemsize, PIECE_BYTES)
        if _read_fully(stream, memoryview(piece)[:wanted]) < wanted:
            raise truncated(where, f"fewer than {count:,} voxels")
        values = np.frombuffer(piece, stored.dtype, wanted // stored.dtype.itemsize)
        lost += _convert(values, stored, voxels[done : done + values.size])
        done += values.size
    if lost == count:
        raise no_ct(where, "no finite voxel")
    if lost:
        log.info("%s: %d voxels that are not finite were taken as air", where, lost)
    return voxels.reshape(shape, order="F")


def check_count(shape: tuple[int, int, int], where: Path, *, voxels_max: int) -> None:
    """Raise LimitError where a header claims more than ``voxels_max`` voxels."""
    count = shape[0] * shape[1] * shape[2]
    if count > voxels_max:
        raise LimitError(
            where,
            found=f"a header of {shape[0]} x {shape[1]} x {shape[2]} = {count:,} voxels",
            expected=f"at most {voxels_max:,}",
            fix="crop or resample the scan, or raise limits.voxels_max",
        )


def _read_fully(stream: BinaryIO, target: memoryview) -> int:
    """Fill ``target`` as far as the stream goes; return how far that was."""
    done = 0
    while done < len(target):
        count = stream.readinto(target[done:])  # type: ignore[attr-defined]
        if not count:
            break
        done += count
    return done


def _convert(values: NDArray[Any], stored: Stored, target: NDArray[Any]) -> int:
    """Write ``values`` as HU into ``target``; return how many were not finite and became air."""
    scaled = stored.slope != 1 or stored.intercept != 0
    # In float64, so that HU do not depend on the order of operations. What overflows or signals
    # ends at an end of int16, or as infinity or NaN and then as air.
    with np.errstate(over="ignore", invalid="ignore"):
        if scaled:
            values = values.astype(np.float64) * stored.slope + stored.intercept
        if target.dtype == np.int16 and not np.can_cast(values.dtype, np.int16):
            values = np.clip(values.astype(np.float64), INT16.min, INT16.max)
        target[:] = values
    if target.dtype == np.int16:
        return 0
    finite = np.isfinite(target)
    if finite.all():
        return 0
    target[~finite] = AIR_HU
    return int(finite.size - np.count_nonzero(finite))


def truncated(where: Path, found: str) -> DatasetError:
    """Return the error of a file that ends before its voxels do."""
    return DatasetError(
        where, found=f"a truncated file: {found}", expected="all voxels that the header names",
        fix=FIX_BROKEN,
    )  # fmt: skip


def no_ct(where: Path, found: str) -> DatasetError:
    """Return the error of a file that is whole but no CT."""
    return DatasetError(
        where, found=found, expected="one 3D CT with HU values", fix="drop the file or correct it"
    )
