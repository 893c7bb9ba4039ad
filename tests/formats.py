"""One scan in every format and dress that `vertebra-ml locate` takes: what to write, what it keeps.

Each function writes a volume below a folder and returns the path to give.
"""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.layouts import nifti_bytes, zip_of
from vertebra_ml.readers.dicom_writer import Dress, write_enhanced, write_series
from vertebra_ml.readers.sidecar import DTYPES
from vertebra_ml.volume import Volume

Writer = Callable[[Path, Volume], Path]
STEPS = 0.125
"""HU a step of numbers that hold fractions."""


def stored_as(volume: Volume, dtype: str) -> tuple[Any, float, float]:
    """Return numbers of a type, with the slope and intercept that make them the scan's HU again."""
    hu = volume.array.astype(np.float64)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return ((hu + 1024) / 4).astype(kind), 4.0, -1024.0
    if kind.itemsize == 1:  # 256 steps of 16 HU
        low = np.iinfo(kind).min
        return (
            np.clip(np.round((hu + 1024) / 16) + low, low, low + 255).astype(kind),
            16.0,
            (-1024.0 - 16 * low),
        )
    if kind.itemsize == 2:
        return np.round(hu + 1024).astype(kind), 1.0, -1024.0
    return np.round((hu + 1024) / STEPS).astype(kind), STEPS, -1024.0


def nifti(folder: Path, volume: Volume, *, name: str = "scan.nii", **changes: Any) -> Path:
    path = folder / name
    content = nifti_bytes(volume, **changes)
    path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
    return path


def nifti_of(dtype: str, folder: Path, volume: Volume, **changes: Any) -> Path:
    numbers, slope, intercept = stored_as(volume, dtype)
    return nifti(folder, volume, stored=numbers, slope=(slope, intercept), **changes)


def nifti_4d(folder: Path, volume: Volume) -> Path:
    return nifti(folder, volume, stored=volume.array[..., None])


def raw_of(dtype: str, order: str, folder: Path, volume: Volume) -> Path:
    """Write a .raw whose sidecar says the grid in DICOM's frame, behind a header of 7 bytes."""
    numbers, slope, intercept = stored_as(volume, dtype)
    kind = np.dtype(dtype).newbyteorder("<" if order == "little" else ">")
    path = folder / "scan.raw"
    path.write_bytes(b"7 bytes" + numbers.astype(kind).tobytes(order="F"))
    affine = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine).tolist()
    path.with_suffix(".yaml").write_text(
        f"shape: {list(volume.shape)}\ndtype: {dtype}\nbyte_order: {order}\noffset: 7\n"
        f"slope: {slope}\nintercept: {intercept}\nframe: LPS\naffine: {affine}\n"
    )
    return path


def dicom(dress: Dress, folder: Path, volume: Volume) -> Path:
    write_series(folder / "series", volume, seed="scan", dress=dress)
    return folder / "series"


def enhanced(dress: Dress, folder: Path, volume: Volume) -> Path:
    return write_enhanced(folder / "scan.dcm", volume, seed="scan", dress=dress)


def dicom_zip(folder: Path, volume: Volume) -> Path:
    path = folder / "scan.zip"
    path.write_bytes(zip_of(dicom(Dress(), folder, volume)))
    return path


SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "RLE": RLELossless,
    "JPEG lossless": JPEGLossless,
    "JPEG lossless, first order": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}
"""Ways to write the bytes of a DICOM file that lose nothing."""

FORMATS: dict[str, Writer] = {
    "nii": nifti,
    "nii.gz": partial(nifti, name="scan.nii.gz"),
    "big-endian nii": partial(nifti, order=">"),
    "NIfTI-2": partial(nifti, kind=nib.Nifti2Header),
    "big-endian NIfTI-2, gz": partial(nifti, kind=nib.Nifti2Header, order=">", name="scan.nii.gz"),
    "4D nii of one frame": nifti_4d,
    "nii, sform alone": partial(nifti, codes=(2, 0)),
    "nii, qform alone": partial(nifti, codes=(0, 1)),
    **{f"nii of {dtype}": partial(nifti_of, dtype) for dtype in DTYPES},
    "big-endian nii of float32": partial(nifti_of, "float32", order=">"),
    **{
        f"raw of {order} {dtype}": partial(raw_of, dtype, order)
        for dtype in DTYPES
        for order in ("little", "big")
    },
    "DICOM": partial(dicom, Dress()),
    "DICOM, unsigned": partial(dicom, Dress(signed=False)),
    "DICOM, from the last slice": partial(dicom, Dress(reverse=True)),
    **{f"DICOM, {name}": partial(dicom, Dress(syntax)) for name, syntax in SYNTAXES.items()},
    "DICOM, zip": dicom_zip,
    "DICOM, enhanced": partial(enhanced, Dress()),
    "DICOM, enhanced, JPEG-LS": partial(enhanced, Dress(JPEGLSLossless)),
}


def hu_tolerance(name: str) -> float:
    """Return what a format cannot tell apart, HU."""
    if "int8" in name:
        return 8.5
    if "float" in name:
        return 1e-3
    if "int32" in name:
        return STEPS / 2
    return 0.5 if "int16" in name or "DICOM" in name else 0.0
