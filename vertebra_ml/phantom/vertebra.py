"""One vertebra or disc shaped to its place: the atlas's bone warped to a drawn frame."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from vertebra_ml.phantom.bones import Atlas, Bone, Frame
from vertebra_ml.phantom.meshes import Array, tube
from vertebra_ml.phantom.spine import TEMPLATE


@dataclass(frozen=True)
class Arch:
    """The arch behind a body: span over both transverse processes and where they point, mm.

    Parameters
    ----------
    span : tip to tip.
    rise : tips above (+) their roots.
    thick : factor on their thickness up and down.
    spine : length from the body's centre to the tip of the spinous process.
    """

    span: float
    rise: float
    thick: float
    spine: float


ARCHES: Final[dict[str, Arch]] = {
    "C1": Arch(76, 0, 1.0, 46), "C2": Arch(52, -2, 1.0, 40), "C3": Arch(52, 0, 1.0, 38),
    "C4": Arch(53, 0, 1.0, 38), "C5": Arch(54, 0, 1.0, 42), "C6": Arch(57, 0, 1.0, 50),
    "C7": Arch(68, -2, 1.0, 62), "T1": Arch(75, 5, 1.0, 62), "T2": Arch(68, 3, 1.0, 60),
    "T3": Arch(63, 3, 1.0, 60), "T4": Arch(61, 3, 1.0, 60), "T5": Arch(61, 3, 1.0, 62),
    "T6": Arch(61, 3, 1.0, 64), "T7": Arch(61, 3, 1.0, 64), "T8": Arch(60, 3, 1.0, 63),
    "T9": Arch(59, 3, 1.0, 60), "T10": Arch(56, 2, 1.0, 58), "T11": Arch(50, 1, 1.0, 57),
    "T12": Arch(46, 0, 1.0, 57), "T13": Arch(54, 0, 1.0, 58), "L1": Arch(74, 0, 1.0, 62),
    "L2": Arch(84, 0, 1.0, 65), "L3": Arch(95, 0, 0.9, 66), "L4": Arch(88, 5, 0.7, 64),
    "L5": Arch(92, 6, 1.5, 56), "L6": Arch(90, 6, 1.5, 52),
}  # fmt: skip
"""Spans: Panjabi et al. 1991, 1992 (Spine 16:861, 16:888, 17:299), widened to match CT masks."""

RING: Final = 20


def shape_vertebra(source: Atlas, level: str, frame: Frame) -> Bone:
    """Return the bone of ``level`` in ``frame``: body, arch and processes each to their size."""
    name = TEMPLATE.get(level, level)
    bone, own = source.bones[name], source.frames[name]
    local = own.local(bone.vertices)
    body, arch = frame.size / own.size, ARCHES[level]
    behind = -own.size[1] / 2
    # 0 within the body, 1 in the arch; the pedicles lie between.
    blend = np.clip((behind + 1.0 - local[:, 1]) / 6.0, 0.0, 1.0)[:, None]
    scale = _usual_scale(frame)
    posterior = _shape_arch(local, own, arch, scale)
    shaped = local * body * (1 - blend) + posterior * blend
    shaped[:, 1] += (blend * behind * (body[1] - 1.0))[:, 0]
    return Bone(level, "vertebra", frame.place(shaped), bone.faces)


def _usual_scale(frame: Frame) -> float:
    return float(frame.size[2] / 24.0) ** 0.0


def _shape_arch(local: Array, own: Frame, arch: Arch, scale: float) -> Array:
    x, y, z = local.T.copy()
    root = 0.36 * own.size[0]
    tip = np.abs(x).max()
    out = np.clip((np.abs(x) - root) / (tip - root), 0.0, None)
    wide = np.where(out > 0, root + out * (scale * arch.span / 2 - root), np.abs(x))
    posterior = np.stack([np.sign(x) * wide, y, z + arch.rise * out], axis=1)
    back = -own.size[1] / 2 - 12.0
    deep = np.clip((back - y) / (back - y.min()), 0.0, None)
    posterior[:, 1] = np.where(deep > 0, back - deep * (scale * arch.spine + back), y)
    return posterior


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
