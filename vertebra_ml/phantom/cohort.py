"""Whole phantoms: a body drawn, painted and scanned, with its truth. Each depends on its seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter

from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.phantom.bones import Body, Bone, Frame
from vertebra_ml.phantom.canvas import Array, Canvas, enlarge
from vertebra_ml.phantom.fields import (
    VOXELS_MAX,
    Field,
    draw_field,
    draw_tilt,
    trunk_field,
)
from vertebra_ml.phantom.foreign import paint_foreign, paint_table
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.habits import HABITS, Habits
from vertebra_ml.phantom.limbs import paint_arms, paint_head
from vertebra_ml.phantom.matter import paint_bones
from vertebra_ml.phantom.organs import draw_agent, paint_organs
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import RANGES
from vertebra_ml.phantom.render import Texture
from vertebra_ml.phantom.scanner import degrade, draw_exposure, reconstruct
from vertebra_ml.phantom.slide import draw_slide
from vertebra_ml.phantom.tissue import (
    Outline,
    Scene,
    field,
    outline,
    paint_body,
    paint_lungs,
    paint_trunk_muscles,
)
from vertebra_ml.volume import Volume

Population = Literal["training", "unlike"]
Facts = dict[str, float | str | bool]
AIR_HU = -1000.0
TISSUE_MM = np.array([4.0, 4.0, 5.0])
"""Coarsest grid of soft tissue; its edges need no more, bones are painted on the scan's own."""
TISSUE_SHARE = 2.2
GRAIN_MM, GRAIN_VOX = 2.2, 48
RIM_LINES = 16
"""Lines round the rim of a body that are looked for in a scan: 8 mm apart at the widest."""
STREAMS = {"body": 0, "tissue": 1, "field": 2, "texture": 3, "scanner": 4, "bone": 5,
           "foreign": 6}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic scan, what is in it, and what was drawn to make it."""

    volume: Volume
    truth: Truth
    facts: Facts


def trunk(seed: int, ranges: Population = "training") -> Phantom:
    """Draw a whole trunk, skull base to thighs, axes along RAS, for training MIPs."""
    streams = _streams(seed, ranges)
    person = _person(streams, ranges, np.eye(3))
    return _scan(person, trunk_field(person.guide, person.outline, streams["field"]), streams)


def draw(seed: int, ranges: Population = "training", *, voxels_max: int = VOXELS_MAX) -> Phantom:
    """Draw a scan as it comes: any part, field, orientation, spacing (0.5 to 7 mm), tilt."""
    streams = _streams(seed, ranges)
    tilt = draw_tilt(streams["field"])
    person = _person(streams, ranges, tilt)
    chosen = draw_field(person.guide, person.outline, tilt, streams["field"], voxels_max)
    return _scan(person, chosen, streams)


def cohort(
    count: int,
    seed: int,
    ranges: Population = "training",
    *,
    kind: Literal["trunk", "draw"] = "trunk",
    workers: int = 1,
    start: int = 0,
) -> Iterator[Phantom]:
    """Yield phantoms ``start`` to ``count`` in order, made by ``workers`` processes.

    Phantom ``i`` depends on ``(seed, i)`` only, so an interrupted cohort goes on from ``start``.
    """
    from joblib import Parallel, delayed

    make = {"trunk": trunk, "draw": draw}[kind]
    seeds = [phantom_seed(seed, index) for index in range(start, count)]
    parallel = Parallel(n_jobs=workers, return_as="generator", pre_dispatch=workers)
    yield from parallel(delayed(make)(one, ranges) for one in seeds)


def phantom_seed(seed: int, index: int) -> int:
    """Return the seed of phantom ``index`` of the cohort ``seed``."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])


@dataclass(frozen=True, eq=False)
class _Person:
    """A body in the scanner's frame, its outline, and the landmarks in the world."""

    guide: Guide
    outline: Outline
    world: Body
    habits: Habits


def _streams(seed: int, ranges: Population) -> dict[str, np.random.Generator]:
    """Return independent random streams, so that one part's draws do not move another's."""
    salt = sorted(RANGES).index(ranges)
    return {name: np.random.default_rng([seed, salt, i]) for name, i in STREAMS.items()}


def _person(streams: dict[str, np.random.Generator], ranges: Population, tilt: Array) -> _Person:
    world = draw_body(streams["body"], RANGES[ranges])
    guide = Guide(_turned(world, tilt))
    habits = HABITS[ranges]
    shape = outline(guide, streams["tissue"], habits)
    return _Person(guide, shape, world, habits)


def _turned(body: Body, tilt: Array) -> Body:
    """Return the body in the scanner's frame: ``tilt`` maps that frame to the world."""
    bones = tuple(Bone(b.name, b.kind, b.vertices @ tilt, b.faces) for b in body.bones)
    marks = replace(body.landmarks, points_mm=body.landmarks.points_mm @ tilt)
    frames = {
        name: Frame(f.centre @ tilt, f.axes @ tilt, f.size) for name, f in body.frames.items()
    }
    return replace(body, bones=bones, landmarks=marks, frames=frames)


