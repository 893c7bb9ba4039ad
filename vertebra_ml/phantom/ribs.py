"""Ribs: tubes along the atlas's lines, sloped like real ones, moved with their vertebrae."""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from vertebra_ml.phantom.bones import Bone, Frame, atlas
from vertebra_ml.phantom.meshes import Array, resample, tube, turn
from vertebra_ml.phantom.ranges import Ranges
from vertebra_ml.phantom.spine import Column

SIDES: Final = (("right", 1.0), ("left", -1.0))
SHAFT_POINTS: Final = 36
PUMP_BUCKET_DEG: Final = {
    1: (-26.6, -8.5), 2: (-25.9, -7.3), 3: (-30.0, 0.3), 4: (-32.5, 4.0), 5: (-34.7, 6.0),
    6: (-36.5, 7.0), 7: (-39.0, 6.0), 8: (-40.0, 3.0), 9: (-37.0, -2.0), 10: (-32.7, -12.7),
    11: (-22.2, -29.3), 12: (-31.0, -34.7),
}  # fmt: skip
"""Rise of the plane of each rib towards the front and towards the side, degrees: least squares
over the TotalSegmentator masks of LIDC-IDRI-0001 (mean of both sides); the side rises of ribs 4
to 9 lessened until the lines from behind matched, for those ribs are no planes."""
FLOATING_MM: Final = {
    11: np.array([34.0, -26.0, -7.0]),
    12: np.array([33.0, -26.0, -12.0]),
    13: np.array([33.0, -26.0, -12.0]),
}
"""Where the right floating ribs pass beside their vertebra, mm from the body's centre; they do not
reach the transverse process. Measured in the masks of LIDC-IDRI-0001."""
BREADTH: Final = {1: 1.12, 2: 1.04, 9: 1.05, 10: 1.13, 11: 1.2, 12: 1.1}
"""Factor on how far out ribs of the atlas go, where real ones go further."""
OWN_BODY_ONLY: Final = frozenset({1, 10, 11, 12, 13})
"""Ribs whose head meets one body only; the others' also meets the disc above."""
SECTION_MM: Final = {
    1: (8.5, 2.6), 2: (6.5, 3.0), 3: (6.3, 3.3), 4: (6.3, 3.5), 5: (6.5, 3.6), 6: (6.8, 3.7),
    7: (7.0, 3.8), 8: (7.0, 3.8), 9: (6.8, 3.7), 10: (6.4, 3.6), 11: (5.8, 3.3), 12: (4.8, 2.8),
    13: (4.2, 2.6),
}  # fmt: skip
"""Half height and half thickness of a rib's shaft, mm (rib 1: half breadth; it lies flat)."""


@dataclass(frozen=True)
class Chest:
    """What was drawn for a chest: factors and degrees, see ``Ranges``."""

    width: float
    depth: float
    fall_deg: float
    slope: float
    thickness: float
    rib11: float
    rib12: float
    follow: float
    back: float
    perch_mm: float
    round_mm: float


def draw_chest(rng: np.random.Generator, ranges: Ranges) -> Chest:
    """Draw the chest's shape."""
    return Chest(
        width=rng.uniform(*ranges.chest_width),
        depth=rng.uniform(*ranges.chest_depth),
        fall_deg=rng.uniform(*ranges.rib_fall_deg),
        slope=rng.uniform(*ranges.rib_slope),
        thickness=rng.uniform(*ranges.rib_thickness),
        rib11=rng.uniform(*ranges.rib11_length),
        rib12=rng.uniform(*ranges.rib12_length),
        follow=rng.uniform(*ranges.rib_follow),
        back=rng.uniform(*ranges.rib_back),
        perch_mm=rng.uniform(*ranges.rib_perch_mm),
        round_mm=rng.uniform(*ranges.rib_round_mm),
    )


@functools.cache
def rib_lines() -> dict[int, Array]:
    """Return each right rib's centre line (n, 3) in the atlas, head to front, mm about its body."""
    bones, frames = atlas().bones, atlas().frames
    return {n: _centre_line(bones[f"rib_{n}_right"]) - frames[f"T{n}"].centre for n in range(1, 13)}


@functools.cache
def _slope_change() -> dict[int, Array]:
    """Return by rib the added rise to the side and front that makes its plane a real one."""
    changes = {}
    for n, line in rib_lines().items():
        design = np.column_stack([line[:, :2], np.ones(len(line))])
        side, front, _ = np.linalg.lstsq(design, line[:, 2], rcond=None)[0]
        pump, bucket = np.tan(np.radians(PUMP_BUCKET_DEG[n]))
        changes[n] = np.array([bucket - side, pump - front])
    return changes


