"""Phantom archives small enough to travel with the repository.

Noise is most of what a MIP archive holds. Grey values are rounded on a scale whose steps grow with
the value (24 HU at 0, 48 at 300, 104 at 1000: below the noise and the changes of brightness that
training adds), and members are packed by LZMA: a sixth of the size, still a plain ``.npz``.
"""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from vertebra_ml.mip import Image, MipPair
from vertebra_ml.volume import AIR_HU

STEP, LINEAR_HU = 0.08, 300.0
"""Relative step, and the value below which the scale turns from logarithmic to linear."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time stamp of every member, so that the same phantom gives the same bytes."""


def coarse(pair: MipPair) -> MipPair:
    """Return the pair with grey values rounded; pixels that cross no body stay ``AIR_HU``."""
    views = [replace(mip, image=_rounded(mip.image)) for mip in (pair.frontal, pair.sagittal)]
    return MipPair(views[0], views[1], pair.spine_mm)


def repack(path: Path) -> None:
    """Rewrite the archive at ``path`` with its members packed by LZMA, in one step."""
    part = path.with_name(f".{path.name}.lzma")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(part, "w") as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(name, date_time=EPOCH)
            new.writestr(member, old.read(name), zipfile.ZIP_LZMA)
    part.replace(path)


def _rounded(image: Image) -> Image:
    values = image.astype(np.float64)
    scale = np.round(np.sign(values) * np.log1p(np.abs(values) / LINEAR_HU) / STEP) * STEP
    back = np.round(np.sign(scale) * np.expm1(np.abs(scale)) * LINEAR_HU)
    kept = np.maximum(back, AIR_HU + 1)  # what crossed a body must not become air
    result: Image = np.where(image <= AIR_HU, AIR_HU, kept).astype(np.int16)
    return result
