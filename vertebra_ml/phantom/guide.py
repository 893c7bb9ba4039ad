"""Where things lie in a posed skeleton: the curve of the spine, heights of levels, body outlines.

Outlines are polar: ``radius[node, direction]`` in mm round a centre that follows the trunk, nodes
along z (head-foot), directions anticlockwise from +x (patient's right; +y front, RAS+ mm).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.phantom.bones import Body
from vertebra_ml.phantom.canvas import Array, Canvas

NODE_MM = 8.0
DIRECTIONS = 96
FINE = 768
ANGLES = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS)
UNIT = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
FRONT_OF_SPINE_MM = {"C3": 4.0, "C7": 8.0, "T2": 28.0, "T5": 48.0, "L3": 50.0}
"""How far the centre of the trunk lies in front of a body centre, by level."""


@dataclass(frozen=True, eq=False)
class Guide:
    """A skeleton with the questions that tissue asks of it."""

    body: Body

    def cloud(self, *kinds: str) -> Array:
        """Return the vertices (n, 3) mm of all bones of these kinds; empty where there are none."""
        found = [bone.vertices for bone in self.body.bones if bone.kind in kinds]
        return np.concatenate(found) if found else np.empty((0, 3))

    def level(self, name: str) -> Array:
        """Return the body centre (3,) mm of a level, or of the nearest one that is there."""
        marks = self.body.landmarks
        nearest = min(marks.labels, key=lambda held: abs(RANK[held] - RANK[name]))
        return marks[nearest]

    def spine(self, z_mm: Array) -> tuple[Array, Array]:
        """Return x and y of the column of body centres at heights ``z_mm``."""
        points = self.body.landmarks.points_mm[::-1]
        x, y = (np.interp(z_mm, points[:, 2], points[:, axis]) for axis in (0, 1))
        return np.asarray(x, np.float32), np.asarray(y, np.float32)

    @cached_property
    def nodes_mm(self) -> Array:
        """Heights of the outline's nodes, from the feet up."""
        z = np.concatenate([bone.vertices[:, 2] for bone in self.body.bones])
        return np.arange(z.min() - 40, z.max() + 40, NODE_MM)

    @cached_property
    def centre_mm(self) -> Array:
        """Centre (n, 2) of the outline at each node."""
        knots = []
        for name, front in FRONT_OF_SPINE_MM.items():
            x, y, z = self.level(name)
            knots.append((z, x, y + front))
        for kind in ("skull", "pelvis", "femur"):
            points = self.cloud(kind)
            if len(points):
                x, y, z = (points.min(axis=0) + points.max(axis=0)) / 2
                knots.append((z, x, y))
        table = np.array(sorted(knots))
        ways = [np.interp(self.nodes_mm, table[:, 0], table[:, a]) for a in (1, 2)]
        return np.stack([gaussian_filter1d(way, 3.0) for way in ways], axis=1)

    def polar(self, canvas: Canvas) -> tuple[Array, Array]:
        """Return radius (mm) and place in a table of :func:`spread` of each voxel of ``canvas``."""
        x, y, z = canvas.axes_mm
        cx, cy = (
            np.interp(z, self.nodes_mm, self.centre_mm[:, a]).astype(np.float32) for a in (0, 1)
        )
        dx, dy = x - cx, y - cy
        turn = np.arctan2(dy, dx)
        turn *= np.float32(FINE / (2 * np.pi))
        turn += np.float32(FINE / 2 + 0.5)
        place = turn.astype(np.int32)
        place += np.arange(z.size, dtype=np.int32) * (FINE + 1)
        return np.hypot(dx, dy), place

    def spread(self, radius: Array, z_mm: Array) -> Array:
        """Return ``radius[node, direction]`` at heights as a flat float32 table.

        At each height it runs from -x round to -x in ``FINE`` + 1 steps.
        """
        node = np.clip((z_mm.ravel() - self.nodes_mm[0]) / NODE_MM, 0, len(self.nodes_mm) - 1.001)
        low, part = node.astype(int), (node % 1)[:, None]
        rows = radius[low] * (1 - part) + radius[low + 1] * part
        turns = np.arange(FINE + 1) * (DIRECTIONS / FINE) + DIRECTIONS / 2
        left, share = turns.astype(int) % DIRECTIONS, turns % 1
        right = (left + 1) % DIRECTIONS
        table = rows[:, left] * (1 - share) + rows[:, right] * share
        result: Array = table.astype(np.float32).ravel()
        return result

    def hull(self, points: Array) -> Array:
        """Return the radius (nodes, directions) of the convex outline of points (n, 3).

        Nodes without points take their neighbours' outline.
        """
        support = np.full((len(self.nodes_mm), DIRECTIONS), np.nan)
        for i, (z, centre) in enumerate(zip(self.nodes_mm, self.centre_mm, strict=True)):
            near = points[np.abs(points[:, 2] - z) < 1.5 * NODE_MM, :2] - centre
            if len(near):
                support[i] = (near @ UNIT.T).max(axis=0)
        support = _filled(support, self.nodes_mm)
        cosine = np.cos(ANGLES[:, None] - ANGLES[None, :])
        reach = np.where(cosine > 0.05, support[:, None, :] / np.maximum(cosine, 0.05), np.inf)
        result: Array = np.maximum(reach.min(axis=2), 5.0)
        return result

    @cached_property
    def cage(self) -> Array:
        """Inner radius (nodes, directions) of the rib cage."""
        points = self.cloud("rib", "cartilage", "sternum", "vertebra")
        node = np.round((points[:, 2] - self.nodes_mm[0]) / NODE_MM).astype(int)
        away = points[:, :2] - self.centre_mm[np.clip(node, 0, len(self.nodes_mm) - 1)]
        turn = np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) * DIRECTIONS
        place = (node, np.round(turn).astype(int) % DIRECTIONS)
        inner = np.full((len(self.nodes_mm), DIRECTIONS), np.inf)
        np.minimum.at(inner, place, np.hypot(away[:, 0], away[:, 1]))
        known = np.isfinite(inner)
        weight = smoothed(known.astype(float), 2.0, 2.5)
        mean = smoothed(np.where(known, inner, 0), 2.0, 2.5) / np.maximum(weight, 1e-9)
        return _filled(np.where(weight > 0.01, mean, np.nan), self.nodes_mm)


def smoothed(radius: Array, nodes: float, directions: float) -> Array:
    """Smooth a table (nodes, directions) by Gaussians of these widths; directions go round."""
    along: Array = gaussian_filter1d(radius, nodes, axis=0, mode="nearest")
    around: Array = gaussian_filter1d(along, directions, axis=1, mode="wrap")
    return around


def ramp(guide: Guide, values: dict[str, float]) -> Array:
    """Interpolate to nodes what is given at levels (of ``LEVELS``, or ``pelvis``, ``thigh``)."""
    pelvis = guide.cloud("pelvis")
    heights = {"pelvis": float(pelvis[:, 2].mean()), "thigh": float(pelvis[:, 2].min()) - 60}
    knots = sorted(
        (float(guide.level(name)[2]) if name in LEVELS else heights[name], value)
        for name, value in values.items()
    )
    table = np.array(knots)
    result: Array = np.interp(guide.nodes_mm, table[:, 0], table[:, 1])
    return result


def _filled(table: Array, z: Array) -> Array:
    """Replace NaN by interpolation along the nodes, the ends carried on."""
    filled = table.copy()
    for column in filled.T:
        known = np.isfinite(column)
        if known.any():
            column[~known] = np.interp(z[~known], z[known], column[known])
    return np.where(np.isfinite(filled), filled, np.nanmean(filled))
