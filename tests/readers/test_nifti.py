"""NIfTI in every dress that is met, and every refusal by its message."""

import contextlib
import gzip
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tests.layouts import GRIDS, assert_same_scan, make_scan, nifti_bytes, turn
from vertebra_ml import readers
from vertebra_ml.errors import VertebraError
from vertebra_ml.readers.nifti import read_volume
from vertebra_ml.volume import AIR_HU

SCAN = make_scan(GRIDS["oblique"])
HU = SCAN.array


def read(content: bytes, *, voxels_max: int = 10**7) -> Any:
    return read_volume(content, Path("scan.nii"), voxels_max=voxels_max)


# What is stored, the header's say, and the type of the HU that must come back.
DRESSES: dict[str, tuple[Any, dict[str, Any], type]] = {
    "int16": (HU, {}, np.int16),
    "big-endian": (HU, {"order": ">"}, np.int16),
    "NIfTI-2": (HU, {"kind": nib.Nifti2Header}, np.int16),
    "big-endian NIfTI-2": (HU, {"kind": nib.Nifti2Header, "order": ">"}, np.int16),
    "int32": (HU.astype(np.int32), {}, np.int16),
    "int64": (HU.astype(np.int64), {}, np.int16),
    "uint16 with intercept": ((HU + 1024).astype(np.uint16), {"slope": (1, -1024)}, np.int16),
    "int16 with whole slope": ((HU + 1024) // 2, {"slope": (2, -1024)}, np.int16),
    "big-endian float64": (HU.astype(np.float64), {"order": ">"}, np.float32),
    "float32": (HU.astype(np.float32), {}, np.float32),
    "float32 with slope": ((HU / 4).astype(np.float32), {"slope": (4, 0)}, np.float32),
    "int16 with a slope of a half": (HU * 2, {"slope": (0.5, 0)}, np.float32),
    "uint8 with slope": (
        ((HU + 1024) // 16).clip(0, 255).astype(np.uint8), {"slope": (16, -1024)}, np.int16
    ),
    "big-endian float32 with slope": (
        (HU / 4).astype(np.float32), {"slope": (4, 0), "order": ">"}, np.float32
    ),
    "big-endian uint16": (
        (HU + 1024).astype(np.uint16), {"slope": (1, -1024), "order": ">"}, np.int16
    ),
    "no scaling said": (HU, {"slope": (np.nan, np.nan)}, np.int16),
    "a slope of zero means none": (HU, {"slope": (0, 0)}, np.int16),
    "4D of one frame": (HU[..., None], {}, np.int16),
    "5D of one frame": (HU[..., None, None], {}, np.int16),
    "sform alone": (HU, {"codes": (2, 0)}, np.int16),
    "qform alone": (HU, {"codes": (0, 1)}, np.int16),
}  # fmt: skip
ROUGH = {"int16 with whole slope": 1, "uint8 with slope": 15}
"""What these cannot tell apart, HU."""


@pytest.mark.parametrize("packed", [False, True], ids=["nii", "nii.gz"])
@pytest.mark.parametrize("dress", DRESSES)
def test_the_same_scan_in_every_dress(dress: str, packed: bool) -> None:
    stored, changes, dtype = DRESSES[dress]
    content = nifti_bytes(SCAN, stored=stored, **changes)
    volume = read(gzip.compress(content, 1) if packed else content)
    assert volume.array.dtype == dtype
    assert_same_scan(volume, SCAN, hu=ROUGH.get(dress, 0))
    np.testing.assert_allclose(volume.affine, SCAN.affine, atol=1e-4)


@pytest.mark.parametrize("grid", GRIDS)
def test_voxels_and_affine_agree_with_nibabel(tmp_path: Path, grid: str) -> None:
    path = tmp_path / "scan.nii.gz"
    scan = make_scan(GRIDS[grid])
    nib.save(nib.Nifti1Image(scan.array, scan.affine), path)
    second_opinion = nib.load(path)
    volume = readers.open_volume(path)
    np.testing.assert_array_equal(volume.array, np.asanyarray(second_opinion.dataobj))
    np.testing.assert_array_equal(volume.affine, second_opinion.affine)
    assert volume.orientation == "".join(nib.aff2axcodes(second_opinion.affine))


def test_header_extensions_are_passed_over(tmp_path: Path) -> None:
    image = nib.Nifti1Image(HU, SCAN.affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 3000))
    nib.save(image, tmp_path / "scan.nii.gz")
    assert_same_scan(readers.open_volume(tmp_path / "scan.nii.gz"), SCAN)


def test_a_gzip_of_several_members_is_one_file() -> None:
    content = nifti_bytes(SCAN)
    half = len(content) // 2
    assert_same_scan(read(gzip.compress(content[:half]) + gzip.compress(content[half:])), SCAN)


def test_zeros_after_a_gzip_are_padding() -> None:
    assert_same_scan(read(gzip.compress(nifti_bytes(SCAN)) + bytes(512)), SCAN)


def test_voxels_that_are_not_finite_become_air() -> None:
    stored = HU.astype(np.float32)
    stored[0, 0, :3] = np.nan, np.inf, -np.inf
    volume = read(nifti_bytes(SCAN, stored=stored))
    assert volume.array[0, 0, :3].tolist() == [AIR_HU] * 3
    np.testing.assert_array_equal(volume.array[1:], HU[1:])


def test_values_beyond_int16_are_held_at_its_ends() -> None:
    stored = HU.astype(np.int32)
    stored[0, 0, :2] = -(2**31), 2**31 - 1
    volume = read(nifti_bytes(SCAN, stored=stored))
    assert volume.array[0, 0, :2].tolist() == [-32768, 32767]


def test_the_array_is_made_once_whatever_the_type_on_disk() -> None:
    import tracemalloc

    shape = (128, 128, 128)
    stored = np.zeros(shape, np.float64)
    content = nifti_bytes(SCAN, stored=stored)
    tracemalloc.start()
    volume = read(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert volume.array.nbytes == 4 * 128**3
    # A scratch piece of float64 values beside the float32 result, and the bytes given.
    assert peak < 1.5 * volume.array.nbytes + len(content)


def forms(sform: Any) -> bytes:
    """Return a scan whose sform is its affine times ``sform`` and whose qform is as it was."""
    rows = SCAN.affine @ np.asarray(sform, dtype=np.float64)
    return nifti_bytes(SCAN, srow_x=rows[0], srow_y=rows[1], srow_z=rows[2])


def turned(angles_deg: Sequence[float]) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3] = turn(angles_deg)
    return matrix


def test_the_sform_is_taken_where_both_are_set() -> None:
    """A registration moves and turns a little: the two may differ in where the scan lies."""
    change = turned([4, -7, 9])
    change[:3, 3] = 30, -20, 500
    moved = np.linalg.inv(SCAN.affine) @ change @ SCAN.affine
    np.testing.assert_allclose(read(forms(moved)).affine, change @ SCAN.affine, atol=1e-3)


def test_either_form_alone_is_taken_whatever_the_other_holds() -> None:
    for codes, field in (((0, 1), {"srow_x": [9, 9, 9, 9]}), ((3, 0), {"quatern_b": np.nan})):
        volume = read(nifti_bytes(SCAN, codes=codes, **field))
        np.testing.assert_allclose(volume.affine, SCAN.affine, atol=1e-4)


def affine_with(value: float) -> dict[str, Any]:
    return {"codes": (1, 0), "srow_x": [value, 0, 0, 0]}


def header_of(shape: tuple[int, ...]) -> bytes:
    """A header that claims ``shape``, and no voxels."""
    return nifti_bytes(SCAN, dim=[len(shape), *shape, *[1] * (7 - len(shape))])[:352]


BAD: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "does not start as NIfTI does"),
    "text": (b"Patient seen today, no finding.\n" * 30, "does not start as NIfTI does"),
    "text, gzipped": (gzip.compress(b"no image" * 100), "does not start as NIfTI does"),
    "zip": (b"PK\3\4" + bytes(400), "does not start as NIfTI does|an archive that cannot be read"),
    "half a header": (nifti_bytes(SCAN)[:200], "truncated file: a header of 200 bytes"),
    "header alone": (nifti_bytes(SCAN)[:352], "truncated file: at most 352 bytes"),
    "voxels cut": (nifti_bytes(SCAN)[:-1000], "truncated file"),
    "voxels cut, gzipped": (
        gzip.compress(nifti_bytes(SCAN)[:-1000]),
        "truncated file: fewer than [0-9,]+ voxels",
    ),
    "gzip cut": (gzip.compress(nifti_bytes(SCAN))[:-5000], "truncated file: a gzip stream that"),
    "gzip cut in its sum": (gzip.compress(nifti_bytes(SCAN))[:-3], "truncated|cannot be read"),
    "gzip of a wrong sum": (
        gzip.compress(nifti_bytes(SCAN))[:-8] + bytes(8),
        "cannot be read",
    ),
    "gzip turned to noise": (
        gzip.compress(nifti_bytes(SCAN))[:3000] + b"\xff" * 3000,
        "cannot be read|truncated",
    ),
    "terabytes claimed": (header_of((30000, 30000, 30000)), "27,000,000,000,000 voxels; exp"),
    "terabytes claimed, gzipped": (
        gzip.compress(header_of((30000, 30000, 30000))),
        "27,000,000,000,000 voxels",
    ),
    "more claimed than any gzip can hold": (
        gzip.compress(header_of((200, 200, 200))),
        "truncated file: at most",
    ),
    "voxels that start far away": (nifti_bytes(SCAN, vox_offset=1e12), "start at byte 1e\\+12"),
    "voxels that start within the header": (nifti_bytes(SCAN, vox_offset=100), "start at byte 100"),
    "voxels that start nowhere": (nifti_bytes(SCAN, vox_offset=np.nan), "start at byte nan"),
    "voxels that start past the end": (nifti_bytes(SCAN, vox_offset=1e6), "truncated file"),
    "2D": (nifti_bytes(SCAN, stored=HU[:, :, 0]), r"a 2D image of shape \(48, 40\)"),
    "2D in 3D": (nifti_bytes(SCAN, stored=HU[:, :, :1]), "a 2D image of shape"),
    "1D": (nifti_bytes(SCAN, stored=HU[:, 0, 0]), "a 2D image of shape"),
    "no axes": (nifti_bytes(SCAN, dim=[0] * 8), "found 0 axes"),
    "axes of length 0": (nifti_bytes(SCAN, dim=[3, 10, 0, 10, 1, 1, 1, 1]), r"a shape of \(10, 0"),
    "axes of negative length": (
        nifti_bytes(SCAN, dim=[3, 10, -5, 10, 1, 1, 1, 1]),
        r"a shape of \(10, -5",
    ),
    "a time series": (
        nifti_bytes(SCAN, stored=np.stack([HU, HU], axis=-1)),
        r"found 2 frames \(shape \(48, 40, 39, 2\)\)",
    ),
    "colour": (nifti_bytes(SCAN, datatype=128, bitpix=24), "voxels of type .*R"),
    "complex": (nifti_bytes(SCAN, stored=HU.astype(np.complex64)), "voxels of type complex64"),
    "an unknown type": (nifti_bytes(SCAN, datatype=77), "a header that contradicts itself"),
    "an intercept of infinity": (nifti_bytes(SCAN, slope=(1, np.inf)), "contradicts itself"),
    "a header of an image elsewhere": (nifti_bytes(SCAN, magic=b"ni1"), "whose magic is b'ni1"),
    "NaN in the affine": (nifti_bytes(SCAN, **affine_with(np.nan)), "an affine with NaN or inf"),
    "infinity in the affine": (nifti_bytes(SCAN, **affine_with(np.inf)), "affine with NaN or inf"),
    "an affine of zeros": (
        nifti_bytes(SCAN, srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4),
        r"spacing of \[0.0, 0.0, 0.0\] mm",
    ),
    "a spacing in metres": (
        nifti_bytes(SCAN, srow_x=[1e-3, 0, 0, 0], srow_y=[0, 1e-3, 0, 0], srow_z=[0, 0, 1e-3, 0]),
        r"spacing of \[0.001, 0.001, 0.001\] mm",
    ),
    "a sheared affine": (
        nifti_bytes(SCAN, srow_x=[1, 0, 0, 0], srow_y=[0, 1, 0.3, 0], srow_z=[0, 0, 1, 0]),
        "axes that are not at right angles",
    ),
    "no orientation": (nifti_bytes(SCAN, codes=(0, 0)), "neither sform nor qform"),
    "a quaternion of NaN": (nifti_bytes(SCAN, codes=(0, 1), quatern_b=np.nan), "affine|orient"),
    "a quaternion too long": (nifti_bytes(SCAN, codes=(0, 1), quatern_b=3), "cannot be computed"),
    "a left-right mirror between the forms": (
        forms(np.diag([-1, 1, 1, 1])), "sform and a qform that are mirror images of each other"
    ),
    "a half turn between the forms": (
        forms(np.diag([-1, -1, 1, 1])), "sform and a qform that point an axis in different"
    ),
    "a quarter turn between the forms": (
        forms(turned([0, 0, 90])), "sform and a qform that point an axis in different"
    ),
    "another spacing in each form": (
        forms(np.diag([1, 1, 2, 1])), "sform and a qform of different spacing"
    ),
    "gzip and something after it": (
        gzip.compress(nifti_bytes(SCAN)) + b"appended, longer than a header", "cannot be read"
    ),
    "gzip and a byte after it": (gzip.compress(nifti_bytes(SCAN)) + b"a", "gzip stream that ends"),
    "a gzip bomb": (
        gzip.compress(header_of((1100, 1100, 1100)) + bytes(10**7)), "truncated file: at most"
    ),
    "terabytes claimed, NIfTI-2": (
        nifti_bytes(SCAN, kind=nib.Nifti2Header, dim=[3, 2**40, 2**40, 2**40, 1, 1, 1, 1])[:544],
        "1,329,227,995,784,915,872,903,807,060,280,344,576 voxels",
    ),
    "an intercept of NaN": (nifti_bytes(SCAN, slope=(1, np.nan)), "contradicts itself"),
    "a slope of infinity": (nifti_bytes(SCAN, slope=(np.inf, 0)), "found a slope that is infinite"),
    "nothing finite": (
        nifti_bytes(SCAN, stored=np.full(HU.shape, np.nan, np.float32)),
        "no finite voxel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    content, message = BAD[kind]
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(VertebraError, match=message) as caught:
        readers.open_case(path).open_volume()
    line = str(caught.value)
    assert line.startswith(f"{path}: found ")
    assert "; expected " in line
    assert "\n" not in line
    with pytest.raises(VertebraError, match=message):
        readers.open_contents(content, "scan")[0].open_volume()


def test_a_broken_block_is_found_though_voxels_enough_come_out() -> None:
    """The rest of the stream is read for its sum; once only the next byte was."""
    packed = gzip.compress(nifti_bytes(SCAN), 6)
    found = 0
    for start in range(300, len(packed) - 300, len(packed) // 40):
        spoilt = packed[:start] + b"\xff" * 200 + packed[start + 200 :]
        with pytest.raises(VertebraError):
            read(spoilt)
        found += 1
    assert found > 30


def test_a_stream_that_never_ends_is_refused() -> None:
    with pytest.raises(VertebraError, match="more than 16,777,216 bytes after the voxels"):
        read(gzip.compress(nifti_bytes(SCAN) + bytes(1 << 25), 1))


def test_more_voxels_than_allowed_are_refused_before_memory_is_taken() -> None:
    with pytest.raises(VertebraError, match=r"48 x 40 x 39 = 74,880 voxels; .*most 74,879"):
        read(nifti_bytes(SCAN), voxels_max=HU.size - 1)


def test_a_header_turned_to_noise_never_makes_another_error() -> None:
    """Every two bytes of a header replaced: either our error or a volume, nothing else."""
    content = bytearray(nifti_bytes(SCAN))
    rng = np.random.default_rng(5)
    for place in range(0, 350, 2):
        noisy = bytearray(content)
        struct.pack_into("<H", noisy, place, int(rng.integers(0, 1 << 16)))
        with contextlib.suppress(VertebraError):
            read(bytes(noisy))
