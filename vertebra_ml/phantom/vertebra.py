"""One vertebra or disc shaped to its place: the atlas's bone warped to a drawn frame."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from vertebra_ml.phantom.bones import Atlas, Bone, Frame
from vertebra_ml.phantom.meshes import Array, tube
from vertebra_ml.phantom.spine import TEMPLATE


@dataclass(frozen=True)
class Arch:
    """The arch behind a body, mm from the body's centre along its own axes.

    Parameters
    ----------
    span : over both transverse processes, tip to tip.
    rise : of their tips above (+) the centre.
    tip : how far behind the centre their tips lie.
    thick : factor on their thickness up and down.
    spine : how far behind the centre the spinous process ends.
    droop : how far its end is bent down beyond the atlas's.
    """

    span: float
    rise: float
    tip: float
    thick: float
    spine: float
    droop: float


ARCHES: Final[dict[str, Arch]] = {
    "C1": Arch(76, 0, 18, 1.0, 44, 0), "C2": Arch(52, -4, 14, 1.0, 40, 0),
    "C3": Arch(52, 1, 14, 1.0, 38, 0), "C4": Arch(53, 1, 14, 1.0, 39, 0),
    "C5": Arch(54, 2, 14, 1.0, 42, 0), "C6": Arch(57, 2, 16, 1.0, 49, 0),
    "C7": Arch(68, 0, 24, 1.6, 57, 0), "T1": Arch(76, 12, 20, 2.0, 54, 0),
    "T2": Arch(69, 9, 24, 2.2, 52, 2), "T3": Arch(63, 7, 28, 2.4, 50, 4),
    "T4": Arch(61, 5, 30, 2.4, 48, 8), "T5": Arch(61, 5, 31, 2.4, 48, 11),
    "T6": Arch(62, 5, 32, 2.4, 49, 12), "T7": Arch(63, 4, 33, 2.4, 50, 12),
    "T8": Arch(63, 4, 33, 2.2, 51, 9), "T9": Arch(61, 4, 33, 2.0, 52, 5),
    "T10": Arch(58, 4, 32, 1.8, 53, 1), "T11": Arch(53, 4, 30, 1.2, 54, -2),
    "T12": Arch(49, 3, 28, 1.0, 57, -8), "T13": Arch(54, 4, 28, 1.2, 58, -8),
    "L1": Arch(75, 6, 29, 1.2, 62, -11), "L2": Arch(84, 6, 31, 1.2, 66, -11),
    "L3": Arch(97, 7, 32, 1.1, 67, -11), "L4": Arch(86, 8, 29, 0.8, 66, -7),
    "L5": Arch(94, 5, 24, 2.0, 60, -5), "L6": Arch(92, 5, 23, 2.0, 55, -5),
}  # fmt: skip
"""Spans after Panjabi et al. 1991, 1992 (Spine 16:861, 16:888, 17:299), mm; the rest measured in
TotalSegmentator masks of LIDC-IDRI-0001 (T1-L1) and of TotalSegmentator's example (L1-L5)."""

WHOLE: Final = frozenset(f"C{n}" for n in range(1, 7))
"""Levels scaled as one piece: their processes ring the body."""
PLATE: Final = {"C": 0.6, "T": 0.9}
"""By region: how much taller the spinous process is than the atlas's thin one."""
WAIST: Final = 0.94
"""Breadth of a body halfway up against that of its ends."""
ARCH_HEIGHT: Final = 1.12
"""The arch is this much taller against the body than the atlas's."""
RING: Final = 20