def _centre_line(bone: Bone) -> Array:
    """Return (n, 3) points down the middle of a rib's mesh, by distance along it from its head."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    v, f = bone.vertices, bone.faces
    edges = np.concatenate([f[:, :2], f[:, 1:], f[:, ::2]])
    length = np.linalg.norm(v[edges[:, 0]] - v[edges[:, 1]], axis=1)
    graph = coo_array((length, edges.T), shape=(len(v),) * 2).tocsr()
    head = int(np.argmin(v[:, 0] + 0.3 * np.abs(v[:, 1] - v[:, 1].min())))
    far = dijkstra(graph, directed=False, indices=np.array(head))
    # One smooth curve through all corners; means of pieces zigzag between the coarse mesh's rings.
    degree = int(np.clip(far.max() / 40, 3, 6))
    t = far / far.max()
    curve = np.polynomial.polynomial.polyfit(t, v, degree)
    points = np.polynomial.polynomial.polyval(np.linspace(0.02, 0.98, 60), curve).T
    return resample(points.astype(np.float64), SHAFT_POINTS)


def rib_number(level: str) -> int:
    """Return the number of the rib that a thoracic vertebra bears."""
    return int(level[1:])


def shape_ribs(
    rng: np.random.Generator, column: Column, vertebrae: dict[str, Bone], chest: Chest
) -> list[Bone]:
    """Return the ribs of every thoracic vertebra of the column."""
    ribs = []
    levels = [level for level in column.levels if level[0] == "T"]
    wobble = rng.normal(0.0, 1.2, (2, len(levels)))
    for i, level in enumerate(levels):
        for k, (side, sign) in enumerate(SIDES):
            fall = chest.fall_deg + wobble[k, : i + 1].mean() * 1.5
            line = rib_path(column, vertebrae[level], level, sign=sign, chest=chest, fall=fall)
            ribs.append(_rib(rib_number(level), side, line, chest.thickness))
    return ribs


def rib_path(
    column: Column, vertebra: Bone, level: str, *, sign: float, chest: Chest, fall: float
) -> Array:
    """Return a rib's centre line (n, 3) in the world, from its head to its front end."""
    n, frame = rib_number(level), column.frames[level]
    shaft = _shaft(min(n, 12), frame, sign, chest, fall, scale=_scale(column))
    head = _head(n, frame, sign)
    if n in FLOATING_MM:
        joint = frame.centre + FLOATING_MM[n] * [sign, 1, 1] * _scale(column)
    else:
        joint = _process_tip(vertebra, frame, sign)
        # The tubercle sits on the upper part of the process, so it rises along the leaning axis.
        joint = joint + frame.axes[2] * (chest.perch_mm if n > 1 else -2.0) * _scale(column)
    out = np.abs(shaft[:, 0] - frame.centre[0])
    start = int(np.argmax(out > abs(joint[0] - frame.centre[0])))
    line = np.concatenate([[head, 0.5 * (head + joint)], _meet(shaft[start:], joint)])
    line = resample(line, SHAFT_POINTS)
    return _cut(line, {11: chest.rib11, 12: chest.rib12, 13: 0.35 * chest.rib12 + 0.1}.get(n, 1.0))


def _scale(column: Column) -> float:
    top, bottom = column.frames["T1"].centre, column.frames["T11"].centre
    return float(np.linalg.norm(top - bottom) / 222.0)  # the atlas's own length


def _shaft(n: int, frame: Frame, sign: float, chest: Chest, fall: float, *, scale: float) -> Array:
    own = atlas().frames[f"T{n}"]
    lean = _lean(frame) - _lean(own)
    # Fronts go down by a turn against the right-hand rule about the axis to the right.
    tilt = turn((1, 0, 0), chest.follow * lean - fall)
    line = rib_lines()[n].copy()
    line[:, 1] = np.where(
        line[:, 1] < line[0, 1], line[0, 1] + chest.back * (line[:, 1] - line[0, 1]), line[:, 1]
    )
    line[:, 2] += chest.slope * (line - line[0])[:, :2] @ _slope_change()[n]
    if n not in FLOATING_MM:
        line[:, 1] += chest.round_mm * _beyond_angle(line)
    local = line * [sign * chest.width * BREADTH.get(n, 1.0), chest.depth, 1.0] * scale
    right = frame.axes[0]
    front = np.cross([0.0, 0.0, 1.0], right)
    front /= np.linalg.norm(front)
    basis = np.stack([right, front, np.cross(right, front)])
    placed: Array = frame.centre + (local @ tilt.T) @ basis
    return placed


