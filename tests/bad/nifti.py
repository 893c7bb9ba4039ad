"""Bad NIfTI and gzip files."""

import bz2
import gzip
from functools import cache
from typing import Any, Final

import nibabel as nib
import numpy as np

from tests.bad.kind import Bad, Maker, file_of
from tests.layouts import nifti_bytes, small_scan

HEADER: Final = 348
GZ, FLAT = ".nii.gz", ".nii"


@cache
def whole() -> bytes:
    """Return a good file, not packed."""
    return nifti_bytes(small_scan())


def nifti(**changes: Any) -> Maker:
    """Return a maker of a packed file with some header fields of its own."""
    return file_of(lambda: gzip.compress(nifti_bytes(small_scan(), **changes), 1), GZ)


def patched(at: int, value: bytes) -> Maker:
    """Return a maker of a packed file with other bytes at one place of its header."""
    return file_of(lambda: gzip.compress(whole()[:at] + value + whole()[at + len(value) :], 1), GZ)


def shorts(*numbers: int) -> bytes:
    return np.array(numbers, "<i2").tobytes()


def floats(*numbers: float) -> bytes:
    return np.array(numbers, "<f4").tobytes()


def packed(change: Any) -> Maker:
    """Return a maker of a gzip stream that is changed as a whole."""
    return file_of(lambda: change(gzip.compress(whole(), 6)), GZ)


def flipped(content: bytes, at: int) -> bytes:
    """Return the bytes with one of them inverted."""
    place = at % len(content)
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def not_finite() -> bytes:
    array = np.full((24, 20, 12), np.nan, np.float32)
    return gzip.compress(nifti_bytes(small_scan(), stored=array), 1)


def bomb() -> bytes:
    """Return 100 kB that unpack to 100 MB, which claim to be the start of a terabyte."""
    start = nifti_bytes(small_scan(), dim=[3, 32767, 32767, 1000, 1, 1, 1, 1])
    return gzip.compress(start[: HEADER + 4] + bytes(100_000_000), 9)


def complex_voxels() -> bytes:
    array = np.zeros((24, 20, 12), np.complex64)
    return gzip.compress(nifti_bytes(small_scan(), stored=array), 1)


SROW_X, SROW_Z, PIXDIM, DIM, MAGIC = 280, 312, 76, 40, 344

