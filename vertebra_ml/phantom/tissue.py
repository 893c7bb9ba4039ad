"""The body around the bones: skin, fat, muscle, the cavities and the lungs, as a picture in HU."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vertebra_ml.phantom.canvas import Array, Canvas, ellipsoid, enlarge, tube
from vertebra_ml.phantom.guide import ANGLES, UNIT, Guide, ramp, smoothed
from vertebra_ml.phantom.habits import Habits
from vertebra_ml.phantom.slide import Slide

SKIN_HU, SKIN_MM = 10.0, 2.0
FAT_HU = -100.0


@dataclass(frozen=True, eq=False)
class Outline:
    """Radii (nodes, directions) in mm of the skin, the muscle under the fat, and the cavities."""

    skin: Array
    muscle: Array
    cavity: Array
    cage: Array

    def bounds(self, guide: Guide, low_z: float, high_z: float) -> Array:
        """Return (2, 2): least and largest x and y (mm) of the skin between two heights."""
        nodes = np.flatnonzero((guide.nodes_mm >= low_z) & (guide.nodes_mm <= high_z))
        if not len(nodes):
            nodes = np.array([np.abs(guide.nodes_mm - low_z).argmin()])
        rim = guide.centre_mm[nodes, None] + self.skin[nodes, :, None] * UNIT
        return np.stack([rim.min(axis=(0, 1)), rim.max(axis=(0, 1))])


@dataclass(frozen=True, eq=False)
class Scene:
    """A canvas with what organs need to find their place on it."""

    canvas: Canvas
    guide: Guide
    outline: Outline
    habits: Habits
    rng: np.random.Generator
    texture: Array
    wobble: Array
    slide: Slide

    @cached_property
    def polar(self) -> tuple[Array, Array]:
        """Radius (mm) of each voxel round the trunk's centre, and its place in a table of radii."""
        return self.guide.polar(self.canvas)

    def depth(self, radius: Array) -> Array:
        """Return the depth (mm) of each voxel below an outline (nodes, directions)."""
        away, place = self.polar
        depth = self.guide.spread(radius, self.canvas.axes_mm[2]).take(place)
        depth -= away
        return depth

    def part(self, low_mm: Array, high_mm: Array) -> "Scene | None":
        """Return the scene between two (3,) points, mm, on the same memory; None where outside."""
        box = self.canvas.box(low_mm, high_mm)
        if box is None:
            return None
        smaller = replace(
            self, canvas=self.canvas.part(box), texture=self.texture[box], wobble=self.wobble[box]
        )
        shared = {"depth_cavity": self.depth_cavity[box], "depth_cage": self.depth_cage[box],
                  "dome_mm": self.dome_mm[box[:2]]}  # fmt: skip
        smaller.__dict__.update(shared)
        return smaller

    @cached_property
    def depth_cavity(self) -> Array:
        """Depth (mm) of each voxel below the wall of the belly."""
        return self.depth(self.outline.cavity)

    @cached_property
    def depth_cage(self) -> Array:
        """Depth (mm) of each voxel below the inner side of the ribs."""
        return self.depth(self.outline.cage)

    @cached_property
    def dome_mm(self) -> Array:
        """Height (x, y, 1) in mm of the diaphragm over each column of voxels."""
        return _dome(self)


def outline(guide: Guide, rng: np.random.Generator, habits: Habits) -> Outline:
    """Draw the outlines of a body around its skeleton: hull of the bones, then muscle, then fat."""
    base = guide.hull(_padded_cloud(guide, rng, habits))
    muscle = base + ramp(guide, _MUSCLE_MM)[:, None]
    fat = rng.uniform(*habits.fat_mm) * rng.uniform(0.6, 1.0)
    share = ramp(guide, _FAT_SHARE)[:, None] * (1 + rng.uniform(-0.3, 0.5) * np.sin(ANGLES))
    share = share * (1 + rng.uniform(-0.2, 0.3) * np.cos(2 * ANGLES))
    muscle = smoothed(muscle, 1.6, 1.5)
    skin = muscle + smoothed(fat * share, 1.6, 1.5) + SKIN_MM
    cavity = muscle - rng.uniform(9, 18)
    return Outline(skin, muscle, cavity, guide.cage - 3.0)


