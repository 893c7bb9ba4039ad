"""What each bone is made of, and painting all of them."""

import numpy as np

from vertebra_ml.phantom.bones import Body, Bone, Frame
from vertebra_ml.phantom.canvas import Array, Canvas
from vertebra_ml.phantom.habits import Habits
from vertebra_ml.phantom.render import Matter, Texture, paint_mesh

CORTEX_MM = {
    "rib": 0.85, "scapula": 1.0, "clavicle": 1.5, "sternum": 0.65, "skull": 1.6, "jaw": 1.5,
    "sacrum": 0.9, "pelvis": 1.2, "femur": 2.6, "humerus": 2.2,
}  # fmt: skip
"""Thickness of compact bone, mm; a vertebra's differs between its parts, see :func:`_vertebra`."""

SPONGY = {
    "rib": 0.75, "scapula": 0.8, "clavicle": 0.8, "sternum": 0.55, "skull": 3.0, "jaw": 1.6,
    "sacrum": 0.75, "pelvis": 0.8, "femur": 0.75, "humerus": 0.45,
}  # fmt: skip
"""HU of spongy bone against that of the vertebral bodies."""

BODY_MM, ENDPLATE_MM, ARCH_MM = 0.5, 0.85, 1.6
SHEETS, SHEET_MM = ("pelvis", "scapula"), 11.0
PAINTED_FIRST = ("disc", "cartilage")


def paint_bones(
    canvas: Canvas, body: Body, rng: np.random.Generator, habits: Habits, texture: Texture
) -> dict[str, float]:
    """Paint every bone, disc and cartilage of a body; return what was drawn of their matter."""
    spongy = rng.uniform(*habits.spongy_hu)
    cortex = rng.uniform(*habits.cortex_hu)
    factor = rng.uniform(*habits.cortex_factor)
    worn = rng.random() < habits.sclerosis_rate
    calcified = rng.random() < habits.cartilage_calcified_rate
    rough = rng.uniform(*habits.texture_hu)
    disc = rng.uniform(60, 110)
    for bone in sorted(body.bones, key=lambda b: b.kind not in PAINTED_FIRST):
        vary = rng.uniform(0.92, 1.08)
        if bone.kind == "disc":
            matter = Matter(0.0, np.array(0.0), disc * vary, 8.0)
        elif bone.kind == "cartilage":
            rim = 0.7 * calcified * rng.random()
            matter = Matter(600.0, np.array(rim), rng.uniform(85, 130), 60.0 * calcified)
        else:
            thick = factor * vary * _thickness(bone, body.frames, worn * rng.uniform(0, 1.6))
            inner = spongy * vary * SPONGY.get(bone.kind, 1.0)
            matter = Matter(cortex, thick, inner, rough)
        paint_mesh(canvas, bone.vertices, bone.faces, matter, texture)
    return {"spongy_hu": spongy, "cortex_hu": cortex, "cortex_factor": factor}


def _thickness(bone: Bone, frames: dict[str, Frame], worn_mm: float) -> Array:
    """Return the cortex (mm) of each vertex."""
    if bone.kind == "vertebra" and bone.name in frames:
        return _vertebra(bone, frames[bone.name], worn_mm)
    thick = np.full(len(bone.vertices), CORTEX_MM.get(bone.kind, 1.0))
    return thick * _stoutness(bone) if bone.kind in SHEETS else thick


def _stoutness(bone: Bone) -> Array:
    """Return a factor a vertex: low where a bone is a thin sheet, high at its stout rims.

    The width at a vertex is taken as the way to the nearest vertex of the opposite side.
    """
    v, f = bone.vertices, bone.faces
    normal = np.zeros_like(v)
    faced = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    for corner in range(3):
        np.add.at(normal, f[:, corner], faced)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-9)
    opposite = normal @ normal.T < -0.3
    away = np.linalg.norm(v[:, None] - v[None], axis=2)
    width = np.where(opposite, away, np.inf).min(axis=1)
    factor: Array = np.clip(width / SHEET_MM, 0.4, 1.6)
    return factor


def _vertebra(bone: Bone, frame: Frame, worn_mm: float) -> Array:
    """Thin walls and firmer endplates on the body, thick cortex on arch and processes."""
    x, y, z = np.abs(frame.local(bone.vertices) / frame.size).T
    in_body = (x < 0.58) & (y < 0.62)
    plate = np.where(z > 0.3, ENDPLATE_MM + worn_mm, BODY_MM)
    return np.where(in_body, plate, ARCH_MM)
