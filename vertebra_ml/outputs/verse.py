"""``CASE_ctd.json``: centroids as the VerSe data set keeps them.

A list. Its first entry names the axes of the image; each other one is a vertebra with its VerSe id
and its place in voxels of that image, centres at whole numbers (osf.io/4skx2; anjany/verse
``data_utilities.py``). The axes named are those of the scan's own file, so that a reader has
nothing to turn. Warnings of the answer stand in that first entry, which VerSe's tools read for its
axes alone. A point of which the model told the height alone bears one key more,
``"height_only": true``: VerSe's own tools pass over it, our reader takes the height and no more.
"""

import json
import logging
from typing import Final

from vertebra_ml.affines import WORLD_ENDS, Affine, world_axes, world_to_voxel
from vertebra_ml.anatomy import VERSE_ID
from vertebra_ml.outputs.answer import MIDDLE, Answer
from vertebra_ml.outputs.formats import Files

log = logging.getLogger(__name__)
HEIGHT_ONLY: Final = "height_only"
VOXEL_DIGITS: Final = 4
"""Decimals of a voxel: half of the last is under 0.001 mm at any spacing a CT has."""


def files(answer: Answer) -> Files:
    """Return the file of one case; of a case without landmarks it holds the axes alone."""
    affine = answer.source.affine
    head: dict[str, object] = {"direction": list(_direction(affine))}
    if answer.prediction.warnings:
        head["warnings"] = list(answer.prediction.warnings)
    entries = [head]
    marks = answer.prediction.landmarks
    voxels = world_to_voxel(affine, answer.points_mm)
    for level, voxel, alone in zip(marks.labels, voxels, answer.heights_only, strict=True):
        x, y, z = (round(float(v), VOXEL_DIGITS) + 0.0 for v in voxel)
        entry: dict[str, object] = {"label": VERSE_ID[level], "X": x, "Y": y, "Z": z}
        entries.append({**entry, HEIGHT_ONLY: True} if alone else entry)
    if any(answer.heights_only):
        log.warning("verse: %s", MIDDLE)
    text = json.dumps(entries, allow_nan=False)
    return {f"{answer.case}_ctd.json": f"{text}\n".encode()}


def _direction(affine: Affine) -> str:
    """Return where each voxel axis points, as nibabel names it."""
    return "".join(
        WORLD_ENDS[world][int(affine[world, axis] > 0)]
        for axis, world in enumerate(world_axes(affine))
    )
