"""A made-up scan: the input example of a packed model, and what a server warms up with."""

import base64
import gzip

import nibabel as nib
import numpy as np

from vertebra_ml.volume import Volume

SPACING_MM = 4.0
ACROSS, SLICES = 90, 100  # voxels: 360 mm across, 400 mm high
BODY_MM, BONE_MM, BONE_BEHIND_MM = 150.0, 20.0, 60.0
TISSUE_HU, BONE_HU, AIR_HU = 40, 400, -1000


def made_up_scan() -> Volume:
    """Return an upright cylinder of soft tissue with a rod of bone in its back half; RAS+."""
    places = (np.arange(ACROSS) - ACROSS / 2) * SPACING_MM
    x, y = np.meshgrid(places, places, indexing="ij")  # x to the right, y to the front
    plane = np.where(np.hypot(x, y) < BODY_MM, TISSUE_HU, AIR_HU)
    plane = np.where(np.hypot(x, y + BONE_BEHIND_MM) < BONE_MM, BONE_HU, plane)
    array = np.repeat(plane.astype(np.int16)[..., None], SLICES, axis=2)
    return Volume(array, np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]))


def example_row() -> dict[str, str]:
    """Return a whole request row: the made-up scan as base64 of a ``.nii.gz``."""
    scan = made_up_scan()
    image = nib.Nifti1Image(scan.array, scan.affine)
    packed = gzip.compress(image.to_bytes(), mtime=0)
    return {"content": base64.b64encode(packed).decode(), "case": "example"}
