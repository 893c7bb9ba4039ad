"""Arms and head: what lies outside the outline of the trunk."""

import numpy as np

from vertebra_ml.phantom.bones import Bone
from vertebra_ml.phantom.canvas import Array, ellipsoid, tube
from vertebra_ml.phantom.tissue import FAT_HU, SKIN_HU, SKIN_MM, Scene

ARM_MM = 17.0
"""Muscle around the bone of an arm, mm."""


def paint_arms(scene: Scene) -> None:
    """Paint skin, fat and muscle round each bone of the arms, before the trunk covers them."""
    rng = scene.rng
    fat = rng.uniform(3, 14)
    muscle = ARM_MM * rng.uniform(0.8, 1.4)
    bones = [bone for bone in scene.guide.body.bones if bone.kind == "humerus"]
    for wider, hu in ((muscle + fat + SKIN_MM, SKIN_HU), (muscle + fat, FAT_HU), (muscle, 55.0)):
        for bone in bones:
            line, radius = _middle(bone)
            tube(scene.canvas, line, radius + wider, hu=hu)


def _middle(bone: Bone) -> tuple[Array, float]:
    """Return the middle line (5, 3) mm of a long bone and its mean radius."""
    middle = bone.vertices.mean(axis=0)
    way = np.linalg.svd(bone.vertices - middle, full_matrices=False)[2][0]
    along = (bone.vertices - middle) @ way
    places = np.linspace(along.min(), along.max(), 5)
    axis = middle + places[:, None] * way
    away = bone.vertices - middle - along[:, None] * way
    return axis, float(np.linalg.norm(away, axis=1).mean())


def paint_head(scene: Scene) -> None:
    """Paint the brain inside the skull; the outline already holds the rest of the head."""
    skull = scene.guide.cloud("skull")
    if not len(skull):
        return
    low, high = skull.min(axis=0), skull.max(axis=0)
    centre = (low + high) / 2 + [0, -12, 0.12 * (high[2] - low[2])]
    ellipsoid(scene.canvas, centre, (high - low) * [0.47, 0.44, 0.4], hu=35.0)
