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
    "C7": Arch(68, 0, 24, 1.0, 58, 4), "T1": Arch(76, 8, 24, 1.1, 55, 4),
    "T2": Arch(69, 7, 27, 1.1, 53, 4), "T3": Arch(63, 6, 29, 1.1, 52, 3),
    "T4": Arch(61, 6, 30, 1.1, 51, 6), "T5": Arch(61, 6, 31, 1.1, 51, 9),
    "T6": Arch(62, 6, 32, 1.1, 52, 10), "T7": Arch(63, 6, 33, 1.1, 53, 10),
    "T8": Arch(63, 5, 33, 1.1, 53, 8), "T9": Arch(61, 5, 33, 1.1, 54, 5),
    "T10": Arch(58, 5, 32, 1.1, 54, 2), "T11": Arch(53, 5, 30, 1.1, 54, 0),
    "T12": Arch(49, 3, 28, 1.0, 57, -5), "T13": Arch(54, 4, 28, 1.0, 58, -5),
    "L1": Arch(75, 6, 29, 1.0, 62, -8), "L2": Arch(84, 6, 31, 0.95, 66, -8),
    "L3": Arch(97, 7, 32, 0.85, 67, -8), "L4": Arch(86, 8, 29, 0.7, 66, -5),
    "L5": Arch(94, 5, 24, 1.4, 60, -4), "L6": Arch(92, 5, 23, 1.4, 55, -4),
}  # fmt: skip
"""Spans after Panjabi et al. 1991, 1992 (Spine 16:861, 16:888, 17:299), mm; the rest measured in
TotalSegmentator masks of LIDC-IDRI-0001 (T1-L1) and of TotalSegmentator's example (L1-L5)."""

WHOLE: Final = frozenset(f"C{n}" for n in range(1, 7))
"""Levels scaled as one piece: their processes ring the body."""
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
    posterior = _shape_arch(local, own, frame, ARCHES[level], scale)
    shaped = body * (1 - blend) + posterior * blend
    return Bone(level, "vertebra", frame.place(shaped), bone.faces)


def _shape_body(local: Array, own: Frame, frame: Frame) -> Array:
    """Return points of the body in mm along its axes: to size, with a waist."""
    part = local / (own.size / 2)
    waist = WAIST + (1.02 - WAIST) * np.clip(part[:, 2], -1.0, 1.0) ** 2
    shaped: Array = part * (frame.size / 2)
    shaped[:, :2] *= waist[:, None]
    return shaped


def _shape_arch(local: Array, own: Frame, frame: Frame, arch: Arch, scale: float) -> Array:
    """Return points of the arch in mm along the body's axes."""
    root, wall = 0.36 * own.size[0], -own.size[1] / 2
    x, depth, z = np.abs(local[:, 0]), wall - local[:, 1], local[:, 2]
    rise = ARCH_HEIGHT * frame.size[2] / own.size[2]
    tip = x.max()
    out = np.clip((x - root) / (tip - root), 0.0, 1.0)
    wide = x * frame.size[0] / own.size[0] * 0.9
    edge = root * frame.size[0] / own.size[0] * 0.9
    wide = np.where(out > 0, edge + out * (scale * arch.span / 2 - edge), wide)
    # The process's tip lies where Arch says; its thickness is kept about that line.
    tips = (x > 0.88 * tip) & (depth > 0)
    middle = z[tips].mean() * out
    height = (
        middle * rise * (1 - out)
        + scale * arch.rise * out
        + (z - middle) * rise * (1 - out * (1 - arch.thick))
    )
    back = _bend(depth, depth[tips].mean(), scale * arch.tip - frame.size[1] / 2)
    deep = np.clip((depth - depth[tips].max()) / (depth.max() - depth[tips].max()), 0.0, 1.0)
    deep = deep * (x < 0.3 * tip)
    back = back + deep * (scale * arch.spine - frame.size[1] / 2 - back.max())
    height = height - deep * scale * arch.droop
    return np.stack([np.sign(local[:, 0]) * wide, -frame.size[1] / 2 - back, height], axis=1)


def _bend(depth: Array, old: float, new: float) -> Array:
    """Scale depths behind the body so that the process's tips come from ``old`` to ``new``."""
    bent: Array = depth * (new / old)
    return bent


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
