"""One small scan with known landmarks, on any grid, and how to write it in each layout."""

import gzip
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume

POINTS_MM = {"T12": (-11.5, 22.25, 28.0), "L1": (-9.0, 20.5, 3.75), "L3": (-8.25, 26.0, -30.5)}
VISIBLE = ("T11", "T12", "L1", "L2", "L3", "L4")
TRUTH = Truth(Landmarks.of(POINTS_MM), VISIBLE)


@dataclass(frozen=True)
class Grid:
    """A grid to write the scan on: axes, spacing (left-right, back-front, foot-head), turns."""

    orientation: str = "RAS"
    spacing_mm: tuple[float, float, float] = (2.0, 2.5, 4.0)
    turned_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    dtype: type = np.int16


GRIDS = {
    "plain RAS": Grid(),
    "LPS as most scanners write": Grid("LPS"),
    "VerSe's PIR, thick in the last axis": Grid("PIR", (5.0, 1.3, 1.7)),
    "coronal, left-handed": Grid("SLA", (3.0, 2.1, 2.9)),
    "oblique": Grid("LPS", (1.9, 2.3, 3.1), (7.0, -4.0, 11.0)),
    "oblique and odd": Grid("IAR", (2.71828, 3.14159, 1.41421), (-9.0, 12.0, 3.0)),
    "float": Grid("RPI", (2.0, 2.0, 3.0), dtype=np.float32),
}


def turn(angles_deg: Sequence[float]) -> NDArray[np.float64]:
    """Return the 3x3 rotation about x, then y, then z."""
    result = np.eye(3)
    for axis, angle in enumerate(np.radians(angles_deg)):
        a, b = [i for i in range(3) if i != axis]
        step = np.eye(3)
        step[[a, b], [a, b]] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        result = step @ result
    return result


def make_scan(grid: Grid | None = None) -> Volume:
    """Return about 90 x 90 x 120 mm around the origin: noise in air, a body, bright landmarks."""
    grid = grid or Grid()
    spacing = np.array(grid.spacing_mm)
    shape = tuple(int(n) for n in np.ceil(np.array([90, 90, 120]) / spacing))
    affine = np.eye(4)
    affine[:3, :3] = turn(grid.turned_deg) @ np.diag(spacing)
    affine[:3, 3] = affine[:3, :3] @ (-(np.array(shape) - 1) / 2) + [3.25, -1.5, 7.75]
    rng = np.random.default_rng(7)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    hu = rng.integers(-1024, -900, shape)
    body = np.hypot(world[..., 0] / 35, world[..., 1] / 40) < 1
    hu[body] = rng.integers(-50, 80, int(body.sum()))
    for point in POINTS_MM.values():
        near = np.linalg.norm(world - np.array(point), axis=-1) < 8
        hu[near] = rng.integers(300, 1500, int(near.sum()))
    array = hu.astype(np.int16) if grid.dtype == np.int16 else (hu + 0.25).astype(np.float32)
    turned = Volume(array, affine).reorient(grid.orientation)
    return Volume(turned.array, turned.affine)  # as a file of its own


def assert_same_scan(found: Volume, written: Volume, *, hu: float = 0.0, mm: float = 0.01) -> None:
    """Assert that at sampled voxel centres of ``written`` the other scan holds the same HU."""
    rng = np.random.default_rng(11)
    voxels = np.stack([rng.integers(0, n, 500) for n in written.shape], axis=-1)
    place = found.world_to_voxel(written.voxel_to_world(voxels))
    nearest = np.round(place).astype(int)
    assert np.abs((place - nearest) * found.spacing_mm).max() < mm
    assert sorted(found.shape) == sorted(written.shape)
    difference = found.array[tuple(nearest.T)].astype(float) - written.array[tuple(voxels.T)]
    assert np.abs(difference).max() <= hu


def write(root: Path, layout: str, grid: Grid, case: str = "p1") -> Volume:
    """Write the scan and its truth in a layout; return what was written."""
    volume = make_scan(grid)
    write_case(root, case, volume, TRUTH, layout)
    return volume


def nifti_bytes(volume: Volume, *, stored: NDArray[Any] | None = None, **changes: Any) -> bytes:
    """Return an uncompressed NIfTI of ``volume``.

    ``stored`` replaces the array; ``changes``: ``order`` ("<" or ">"), ``kind`` (a header class),
    ``codes`` (sform, qform), ``slope`` (slope, inter) and any header field by name.
    """
    array = volume.array if stored is None else stored
    kind = changes.pop("kind", nib.Nifti1Header)
    order = changes.pop("order", "<")
    sform, qform = changes.pop("codes", (1, 1))
    slope = changes.pop("slope", (1.0, 0.0))
    header = kind(endianness=order)
    header.set_data_dtype(array.dtype.newbyteorder(order))
    header.set_data_shape(array.shape)
    header.set_sform(volume.affine, code=sform)
    header.set_qform(volume.affine, code=qform)
    header["magic"] = b"n+1" if kind is nib.Nifti1Header else b"n+2\0\r\n\x1a\n"
    header["vox_offset"] = header.sizeof_hdr + 4
    header["scl_slope"], header["scl_inter"] = slope
    for field, value in changes.items():
        header[field] = value
    values = array.astype(array.dtype.newbyteorder(order))
    return bytes(header.binaryblock) + bytes(4) + values.tobytes(order="F")


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file, gzipped where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def zip_of(folder: Path, prefix: str = "", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of the files of a folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{prefix}{path.relative_to(folder)}")
    return content.getvalue()


def small_scan() -> Volume:
    """Return 12 slices of the scan, few enough to be written for each of many tests."""
    return make_scan().crop((10, 10, 8), (34, 30, 20))


def dicom_folder(folder: Path, **changes: Any) -> Path:
    """Write the small scan as a DICOM folder, with ``write_series``'s own options."""
    write_series(folder, small_scan(), seed="scan", **changes)
    return folder
