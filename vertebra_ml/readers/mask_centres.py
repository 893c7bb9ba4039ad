"""The centre of a vertebra's body from its mask, in any orientation and spacing.

The body is the thick part: nothing else of a vertebra holds a ball as large. The mask is resampled
to 1 mm, the deepest points are kept (the centres of all balls of ``CORE`` times the largest
radius), and the union of those balls is the body without pedicles and processes: a morphological
opening. Its centroid is the landmark. No axis is assumed, so a mask may lie in any direction.

Measured against centres made by others from the same network masks (LIDC-IDRI-0001 T1-L1,
TotalSegmentator's example L1-L5) and against the phantom's own bodies: docs/decisions.md.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP_MM: Final = 1.0
CORE: Final = 0.75
"""Part of the largest radius that a ball must have to count as body: above that of any pedicle,
low enough that the balls fill a flat body to its rim. 0.6 lets pedicles in, 0.85 loses the rim."""
RADIUS_MIN_MM: Final = 3.0
"""Nothing thinner is a body: a C3 holds balls of 5 to 6 mm. A speck, an arch or an edge remains."""
BODILESS: Final = "C1"
"""The atlas is a ring: it has no body."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Body:
    """A vertebral body in its mask.

    Parameters
    ----------
    centre : (3,) voxels of the mask given, centres at whole numbers.
    low, high : (3,) the box around the body, in the same voxels, outer faces.
    """

    centre: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def largest_piece(mask: Mask) -> Mask:
    """Return the largest connected part (by faces) of a mask that is not empty."""
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    if count == 1:
        return mask
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def find_body(mask: Mask, spacing_mm: NDArray[np.float64]) -> Body | None:
    """Find the body in the (x, y, z) mask of one vertebra; None where no part is thick enough.

    ``spacing_mm`` (3,) is the distance of voxels along each axis. Specks beside the largest
    connected part are ignored.
    """
    from scipy import ndimage

    fine, scale = _resampled(largest_piece(mask), spacing_mm)
    if not fine.any():
        return None
    depth = ndimage.distance_transform_edt(np.pad(fine, 1))[1:-1, 1:-1, 1:-1]
    radius = float(depth.max())
    if radius * STEP_MM < RADIUS_MIN_MM:
        return None
    core = largest_piece(depth >= CORE * radius)
    body = fine & (ndimage.distance_transform_edt(~core) < CORE * radius)
    places = np.argwhere(body)
    to_mask = 1 / scale  # fine voxels to voxels of the mask; a margin of one was added to it
    return Body(
        (places.mean(axis=0) + 0.5) * to_mask - 1.5,
        places.min(axis=0) * to_mask - 1.5,
        (places.max(axis=0) + 1) * to_mask - 1.5,
    )


def _resampled(mask: Mask, spacing_mm: NDArray[np.float64]) -> tuple[Mask, NDArray[np.float64]]:
    """Return the mask with a margin of one voxel on a grid of 1 mm, and fine voxels a voxel."""
    from scipy import ndimage

    scale = np.asarray(spacing_mm, dtype=np.float64) / STEP_MM
    values = np.pad(mask, 1).astype(np.float32)
    shape = np.maximum(1, np.ceil(np.array(values.shape) * scale)).astype(int)
    # Voxel centres of the fine grid in voxels of the padded one: the outer faces stay together.
    fine = ndimage.affine_transform(
        values, 1 / scale, offset=0.5 / scale - 0.5, output_shape=tuple(shape), order=1
    )
    return fine > 0.5, scale
