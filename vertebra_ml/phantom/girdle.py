"""What hangs on the column: head, shoulders, arms, sacrum, pelvis and thighs."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from vertebra_ml.phantom.bones import Bone, Frame, atlas
from vertebra_ml.phantom.meshes import Array, turn
from vertebra_ml.phantom.ranges import Ranges
from vertebra_ml.phantom.spine import Column
from vertebra_ml.phantom.vertebra import shape_disc

SIDES: Final = (("right", 1.0), ("left", -1.0))
S1_TOP_MM: Final = np.array([0.0, 16.0, -35.0])
"""Middle of the sacrum's upper face in the atlas."""
S1_SLOPE_DEG: Final = 48.0
"""How far that face dips forward in the atlas."""
CREST_MM: Final = -0.5
"""Height of the iliac crests in the atlas."""
LUMBOSACRAL_WEDGE_DEG: Final = 27.0
"""Between the last lumbar body and the sacrum's upper face."""
PIVOT_MM: Final = np.array([112.0, -45.0, 345.0])
"""About which a right shoulder blade turns when the arm is raised, in the atlas."""
GLENOID_MM: Final = np.array([139.0, -6.0, 372.0])
"""Middle of the right shoulder joint in the atlas."""
ELBOW_MM: Final = np.array([0.0, 0.0, -288.0])
"""The elbow in the humerus's own frame."""


@dataclass(frozen=True)
class Limbs:
    """What was drawn for shoulders, arms, neck and pelvis, see ``Ranges``."""

    lift_mm: float
    blade: float
    in_mm: float
    arms_up: bool
    raise_deg: tuple[float, float]
    bend_deg: tuple[float, float]
    swing_deg: float
    crest_mm: float
    pelvis_width: float
    tilt_deg: float
    nod_deg: float


def draw_limbs(rng: np.random.Generator, ranges: Ranges) -> Limbs:
    """Draw the posture of shoulders, arms, neck and pelvis."""
    arms_up = bool(rng.random() < ranges.arms_up_rate)
    raised = rng.uniform(135, 175, 2) if arms_up else rng.uniform(4, 16, 2)
    bent = rng.uniform(20, 110, 2) if arms_up else rng.uniform(0, 25, 2)
    return Limbs(
        lift_mm=rng.uniform(*ranges.shoulder_lift_mm),
        blade=rng.uniform(*ranges.blade_size),
        in_mm=rng.uniform(*ranges.blade_in_mm),
        arms_up=arms_up,
        raise_deg=(float(raised[0]), float(raised[1])),
        bend_deg=(float(bent[0]), float(bent[1])),
        swing_deg=rng.uniform(4.0, 24.0),
        crest_mm=rng.uniform(*ranges.crest_mm),
        pelvis_width=rng.uniform(*ranges.pelvis_width),
        tilt_deg=rng.uniform(*ranges.pelvic_tilt_deg),
        nod_deg=rng.uniform(*ranges.neck_deg),
    )


def shape_head(column: Column, limbs: Limbs, scale: float) -> list[Bone]:
    """Return skull and jaw on the atlas (C1)."""
    frame, own = column.frames["C1"], atlas().frames["C1"]
    head = turn((1, 0, 0), 0.4 * _lean(frame) + limbs.nod_deg)
    return [
        _moved(atlas().bones[name], own.centre, head, frame.centre, np.full(3, scale))
        for name in ("skull", "jaw")
    ]


def _lean(frame: Frame) -> float:
    return float(np.degrees(np.arctan2(-frame.axes[2][1], frame.axes[2][2])))


def _moved(bone: Bone, pivot: Array, rotation: Array, to: Array, scale: Array) -> Bone:
    vertices = ((bone.vertices - pivot) * scale) @ rotation.T + to
    return Bone(bone.name, bone.kind, vertices, bone.faces)


def shape_pelvis(column: Column, limbs: Limbs, scale: float) -> list[Bone]:
    """Return the last disc, sacrum, hip bones and thighs below the last lumbar vertebra.

    The sacrum meets the last disc; the hip bones slide on it until the line over their crests lies
    ``crest_mm`` above the middle of the disc L4/L5.
    """
    last = column.frames[column.levels[-1]]
    s1 = _sacral_frame(last, limbs)
    top, rotation = s1.centre, s1.axes.T @ turn((1, 0, 0), S1_SLOPE_DEG)
    size = np.array([limbs.pelvis_width, 1.0, 1.0]) * scale
    bones = atlas().bones
    sacrum = _moved(bones["sacrum"], S1_TOP_MM, rotation, top, size)
    rigid = [
        _moved(bones[f"{stem}_{side}"], S1_TOP_MM, rotation, top, size)
        for stem in ("pelvis", "femur")
        for side, _ in SIDES
    ]
    disc = shape_disc(last, s1, column.levels[-1])
    return [disc, sacrum, *_slide(rigid, column, limbs.crest_mm)]