_MUSCLE_MM = {"C1": 9.0, "C6": 12.0, "T2": 14.0, "T6": 10.0, "T11": 7.0, "L2": 4.0, "L5": 7.0,
              "pelvis": 16.0, "thigh": 34.0}  # fmt: skip
"""Muscle outside the hull of the bones, mm."""

_FAT_SHARE = {"C1": 0.2, "C6": 0.3, "T2": 0.5, "T6": 0.55, "T11": 0.7, "L2": 1.0, "L5": 1.15,
              "pelvis": 1.0, "thigh": 0.8}  # fmt: skip
"""Thickness of the fat as a part of that at the waist."""


def _padded_cloud(guide: Guide, rng: np.random.Generator, habits: Habits) -> Array:
    """Return bone points with points for what bones do not hold up: belly, neck, buttocks."""
    bones = guide.cloud("vertebra", "rib", "cartilage", "sternum", "scapula", "clavicle", "skull",
                        "jaw", "sacrum", "pelvis", "femur")  # fmt: skip
    parts = [bones, _belly(guide, rng, habits), _back(guide), _neck(guide), _buttocks(guide, rng)]
    return np.concatenate(parts)


def _belly(guide: Guide, rng: np.random.Generator, habits: Habits) -> Array:
    ribs, pelvis = guide.cloud("rib"), guide.cloud("pelvis")
    top, low = float(guide.level("T11")[2]), float(pelvis[:, 2].mean()) - 30
    heights = np.arange(low, top + 30, 8.0)
    above = np.quantile(np.abs(ribs[ribs[:, 2] < top, 0] - guide.level("T12")[0]), 0.98)
    below = np.ptp(pelvis[:, 0]) / 2 * 0.98
    wide = np.interp(heights, [low, (low + top) / 2, top], [below, 0, above])
    belly = rng.uniform(*habits.belly_mm)
    spread = np.mean(habits.belly_mm)
    waist = (above + below) / 2 * (rng.uniform(*habits.waist) + 0.18 * (belly / spread - 1))
    wide = np.maximum(wide, waist * np.interp(heights, [low, low + 60, top], [0.9, 1, 0.9]))
    deep = belly * np.interp(heights, [low, low + 90, top - 60, top + 30], [0.75, 1.0, 1.0, 0.85])
    x, y = guide.spine(heights)
    turns = np.linspace(-0.9, np.pi + 0.9, 26)
    # A half ellipse in front, a flatter one behind.
    across = np.cos(turns)
    front = np.where(np.sin(turns) > 0, np.sin(turns), 0)
    behind = 45 * np.minimum(np.sin(turns), 0)
    rows = [
        np.stack([cx + w * across, cy + 25 + d * front + behind, np.full(26, z)], axis=1)
        for z, w, d, cx, cy in zip(heights, wide, deep, x, y, strict=True)
    ]
    return np.concatenate(rows)


def _back(guide: Guide) -> Array:
    """Return points of the long muscles that make the back flat beside the spinous processes."""
    tips = sorted(
        (bone.vertices[:, 2].mean(), bone.vertices[:, 1].min())
        for bone in guide.body.bones
        if bone.kind == "vertebra"
    )
    table = np.array(tips)
    heights = np.arange(guide.level("L5")[2] - 20, guide.level("T9")[2], 6.0)
    behind = np.interp(heights, table[:, 0], table[:, 1])
    middle, front = guide.spine(heights)
    spots = ((-95.0, 0.35), (-52, 1.02), (52, 1.02), (95, 0.35))
    rows = [
        np.stack([middle + side, front + share * (behind - front), heights], axis=1)
        for side, share in spots
    ]
    return np.concatenate(rows)