def _scan(person: _Person, chosen: Field, streams: dict[str, np.random.Generator]) -> Phantom:
    """Paint a person on the grid of a field and store it as a scanner would."""
    fine = chosen.spacing_mm / chosen.factors
    shape = np.maximum(1, np.round((chosen.high_mm - chosen.low_mm) / chosen.spacing_mm))
    extent = shape * chosen.spacing_mm
    canvas = Canvas.over(chosen.low_mm, chosen.low_mm + extent, fine, AIR_HU)
    facts = _paint(canvas, person, streams)
    exposure = draw_exposure(streams["scanner"], person.habits)
    image = reconstruct(canvas, exposure, chosen.factors)
    array = degrade(image, exposure, streams["scanner"])
    array = np.round(array).astype(np.int16)
    affine = np.eye(4)
    affine[:3, :3] = chosen.tilt * image.spacing_mm
    affine[:3, 3] = chosen.tilt @ image.origin_mm
    turned = Volume(array, affine).reorient(chosen.orientation)
    volume = Volume(np.ascontiguousarray(turned.array), turned.affine)
    facts |= {"part": chosen.name, "orientation": chosen.orientation}
    return Phantom(volume, truth_of(person.world, volume), person.world.facts | facts)


def _paint(canvas: Canvas, person: _Person, streams: dict[str, np.random.Generator]) -> Facts:
    rng, texture = streams["tissue"], streams["texture"]
    habits, guide = person.habits, person.guide
    agent = draw_agent(rng, habits)
    ends = canvas.origin_mm + canvas.spacing_mm * canvas.array.shape
    spacing = np.maximum(np.minimum(canvas.spacing_mm * TISSUE_SHARE, TISSUE_MM), 2.0)
    soft = Canvas.over(canvas.origin_mm - canvas.spacing_mm / 2, ends, spacing, AIR_HU)
    scene = Scene(
        soft,
        guide,
        person.outline,
        habits,
        rng,
        field(soft, texture, 7.0),
        field(soft, texture, 28.0),
        draw_slide(rng, habits),
    )
    paint_arms(scene)
    paint_body(scene)
    paint_lungs(scene)
    paint_head(scene)
    paint_trunk_muscles(scene)
    paint_organs(scene, agent)
    enlarge(soft, canvas)
    rng = streams["foreign"]  # how far the one of tissue has run depends on the grid
    prone = rng.random() < habits.prone_rate
    facts: Facts = {"contrast": agent.arteries > 100, "prone": prone}
    grain = _bone_texture(canvas, texture, habits)
    facts |= paint_bones(canvas, guide.body, streams["bone"], habits, grain)
    facts["foreign"] = " ".join(paint_foreign(canvas, guide, person.outline, rng, habits))
    if rng.random() < habits.table_rate:
        side = 1 if prone else -1
        skin = person.outline.bounds(guide, canvas.origin_mm[2], ends[2])
        surface = float(skin[1 if prone else 0, 1]) + side * rng.uniform(-8, 25)
        paint_table(canvas, surface, float(skin[:, 0].mean()), side, rng)
    return facts


def _bone_texture(canvas: Canvas, rng: np.random.Generator, habits: Habits) -> Texture:
    """Draw the texture of bone at the canvas' spacing: fine grain over coarser mottling."""
    ends = canvas.origin_mm + GRAIN_VOX * canvas.spacing_mm
    cube = Canvas.over(canvas.origin_mm, ends, canvas.spacing_mm, 0)
    grain = 0.75 * field(cube, rng, GRAIN_MM) + 0.65 * field(cube, rng, 3 * GRAIN_MM)
    sizes = (0.8, 1.9)  # cells of the cube: patches of about 4 and 9 mm
    cubes = [gaussian_filter(rng.standard_normal((40, 40, 40)), s, mode="wrap") for s in sizes]
    patches = sum(cube / cube.std() for cube in cubes) / np.sqrt(2)
    patches *= rng.uniform(*habits.patchiness)
    return Texture(grain, patches.astype(np.float32))


def truth_of(body: Body, volume: Volume) -> Truth:
    """Return which levels ``volume`` shows: landmarks whose centre lies inside, and as visible all
    whose body reaches inside, be it with one side only of a vertebra that the field cuts."""
    marks = body.landmarks
    inside = volume.contains(marks.points_mm)
    held = Landmarks(
        tuple(np.array(marks.labels)[inside]), marks.points_mm[inside]
    ) if inside.any() else Landmarks.empty()  # fmt: skip
    visible = tuple(n for n in marks.labels if _reaches(body.frames[n], volume))
    return Truth(held, visible)


def _reaches(frame: Frame, volume: Volume) -> bool:
    """Tell whether one of RIM_LINES + 1 lines meets the grid (slab method): the axis of a body,
    endplate to endplate, and those beside it round the rim of the ellipse that it fills."""
    turn = np.arange(RIM_LINES) * (2 * np.pi / RIM_LINES)
    rim = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * frame.size[:2] / 2
    feet = frame.centre + np.concatenate([np.zeros((1, 2)), rim]) @ frame.axes[:2]
    half = frame.axes[2] * frame.size[2] / 2
    start, end = volume.world_to_voxel(feet - half), volume.world_to_voxel(feet + half)
    step = np.where(end == start, 1e-12, end - start)
    low, high = (-0.5 - start) / step, (np.array(volume.shape) - 0.5 - start) / step
    enter, leave = np.minimum(low, high).max(axis=1), np.maximum(low, high).min(axis=1)
    return bool((np.maximum(enter, 0.0) <= np.minimum(leave, 1.0)).any())
