"""Stored pixels of DICOM slices to HU, each straight into its place in the volume.

What a header claims is held against the size of the file, and a compressed frame's own header
against the file's, before memory is taken. Native pixels are read without a second look at the
header: its end was remembered.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.errors import VertebraError
from vertebra_ml.readers.dicom_codecs import check_codec, decoded, frames_of, is_compressed
from vertebra_ml.readers.dicom_files import naming, quiet, reading, refused
from vertebra_ml.readers.dicom_header import Pixels
from vertebra_ml.readers.dicom_series import Slice
from vertebra_ml.readers.dicom_workers import Workers
from vertebra_ml.volume import AIR_HU

INT16: Final = np.iinfo(np.int16)
HIGHEST_HU: Final = 3071  # what twelve bits hold; padding is set below air or beyond this
ALLOCATED: Final = (8, 16, 32)
Pair = tuple[Slice, NDArray[Any]]
"""A slice, and its target (row, column) in the volume."""


def read_slices(order: Sequence[Slice], where: Path) -> NDArray[Any]:
    """Return HU as (column, row, slice): int16 where every one is whole by the headers, or float32.

    int16 is held at the ends of its range. Pixels that the header calls padding and whose value no
    tissue has become air.

    Raises DatasetError for pixels that are cut, of an unknown codec, or not what the header says.
    """
    for item in order:
        _check(item.stored, where)
    whole = all(item.slope.is_integer() and item.intercept.is_integer() for item in order)
    rows, columns = order[0].size
    # Fortran order: each slice is one run of memory, in the order in which its pixels are stored.
    array = np.empty((columns, rows, len(order)), np.int16 if whole else np.float32, order="F")
    files: dict[int, list[Pair]] = {}
    for pair in zip(order, array.T, strict=True):
        files.setdefault(id(pair[0].stored), []).append(pair)
    compressed: list[Pair] = []
    for pairs in files.values():
        pixels: Pixels = pairs[0][0].stored
        if is_compressed(pixels):
            compressed += pairs
        else:
            with reading(pixels.entry, where):
                _read_native(pixels, pairs)
    if compressed:
        _read_compressed(compressed, where)
    return array


def _read_native(pixels: Pixels, pairs: Sequence[Pair]) -> None:
    """Read the slices of one file, in the order in which it holds them."""
    with pixels.entry.open() as file:
        for item, target in sorted(pairs, key=lambda pair: pair[0].frame):
            _put(_native(file, pixels, item.frame, target), item, target)


def _read_compressed(pairs: Sequence[Pair], where: Path) -> None:
    """Decode slices side by side, each into its target (row, column)."""
    held: dict[int, list[bytes]] = {}  # the frames of files that hold many
    for item, _ in pairs:
        pixels: Pixels = item.stored
        if pixels.frames > 1 and id(pixels) not in held:
            with reading(pixels.entry, where):
                held[id(pixels)] = frames_of(pixels)

    def one(pair: Pair) -> None:
        item, target = pair
        pixels: Pixels = item.stored
        with naming(pixels.entry, where):
            frames = held[id(pixels)] if id(pixels) in held else frames_of(pixels)
            _put(decoded(frames[item.frame], pixels, workers, where), item, target)

    with quiet(), Workers() as workers, ThreadPoolExecutor(workers.count) as pool:
        try:
            list(pool.map(one, pairs))
        except VertebraError:
            pool.shutdown(cancel_futures=True)
            raise


def _check(pixels: Pixels, where: Path) -> None:
    if pixels.allocated not in ALLOCATED or not 1 <= pixels.stored <= pixels.allocated:
        raise refused(where, pixels.entry, f"pixels of {pixels.allocated} bits")
    if pixels.high_bit != pixels.stored - 1:
        raise refused(where, pixels.entry, "pixels whose bits do not start at the lowest")
    if pixels.big_endian and pixels.allocated != 16:  # how such are swapped depends on the writer
        raise refused(where, pixels.entry, f"big-endian pixels of {pixels.allocated} bits")
    if min(pixels.rows, pixels.columns, pixels.frames) < 1:
        raise refused(where, pixels.entry, "an image of no size")
    if is_compressed(pixels):
        check_codec(pixels, where)
        return
    claimed = pixels.rows * pixels.columns * pixels.frames * pixels.allocated // 8
    held = min(pixels.length or 0, pixels.entry.size - pixels.offset)
    if held < claimed:
        found = f"pixels cut short: {held:,} of {claimed:,} bytes"
        raise refused(where, pixels.entry, found)


def _native(file: IO[bytes], pixels: Pixels, frame: int, target: NDArray[Any]) -> NDArray[Any]:
    """Return stored values in native byte order; in ``target``'s own memory where they fit it."""
    dtype = np.dtype(f"{'i' if pixels.signed else 'u'}{pixels.allocated // 8}")
    size = target.size * dtype.itemsize
    same = target.dtype == np.int16 and dtype.itemsize == target.dtype.itemsize
    stored = target.view(dtype) if same else np.empty(target.shape, dtype)
    file.seek(pixels.offset + frame * size)
    _fill(file, memoryview(stored).cast("B"))  # type: ignore[arg-type]
    if pixels.big_endian:
        stored.byteswap(inplace=True)
    return stored


def _fill(file: IO[bytes], target: memoryview) -> None:
    """Fill ``target`` from where the file stands; raises EOFError where it ends too early."""
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count


def _put(stored: NDArray[Any], item: Slice, target: NDArray[Any]) -> None:
    """Write stored values as HU; ``stored`` may be a view of ``target``."""
    pixels: Pixels = item.stored
    low, high = int(stored.min()), int(stored.max())
    least = -(1 << (pixels.stored - 1)) if pixels.signed else 0
    if low < least or high > least + (1 << pixels.stored) - 1:  # what lies above the stored bits
        spare = 8 * stored.dtype.itemsize - pixels.stored
        stored = (stored << spare) >> spare
        low, high = int(stored.min()), int(stored.max())
    padded = _padding(stored, item, low, high)
    slope, intercept = item.slope, item.intercept
    if target.dtype != np.int16:
        target[:] = stored * slope + intercept
    elif slope == 1 and INT16.min <= low + intercept and high + intercept <= INT16.max:
        # Nearly always. Modulo 2^16 this is right for unsigned values too, where the sum fits.
        bits = stored if stored.dtype == np.int16 else stored.astype(np.int16, copy=False)
        np.add(bits, np.int64(intercept).astype(np.int16), out=target)
    else:
        wide = stored.astype(np.float64) * slope + intercept
        target[:] = np.clip(wide, INT16.min, INT16.max)
    if padded is not None:
        target[padded] = AIR_HU


def _padding(stored: NDArray[Any], item: Slice, low: int, high: int) -> NDArray[np.bool_] | None:
    """Tell which values are padding that no tissue has; None where there is none such."""
    pixels: Pixels = item.stored
    if pixels.padding is None:
        return None
    # The element may be written with the other sign than the pixels.
    first, last = (int(np.int64(v).astype(stored.dtype)) for v in pixels.padding)
    if last < low or first > high:
        return None
    if any(AIR_HU <= v * item.slope + item.intercept <= HIGHEST_HU for v in (first, last)):
        return None
    found: NDArray[np.bool_] = (stored >= first) & (stored <= last)
    return found
