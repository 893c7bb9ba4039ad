"""Affines of voxel grids: 4x4 matrices from voxel indices (centres at whole numbers) to RAS+ mm."""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.errors import GeometryError

Affine = NDArray[np.float64]
MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 50.0  # beyond both, the unit of the file is not mm
MAX_SHEAR = 0.02
"""Largest cosine between two axes of a grid: 1.1 degrees. A gantry tilt is not such a grid."""
WORLD_ENDS = ("LR", "PA", "IS")  # where each world axis comes from and points to


def spacing_of(affine: Affine) -> NDArray[np.float64]:
    """Return (3,): length in mm of each column of a 4x4 affine."""
    spacing: NDArray[np.float64] = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return spacing


def voxel_to_world(affine: Affine, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (..., 3) voxel indices through a 4x4 affine to RAS+ mm."""
    return np.asarray(voxels, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]


def world_to_voxel(affine: Affine, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map (..., 3) RAS+ mm back through a 4x4 affine to fractional voxel indices."""
    shifted = np.asarray(points_mm, dtype=np.float64) - affine[:3, 3]
    return shifted @ np.linalg.inv(affine[:3, :3]).T


def world_axes(affine: Affine) -> tuple[int, ...]:
    """Return for each voxel axis the world axis nearest to it; each world axis is taken once."""
    cosines = np.abs(affine[:3, :3]) / spacing_of(affine)
    return max(permutations(range(3)), key=lambda p: sum(cosines[p[i], i] for i in range(3)))


def parse_orientation(orientation: str) -> list[tuple[int, bool]]:
    """Return for each letter its world axis, and whether it points up that axis."""
    pairs = [
        (axis, ends.index(letter) == 1)
        for letter in orientation
        for axis, ends in enumerate(WORLD_ENDS)
        if letter in ends
    ]
    if len(orientation) != 3 or sorted(axis for axis, _ in pairs) != [0, 1, 2]:
        raise GeometryError(
            "volume",
            found=f"orientation {orientation!r}",
            expected="three letters such as RAS: one each of L/R, P/A and I/S",
            fix="correct the orientation",
        )
    return pairs


def check_affine(affine: object, where: str = "volume") -> Affine:
    """Return a 4x4 float64 copy of ``affine``, or raise GeometryError naming what is wrong."""
    matrix = np.array(affine, dtype=np.float64)
    found = _affine_fault(matrix)
    if found:
        raise GeometryError(
            where,
            found=found,
            expected="a finite 4x4 affine of right-angled axes, spacing 0.01 to 50 mm",
            fix="repair the header from the original DICOM, or drop the scan",
        )
    matrix.flags.writeable = False
    return matrix


def _affine_fault(matrix: Affine) -> str:
    if matrix.shape != (4, 4):
        return f"an affine of shape {matrix.shape}"
    if not np.isfinite(matrix).all():
        return "an affine with NaN or infinity"
    if not np.allclose(matrix[3], [0, 0, 0, 1]):
        return f"an affine whose last row is {matrix[3].tolist()}"
    spacing = spacing_of(matrix)
    if spacing.min() < MIN_SPACING_MM or spacing.max() > MAX_SPACING_MM:
        return f"a spacing of {np.round(spacing, 4).tolist()} mm"
    directions = matrix[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > MAX_SHEAR:
        return "an affine with axes that are not at right angles"
    return ""