def shape_vertebra(source: Atlas, level: str, frame: Frame, scale: float) -> Bone:
    """Return the bone of ``level`` in ``frame``: body, arch and processes each to their size.

    ``scale`` is the person's size against the usual one.
    """
    name = TEMPLATE.get(level, level)
    bone, own = source.bones[name], source.frames[name]
    local = own.local(bone.vertices)
    if level in WHOLE:
        tips = np.abs(local).max(axis=0) * [2.0, 1.0, 0.0] + [0.0, 0.0, own.size[2]]
        goal = [scale * ARCHES[level].span, scale * ARCHES[level].spine, frame.size[2]]
        return Bone(level, "vertebra", frame.place(local * np.array(goal) / tips), bone.faces)
    behind = -own.size[1] / 2
    # 0 within the body, 1 in the arch; the pedicles lie between.
    blend = np.clip((behind + 1.0 - local[:, 1]) / 6.0, 0.0, 1.0)[:, None]
    body = _shape_body(local, own, frame)
    posterior = _shape_arch(local, own, frame, level, scale)
    shaped = body * (1 - blend) + posterior * blend
    return Bone(level, "vertebra", frame.place(shaped), bone.faces)


def _shape_body(local: Array, own: Frame, frame: Frame) -> Array:
    """Return points of the body in mm along its axes: to size, with a waist."""
    part = local / (own.size / 2)
    waist = WAIST + (1.02 - WAIST) * np.clip(part[:, 2], -1.0, 1.0) ** 2
    shaped: Array = part * (frame.size / 2)
    shaped[:, :2] *= waist[:, None]
    return shaped


def _shape_arch(local: Array, own: Frame, frame: Frame, level: str, scale: float) -> Array:
    """Return points of the arch in mm along the body's axes."""
    arch = ARCHES[level]
    root, wall = 0.36 * own.size[0], -own.size[1] / 2
    x, depth, z = np.abs(local[:, 0]), wall - local[:, 1], local[:, 2]
    rise = ARCH_HEIGHT * frame.size[2] / own.size[2]
    tip = x.max()
    out = np.clip((x - root) / (tip - root), 0.0, 1.0)
    wide = x * frame.size[0] / own.size[0] * 0.9
    edge = root * frame.size[0] / own.size[0] * 0.9
    wide = np.where(out > 0, edge + out * (scale * arch.span / 2 - edge), wide)
    # The process's middle line is turned until its tip lies where Arch says, then thickened.
    tips = (x > 0.88 * tip) & (depth > 0)
    slope, base = np.polyfit(out[(out > 0.2) & (depth > 0)], z[(out > 0.2) & (depth > 0)], 1)
    line = base * rise * (1 - out) + scale * arch.rise * out
    height = line + (z - base - slope * out) * rise * (1 + out * (arch.thick - 1))
    # The midline keeps to the spinous process's length, the sides to where their tips lie.
    wing = np.clip((x / tip - 0.25) / 0.35, 0.0, 1.0)
    goal = np.array([arch.spine, arch.tip]) * scale - frame.size[1] / 2
    central, lateral = goal / [depth.max(), depth[tips].mean()]
    back = depth * (central * (1 - wing) + lateral * wing)
    deep = np.clip(depth / depth.max() - 0.35, 0.0, None) / 0.65 * (1 - wing)
    plate = PLATE.get(level[0], 0.0) * (z - _midline(x, depth, z)) * np.clip(3 * deep, 0.0, 1.0)
    height = height - deep * scale * arch.droop + plate
    return np.stack([np.sign(local[:, 0]) * wide, -frame.size[1] / 2 - back, height], axis=1)


def _midline(x: Array, depth: Array, z: Array) -> Array:
    """Return the height of the spinous process's middle line at each depth."""
    process = (x < 0.2 * x.max()) & (depth > 0.45 * depth.max())
    return np.asarray(np.polyval(np.polyfit(depth[process], z[process], 1), depth), np.float64)


def shape_disc(upper: Frame, lower: Frame, level: str) -> Bone:
    """Return the disc below ``level``, between the endplates of two bodies."""
    top = upper.centre - upper.axes[2] * upper.size[2] / 2
    bottom = lower.centre + lower.axes[2] * lower.size[2] / 2
    path = np.linspace(top, bottom, 4)
    size = (upper.size + lower.size) / 2
    front = np.tile((upper.axes[1] + lower.axes[1]) / 2, (4, 1))
    swell = np.array([0.97, 1.03, 1.03, 0.97])
    vertices, faces = tube(path, size[1] / 2 * swell, size[0] / 2 * swell, front, RING)
    return Bone(f"disc_{level}", "disc", vertices, faces)