def _sacral_frame(last: Frame, limbs: Limbs) -> Frame:
    """Return the frame of the sacrum's upper face: flat, as wide as the last body."""
    slope = float(np.clip(LUMBOSACRAL_WEDGE_DEG - _lean(last), 24.0, 60.0))
    axes = turn((1, 0, 0), -(slope - 0.5 * limbs.tilt_deg)).T
    gap = last.size[2] / 2 + 0.36 * last.size[2] + 3.0
    return Frame(last.centre - last.axes[2] * gap, axes, last.size * [1.0, 1.0, 0.0])


def _slide(hips: list[Bone], column: Column, crest_mm: float) -> list[Bone]:
    """Bring the crests to their height: half by sliding, half by growing of the wings."""
    l4, l5 = column.frames["L4"].centre[2], column.frames["L5"].centre[2]
    # A sixth lumbar vertebra sets the pelvis lower: half a level, for it is half a sacral one.
    goal = (l5 if "L6" in column.levels else (l4 + l5) / 2) + crest_mm
    crest = max(float(bone.vertices[:, 2].max()) for bone in hips if bone.kind == "pelvis")
    lack = goal - crest
    foot = crest - 120.0  # about the hip joint: below it nothing grows
    moved = []
    for bone in hips:
        grow = np.clip((bone.vertices[:, 2] - foot) / 120.0, 0.0, 1.0)
        vertices = bone.vertices.copy()
        vertices[:, 2] += lack * (0.5 + 0.5 * grow)
        moved.append(Bone(bone.name, bone.kind, vertices, bone.faces))
    return moved


def shape_shoulders(column: Column, limbs: Limbs, scale: float, width: float) -> list[Bone]:
    """Return shoulder blades, collar bones and the bones of the arms."""
    frame, own = column.frames["T4"], atlas().frames["T4"]
    found = []
    for k, (side, sign) in enumerate(SIDES):
        mirror = np.array([sign, 1.0, 1.0])
        # A raised arm takes its shoulder blade along the ribs, outwards and forwards.
        swing, forward = (limbs.swing_deg, 20.0) if limbs.arms_up else (0.0, 0.0)
        blade = turn((0, 1, 0), -sign * swing) @ turn((1, 0, 0), forward)
        raised = limbs.lift_mm + (14.0 if limbs.arms_up else 0.0)
        size = np.array([scale * width, scale, scale])
        pivot = PIVOT_MM * mirror
        to = frame.centre + (pivot - own.centre) * size + [-sign * limbs.in_mm, 0.0, raised]
        bone, large = atlas().bones[f"scapula_{side}"], scale * limbs.blade
        found.append(_moved(bone, pivot, blade, to, np.full(3, large)))
        joint = to + (blade @ ((GLENOID_MM - PIVOT_MM) * mirror)) * large
        found.append(_clavicle(side, frame, own, size, joint))
        found += _arm(side, sign, joint, limbs.raise_deg[k], limbs.bend_deg[k], scale)
    return found


def _clavicle(side: str, frame: Frame, own: Frame, size: Array, joint: Array) -> Bone:
    """Return a collar bone turned about its inner end until it points over the shoulder joint."""
    bone = atlas().bones[f"clavicle_{side}"]
    inner = bone.vertices[np.argmin(np.abs(bone.vertices[:, 0]))]
    outer = bone.vertices[np.argmax(np.abs(bone.vertices[:, 0]))]
    root = frame.centre + (inner - own.centre) * size
    old = (outer - inner) * size
    new = joint + np.array([0.0, -2.0, 22.0 * size[2]]) - root
    axis = np.cross(old, new)
    cosine = old @ new / (np.linalg.norm(old) * np.linalg.norm(new))
    rotation = turn(axis, float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
    stretch = np.full(3, np.linalg.norm(new) / np.linalg.norm(outer - inner))
    return _moved(bone, inner, rotation, root, stretch)


def _arm(
    side: str, sign: float, joint: Array, raise_deg: float, bend_deg: float, scale: float
) -> list[Bone]:
    bones, size = atlas().bones, np.full(3, scale)
    upper = turn((0, 1, 0), -sign * raise_deg)
    head = joint + np.array([sign * 6.0, 0.0, 0.0])
    lower = turn((0, 1, 0), -sign * (raise_deg + bend_deg)) if raise_deg > 90 else upper
    elbow = head + upper @ ELBOW_MM * scale
    return [
        _moved(bones[f"humerus_{side}"], np.zeros(3), upper, head, size),
        _moved(bones[f"radius_{side}"], np.zeros(3), lower, elbow, size),
        _moved(bones[f"ulna_{side}"], np.zeros(3), lower, elbow, size),
    ]