def _neck(guide: Guide) -> Array:
    heights = np.arange(guide.level("C7")[2] - 10, guide.level("C1")[2] + 10, 6.0)
    x, y = guide.spine(heights)
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rows = [
        np.stack([cx + 50 * np.cos(turns), cy + 12 + 46 * np.sin(turns), np.full(24, z)], axis=1)
        for z, cx, cy in zip(heights, x, y, strict=True)
    ]
    return np.concatenate(rows)


def _buttocks(guide: Guide, rng: np.random.Generator) -> Array:
    pelvis = guide.cloud("pelvis")
    back, z = pelvis[:, 1].min() - rng.uniform(5, 25), pelvis[:, 2]
    heights = np.arange(z.min() - 60, z.mean() + 20, 8.0)
    side = pelvis[:, 0].mean() + np.array([-90.0, -55, 55, 90])
    return np.array(np.meshgrid(side, [back], heights)).reshape(3, -1).T


def field(canvas: Canvas, rng: np.random.Generator, size_mm: float) -> Array:
    """Draw a smooth random field of the canvas' shape, mean 0, standard deviation about 1."""
    ends = canvas.origin_mm + canvas.spacing_mm * canvas.array.shape
    coarse = Canvas.over(canvas.origin_mm - size_mm, ends + size_mm, np.full(3, size_mm), 0)
    coarse.array[...] = rng.standard_normal(coarse.array.shape)
    target = Canvas(np.empty(canvas.array.shape, np.float32), canvas.origin_mm, canvas.spacing_mm)
    enlarge(coarse, target)
    return target.array * np.float32(1.6)  # linear interpolation takes this much off the spread


def paint_body(scene: Scene) -> None:
    """Paint skin, fat, muscle, the belly's fat and, if drawn, breasts; outside stays as it is."""
    canvas, habits, rng = scene.canvas, scene.habits, scene.rng
    below_skin = scene.depth(scene.outline.skin)
    canvas.blend(canvas.inside(below_skin), np.float32(SKIN_HU))
    fat = FAT_HU + rng.uniform(-10, 8) + 6 * scene.texture
    canvas.blend(canvas.inside(below_skin - SKIN_MM), fat)
    if rng.random() < habits.breast_rate:
        _breasts(scene)
    below_fat = scene.depth(scene.outline.muscle)
    canvas.blend(canvas.inside(below_fat), _muscle(scene))
    _paint_belly(scene)


def _muscle(scene: Scene) -> Array:
    """Return muscle with its streaks of fat, HU on the canvas."""
    lean = scene.rng.uniform(*scene.habits.muscle_hu)
    wasted = scene.rng.uniform(*scene.habits.wasting)
    streaks = np.clip(scene.texture - (1.7 - 1.6 * wasted), 0, 1)
    return lean + 5 * scene.wobble - streaks * (lean + 90)


def _paint_belly(scene: Scene) -> None:
    canvas, guide = scene.canvas, scene.guide
    y, z = canvas.axes_mm[1:]
    spine_y = guide.spine(z)[1]
    depth = np.minimum(scene.depth_cavity, y - (spine_y - 16))
    depth = np.minimum(depth, _below(scene) - 3)
    fat = scene.rng.uniform(*scene.habits.visceral_hu)
    canvas.blend(canvas.inside(depth), fat + 14 * scene.texture)


def _below(scene: Scene) -> Array:
    """Depth (mm) below the diaphragm, also below the ribs' edge where it does not reach."""
    low = float(scene.guide.cloud("pelvis")[:, 2].min()) + 25
    z = scene.canvas.axes_mm[2]
    result: Array = np.minimum(scene.dome_mm - z, z - low)
    return result