def _beyond_angle(line: Array) -> Array:
    """Return (n,) 0 behind, up to a rib's angle, rising to 1 at its side and in front."""
    out = line[:, 0] / line[:, 0].max()
    reached: Array = np.maximum.accumulate(np.clip((out - 0.4) / 0.5, 0.0, 1.0))
    return reached


def _lean(frame: Frame) -> float:
    return float(np.degrees(np.arctan2(-frame.axes[2][1], frame.axes[2][2])))


def _head(n: int, frame: Frame, sign: float) -> Array:
    height = {1: 0.15, 10: 0.35, 11: 0.15, 12: 0.05, 13: 0.05}.get(n, 0.52)
    head: Array = frame.place(frame.size * np.array([sign * 0.5, -0.36, height]))
    return head


def _process_tip(vertebra: Bone, frame: Frame, sign: float) -> Array:
    """Return where a rib's tubercle lies: before the tip of the transverse process."""
    local = frame.local(vertebra.vertices) * [sign, 1, 1]
    tips = local[np.argsort(local[:, 0])[-6:]].mean(axis=0) + np.array([1.0, 5.0, 0.0])
    tip: Array = frame.place(tips * [sign, 1, 1])
    return tip


def _meet(shaft: Array, joint: Array) -> Array:
    """Move a shaft so that it starts at ``joint``; its far part moves less."""
    along = np.linalg.norm(np.diff(shaft, axis=0, prepend=shaft[:1]), axis=1).cumsum()
    share = 0.35 + 0.65 * np.exp(-((along / 45.0) ** 2))
    moved: Array = shaft + share[:, None] * (joint - shaft[0])
    return moved


def _cut(line: Array, factor: float) -> Array:
    """Return a rib's line shortened or drawn out to ``factor`` of its length."""
    if factor == 1.0:
        return line
    if factor > 1.0:
        more = line[-1] + np.outer(np.linspace(0.2, 1, 5), line[-1] - line[-6]) * (factor - 1) * 6
        return resample(np.concatenate([line, more]), SHAFT_POINTS)
    keep = max(4, round(factor * len(line)))
    return resample(line[:keep], SHAFT_POINTS)


def _rib(n: int, side: str, line: Array, thickness: float) -> Bone:
    half_height, half_thick = SECTION_MM[n]
    t = np.linspace(0, 1, len(line))
    grow = np.clip(0.62 + 2.2 * t, None, 1.0) * np.clip((1.12 - t) * 5, 0.35, 1.0)
    wide, thin = half_height * thickness * grow, half_thick * thickness * np.maximum(grow, 0.8)
    wide[t < 0.06] *= 1.15  # the head is a knob
    thin[t < 0.06] *= 1.5
    up = np.tile([0.0, 0.0, 1.0], (len(line), 1))
    if n <= 2:
        middle = line.mean(axis=0)
        outward = (line - middle) * [1.0, 1.0, 0.0]
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        up = outward if n == 1 else outward + up
    return Bone(f"rib_{n}_{side}", "rib", *tube(line, wide, thin, up))


def shape_extra_ribs(
    rng: np.random.Generator, ranges: Ranges, column: Column, vertebrae: dict[str, Bone]
) -> list[Bone]:
    """Return the stubs of ribs that some persons have on L1 (lumbar) or C7 (cervical)."""
    ribs = []
    for level, rate, long in (
        ("L1", ranges.lumbar_rib_rate, (12.0, 45.0)),
        ("C7", ranges.cervical_rib_rate, (10.0, 30.0)),
    ):
        draws, lengths = rng.random(3), rng.uniform(*long, 2)
        for k, (side, sign) in enumerate(SIDES):
            # One who has them has them on both sides seven times in ten.
            if draws[0] < rate and (draws[1] < 0.7 or (draws[2] < 0.5) == (k == 0)):
                tip = _process_tip(vertebrae[level], column.frames[level], sign)
                ribs.append(_stub(f"rib_{level}_{side}", tip, sign, float(lengths[k])))
    return ribs


def _stub(name: str, tip: Array, sign: float, length: float) -> Bone:
    t = np.linspace(0, 1, 8)[:, None]
    line = tip + [-2.0 * sign, -5.0, 0.0] + t * length * np.array([0.85 * sign, -0.1, -0.5])
    line[:, 2] -= 0.2 * length * t[:, 0] ** 2
    size = np.linspace(4.5, 3.0, 8)
    up = np.tile([0.0, 0.0, 1.0], (8, 1))
    return Bone(name, "rib", *tube(line, size, size * 0.65, up))