NIFTI: Final = {
    "empty file": Bad(file_of(b"", FLAT), "found", content_words="found no content"),
    "text as .nii": Bad(
        file_of(b"this is not a scan", FLAT), "does not start as NIfTI does",
        content_words="bytes of another kind",
    ),
    "picture as .nii": Bad(
        file_of(b"\x89PNG\r\n\x1a\n" + bytes(500), FLAT), "does not start as NIfTI does",
        content_words="bytes of another kind",
    ),
    "header cut": Bad(
        file_of(lambda: whole()[:200], FLAT), "a truncated file: a header of 200 bytes",
        content_words="bytes of another kind",
    ),
    "header alone": Bad(file_of(lambda: whole()[:HEADER], FLAT), "a truncated file"),
    "voxels cut": Bad(file_of(lambda: whole()[:-1000], FLAT), "a truncated file: at most"),
    "2D image": Bad(nifti(dim=[2, 24, 20, 1, 1, 1, 1, 1]), "a 2D image of shape"),
    "one slice": Bad(nifti(dim=[3, 24, 20, 1, 1, 1, 1, 1]), "a 2D image of shape"),
    "five frames": Bad(nifti(dim=[4, 4, 4, 12, 5, 1, 1, 1]), "5 frames"),
    "no axes": Bad(nifti(dim=[0, 24, 20, 12, 1, 1, 1, 1]), "0 axes"),
    "nine axes": Bad(nifti(dim=[9, 24, 20, 12, 1, 1, 1, 1]), "9 axes"),
    "negative axis": Bad(nifti(dim=[3, -24, 20, 12, 1, 1, 1, 1]), "a shape of"),
    "axis of zero": Bad(nifti(dim=[3, 24, 0, 12, 1, 1, 1, 1]), "a shape of"),
    "terabytes claimed": Bad(
        nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), "= 35,181,150,961,663 voxels"
    ),
    "more than a stream can hold": Bad(nifti(dim=[3, 1000, 500, 300, 1, 1, 1, 1]), "truncated"),
    "NIfTI-2 of 2^120 voxels": Bad(
        nifti(kind=nib.Nifti2Header, dim=[3, 2**40, 2**40, 2**40, 1, 1, 1, 1]), "voxels; expected"
    ),
    "colour voxels": Bad(nifti(datatype=128, bitpix=24), "voxels of type"),
    "complex voxels": Bad(file_of(complex_voxels, GZ), "voxels of type complex64"),
    "bits": Bad(nifti(datatype=1, bitpix=1), "contradicts itself|voxels of type"),
    "unknown voxel type": Bad(nifti(datatype=999), "contradicts itself"),
    "no finite voxel": Bad(file_of(not_finite, GZ), "no finite voxel"),
    "NaN in the affine": Bad(patched(SROW_X, floats(np.nan)), "affine|finite"),
    "infinite affine": Bad(patched(SROW_X, floats(np.inf)), "affine|finite"),
    "singular affine": Bad(patched(SROW_Z, floats(0, 0, 0, 0)), "found"),
    "sheared affine": Bad(patched(SROW_X, floats(2, 1, 0, 0)), "found"),
    "spacing of a micrometre": Bad(patched(SROW_X, floats(1e-3, 0, 0, 0)), "spacing"),
    "spacing of a metre": Bad(patched(SROW_X, floats(1000, 0, 0, 0)), "spacing"),
    "no orientation": Bad(nifti(codes=(0, 0)), "neither sform nor qform"),
    "quaternion beyond one": Bad(
        nifti(codes=(0, 1), quatern_b=3.0), "an orientation that cannot be computed"
    ),
    "NaN intercept": Bad(nifti(slope=(2.0, np.nan)), "contradicts itself"),
    "header of a pair": Bad(patched(MAGIC, b"ni1\0"), "a header whose magic is"),
    "unknown magic": Bad(
        patched(MAGIC, b"abc\0"), "a header whose magic is"
    ),
    "voxels that start before the header": Bad(nifti(vox_offset=-8.0), "voxels that start at"),
    "voxels that start nowhere": Bad(nifti(vox_offset=np.nan), "voxels that start at"),
    "voxels that start at a gigabyte": Bad(nifti(vox_offset=1e9), "voxels that start at"),
}  # fmt: skip

GZIP: Final = {
    "empty .gz": Bad(file_of(b"", GZ), "found", content_words="found no content"),
    "text as .nii.gz": Bad(
        file_of(b"this is not a scan", GZ), "does not start as NIfTI does",
        content_words="bytes of another kind",
    ),
    "gzip of text": Bad(file_of(gzip.compress(b"not a scan"), GZ), "does not start as NIfTI"),
    "gzip of gzip": Bad(packed(gzip.compress), "does not start as NIfTI does"),
    "bzip2 as .gz": Bad(
        file_of(lambda: bz2.compress(whole()), GZ), "does not start as NIfTI does",
        content_words="bytes of another kind",
    ),
    "gzip header alone": Bad(packed(lambda c: c[:10]), "found"),
    "gzip cut in half": Bad(packed(lambda c: c[: len(c) // 2]), "a gzip stream that ends too"),
    "gzip without its sum": Bad(packed(lambda c: c[:-8]), "ends too early"),
    "gzip with a wrong sum": Bad(packed(lambda c: flipped(c, -6)), "cannot be read"),
    "gzip with a broken block": Bad(packed(lambda c: c[:300] + b"\xff" * 200 + c[500:]), "found"),
    "gzip of an unknown method": Bad(packed(lambda c: flipped(c, 2)), "cannot be read"),
    "gzip bomb": Bad(file_of(bomb, GZ), r"voxels; expected at most"),
}  # fmt: skip