def _breasts(scene: Scene) -> None:
    rng, guide = scene.rng, scene.guide
    size = rng.uniform(*scene.habits.breast_mm)
    height = guide.level("T8")[2] + rng.uniform(-20, 15)
    x, _ = guide.spine(height)
    ribs = guide.cloud("rib", "sternum", "cartilage")
    front = ribs[np.abs(ribs[:, 2] - height) < 40, 1].max(initial=guide.level("T7")[1] + 90)
    for side in (-1, 1):
        centre = np.array([x + side * rng.uniform(75, 95), front - 5 + 0.2 * size, height])
        radii = np.array([60 + 0.4 * size, 18 + size, 46 + 0.3 * size])
        ellipsoid(scene.canvas, centre, radii, hu=SKIN_HU)
        ellipsoid(scene.canvas, centre, radii - SKIN_MM, hu=FAT_HU)
        ellipsoid(scene.canvas, centre + np.array([0, 0.3 * size, 0]), radii * 0.45, hu=15.0,
                  wobble=scene.wobble, bend=0.3)  # fmt: skip


def _dome(scene: Scene) -> Array:
    """Draw the two domes of the diaphragm: height over each column, falling to the ribs."""
    guide, rng, habits = scene.guide, scene.rng, scene.habits
    x, y, _ = scene.canvas.axes_mm
    top = scene.slide.point(guide, "T10")
    right = top[2] + rng.uniform(*habits.dome_mm)
    domes = []
    for side, height in ((1, right), (-1, right - rng.uniform(0, 24))):
        across = (x - (top[0] + side * 62)) / rng.uniform(85, 105)
        along = (y - (top[1] + 62)) / rng.uniform(85, 115)
        fall = 1.15 * np.tanh((across**2 + along**2) / 1.15)  # no recess is bottomless
        domes.append(height - rng.uniform(*habits.recess_mm) * fall)
    result: Array = np.maximum(*domes)
    return result


def paint_lungs(scene: Scene) -> None:
    """Paint both lungs between the ribs, the diaphragm and the mediastinum, and any effusion."""
    guide, rng, habits = scene.guide, scene.rng, scene.habits
    apex = guide.level("T1")[2] + rng.uniform(-14, 26)
    chest = scene.part(np.array([-1e4, -1e4, guide.level("L3")[2]]), np.array([1e4, 1e4, apex]))
    if chest is None:
        return
    canvas = chest.canvas
    x, y, z = canvas.axes_mm
    spine_x, spine_y = guide.spine(z)
    front = np.interp(guide.level("T6")[2], guide.nodes_mm, scene.outline.cage[:, 24])
    places = np.array([-60.0, 4, 22, 48, 75, 48 + front])
    middle = np.interp(
        y - spine_y, places, rng.uniform(0.9, 1.15) * np.array([15, 23, 26, 33, 30, 7])
    )
    depth = np.minimum(chest.depth_cage, np.abs(x - spine_x) - middle.astype(np.float32))
    depth = np.minimum(depth, np.minimum(z - chest.dome_mm, np.float32(apex) - z))
    lung = np.float32(rng.uniform(*habits.lung_hu)) + 25 * chest.texture + (spine_y + 60 - y) / 3
    canvas.blend(canvas.inside(depth), lung)
    if rng.random() < habits.effusion_rate:
        side, level = rng.choice([-1, 1]), rng.uniform(-30, 10)
        pool = np.minimum(depth, np.minimum((x - spine_x) * side, spine_y + level - y))
        canvas.blend(canvas.inside(pool), np.float32(12.0))


def paint_trunk_muscles(scene: Scene) -> None:
    """Paint the long muscles beside the spine and the psoas, with fat between them."""
    guide, rng = scene.guide, scene.rng
    hu, size = rng.uniform(*scene.habits.muscle_hu), rng.uniform(0.8, 1.25)
    points = np.array([guide.level(name) for name in ("L1", "L3", "L5")])
    femora = guide.cloud("femur", "pelvis")
    for side in (-1, 1):
        line = points + np.array([[26.0, 2, -10], [38, 4, 0], [46, 14, 0]]) * [side, 1, 1]
        side_points = femora[(femora[:, 0] - points[-1, 0]) * side > 0]
        end = side_points.mean(axis=0) + np.array([0, 35, -25])
        radii = size * np.array([9.0, 17, 21, 15])
        tube(scene.canvas, np.concatenate([line, [end]]), radii, hu=hu)
