"""A whole random skeleton: a column drawn, its bones shaped, ribs, girdles and head hung on it."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from vertebra_ml.landmarks import Landmarks
from vertebra_ml.phantom.bones import Body, Bone, Frame, atlas
from vertebra_ml.phantom.girdle import Limbs, draw_limbs, shape_head, shape_pelvis, shape_shoulders
from vertebra_ml.phantom.meshes import Array, turn
from vertebra_ml.phantom.ranges import Ranges
from vertebra_ml.phantom.ribs import Chest, draw_chest, shape_extra_ribs, shape_ribs
from vertebra_ml.phantom.spine import Column, draw_column
from vertebra_ml.phantom.sternum import shape_front
from vertebra_ml.phantom.vertebra import shape_disc, shape_vertebra
from vertebra_ml.phantom.wear import Wear, draw_wear, sunken, worn


def draw_body(rng: np.random.Generator, ranges: Ranges) -> Body:
    """Draw one person's skeleton, lying on the back, RAS mm; the origin is L1's body.

    The same state of ``rng`` and the same ranges give the same body.
    """
    column = draw_column(rng, ranges)
    chest, limbs = draw_chest(rng, ranges), draw_limbs(rng, ranges)
    scale = float(column.facts["scale"])
    wear = draw_wear(rng, ranges, column.levels)
    vertebrae = _vertebrae(column, wear, scale)
    ribs = shape_ribs(rng, column, vertebrae, chest)
    extra = shape_extra_ribs(rng, ranges, column, vertebrae)
    bones = [
        *vertebrae.values(),
        *_discs(column),
        *ribs,
        *extra,
        *shape_front(ribs),
        *shape_head(column, limbs, scale),
        *shape_shoulders(column, limbs, scale, chest.width),
        *shape_pelvis(column, limbs, scale),
    ]
    frames = column.frames | {k: sunken(column.frames[k], what) for k, what in wear.items()}
    facts = column.facts | _facts(chest, limbs, wear)
    facts["extra_ribs"] = " ".join(bone.name for bone in extra)
    return _turned(bones, frames, facts, _attitude(rng, ranges))


def _vertebrae(column: Column, wear: dict[str, Wear], scale: float) -> dict[str, Bone]:
    shaped = {
        level: shape_vertebra(atlas(), level, frame, scale)
        for level, frame in column.frames.items()
    }
    return shaped | {
        level: worn(shaped[level], column.frames[level], what) for level, what in wear.items()
    }


def _discs(column: Column) -> list[Bone]:
    return [
        shape_disc(column.frames[upper], column.frames[lower], upper)
        for upper, lower in pairwise(column.levels)
        if upper != "C1"
    ]


def _facts(chest: Chest, limbs: Limbs, wear: dict[str, Wear]) -> dict[str, float | str | bool]:
    return {
        "chest_width": chest.width,
        "chest_depth": chest.depth,
        "rib_fall_deg": chest.fall_deg,
        "rib_slope": chest.slope,
        "rib12_length": chest.rib12,
        "crest_mm": limbs.crest_mm,
        "arms_up": limbs.arms_up,
        "shoulder_lift_mm": limbs.lift_mm,
        "osteophytes": sum(what.upper_mm > 0 for what in wear.values()),
        "fractures": " ".join(level for level, what in wear.items() if what.loss > 0),
    }


def _attitude(rng: np.random.Generator, ranges: Ranges) -> Array:
    about_z, about_y = rng.uniform(*ranges.turn_deg), rng.uniform(*ranges.lean_deg)
    about_x = rng.uniform(*ranges.nod_deg)
    rotation: Array = turn((0, 0, 1), about_z) @ turn((0, 1, 0), about_y) @ turn((1, 0, 0), about_x)
    return rotation


def _turned(
    bones: Iterable[Bone],
    frames: dict[str, Frame],
    facts: dict[str, float | str | bool],
    rotation: Array,
) -> Body:
    moved = tuple(Bone(b.name, b.kind, b.vertices @ rotation.T, b.faces) for b in bones)
    placed = {
        level: Frame(rotation @ f.centre, f.axes @ rotation.T, f.size)
        for level, f in frames.items()
    }
    landmarks = Landmarks.of({level: frame.centre for level, frame in placed.items()})
    return Body(moved, landmarks, facts, placed)
