"""A whole random skeleton: a column drawn, its bones shaped, ribs, girdles and head hung on it."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from vertebra_ml.landmarks import Landmarks
from vertebra_ml.phantom.bones import Body, Bone, Frame, atlas
from vertebra_ml.phantom.girdle import draw_limbs, shape_head, shape_pelvis, shape_shoulders
from vertebra_ml.phantom.meshes import Array, turn
from vertebra_ml.phantom.ranges import Ranges
from vertebra_ml.phantom.ribs import draw_chest, shape_extra_ribs, shape_ribs
from vertebra_ml.phantom.spine import Column, draw_column
from vertebra_ml.phantom.sternum import shape_front
from vertebra_ml.phantom.vertebra import shape_disc, shape_vertebra
from vertebra_ml.phantom.wear import draw_wear, worn


def draw_body(rng: np.random.Generator, ranges: Ranges) -> Body:
    """Draw one person's skeleton, lying on the back, RAS mm; the origin is L1's body centre.

    The same state of ``rng`` and the same ranges give the same body.
    """
    column = draw_column(rng, ranges)
    chest, limbs = draw_chest(rng, ranges), draw_limbs(rng, ranges)
    scale = float(column.facts["scale"])
    source = atlas()
    vertebrae = {name: shape_vertebra(source, name, f, scale) for name, f in column.frames.items()}
    wear = draw_wear(rng, ranges, column.levels)
    for level, what in wear.items():
        vertebrae[level] = worn(vertebrae[level], column.frames[level], what)
    discs = [
        shape_disc(column.frames[a], column.frames[b], a)
        for a, b in pairwise(column.levels)
        if a != "C1"
    ]
    ribs = shape_ribs(rng, column, vertebrae, chest)
    extra = shape_extra_ribs(rng, ranges, column, vertebrae)
    bones = [
        *vertebrae.values(),
        *discs,
        *ribs,
        *extra,
        *shape_front(ribs),
        *shape_head(column, limbs, scale),
        *shape_shoulders(column, limbs, scale, chest.width),
        *shape_pelvis(column, limbs, scale),
    ]
    facts = column.facts | {
        "chest_width": chest.width,
        "chest_depth": chest.depth,
        "rib_fall_deg": chest.fall_deg,
        "rib12_length": chest.rib12,
        "crest_mm": limbs.crest_mm,
        "arms_up": limbs.arms_up,
        "shoulder_lift_mm": limbs.lift_mm,
        "osteophytes": sum(what.upper_mm > 0 for what in wear.values()),
        "fractures": " ".join(level for level, what in wear.items() if what.loss > 0),
        "extra_ribs": " ".join(bone.name for bone in extra),
    }
    return _turned(bones, column, facts, _attitude(rng, ranges))


def _attitude(rng: np.random.Generator, ranges: Ranges) -> Array:
    about_z, about_y = rng.uniform(*ranges.turn_deg), rng.uniform(*ranges.lean_deg)
    about_x = rng.uniform(*ranges.nod_deg)
    rotation: Array = turn((0, 0, 1), about_z) @ turn((0, 1, 0), about_y) @ turn((1, 0, 0), about_x)
    return rotation


def _turned(
    bones: Iterable[Bone], column: Column, facts: dict[str, float | str | bool], rotation: Array
) -> Body:
    moved = tuple(Bone(b.name, b.kind, b.vertices @ rotation.T, b.faces) for b in bones)
    frames = {
        level: Frame(rotation @ f.centre, f.axes @ rotation.T, f.size)
        for level, f in column.frames.items()
    }
    landmarks = Landmarks.of({level: frame.centre for level, frame in frames.items()})
    return Body(moved, landmarks, facts, frames)
