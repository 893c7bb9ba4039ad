"""Fields of view: bounds, spacings, orientations."""

import numpy as np
import pytest

from vertebra_ml.phantom.bones import Body
from vertebra_ml.phantom.fields import (
    ORIENTATIONS,
    PARTS,
    Field,
    draw_field,
    draw_tilt,
    part_of,
    trunk_field,
)
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.habits import TRAINING_HABITS
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import TRAINING
from vertebra_ml.phantom.tissue import Outline, outline

DRAWS = 300


@pytest.fixture(scope="module")
def guide() -> Guide:
    body: Body = draw_body(np.random.default_rng(4), TRAINING)
    return Guide(body)


@pytest.fixture(scope="module")
def shape(guide: Guide) -> Outline:
    return outline(guide, np.random.default_rng(4), TRAINING_HABITS)


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


def test_the_rates_of_the_parts_leave_room_for_random_ones():
    assert 0.9 < sum(rate for rate, _, _ in PARTS.values()) < 1


def test_fields_keep_the_bounds_of_spacing_and_size(guide, shape):
    rng = np.random.default_rng(5)
    for _ in range(DRAWS):
        field = draw_field(guide, shape, np.eye(3), rng, voxels_max=30_000_000)
        size = field.high_mm - field.low_mm
        assert field.spacing_mm.min() >= 0.5
        assert field.spacing_mm.max() <= 7.0
        assert (size / field.spacing_mm).prod() < 31_000_000
        assert size.min() >= 59.9
        assert (field.spacing_mm / field.factors <= [1.71, 1.71, 2.01]).all()


def test_every_part_orientation_and_spacing_comes_up(guide, shape):
    rng = np.random.default_rng(6)
    fields = [draw_field(guide, shape, np.eye(3), rng, 30_000_000) for _ in range(DRAWS * 3)]
    assert {f.name for f in fields} == {*PARTS, "random part"}
    assert {f.orientation for f in fields} == set(ORIENTATIONS)
    slices = np.array([f.spacing_mm[2] for f in fields])
    assert slices.min() < 0.9
    assert slices.max() == 7.0


def test_parts_lie_where_their_names_say(guide):
    rng = np.random.default_rng(7)
    t6, l3 = guide.level("T6")[2], guide.level("L3")[2]
    for _ in range(DRAWS):
        name, low, high = part_of(guide, rng)
        assert high > low
        if name in ("chest", "thorax only", "neck and chest"):
            assert low < t6 < high
        if name.startswith(("abdomen", "lumbar")):
            assert low < l3 < high


def test_tilts_are_rotations():
    rng = np.random.default_rng(8)
    tilts = np.array([draw_tilt(rng) for _ in range(60)])
    assert np.allclose(tilts @ tilts.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(tilts), 1)
    straight = (tilts == np.eye(3)).all(axis=(1, 2))
    assert 30 < straight.sum() < 60


def test_a_trunk_reaches_from_skull_to_thighs_and_past_the_skin(guide, shape):
    field: Field = trunk_field(guide, shape, np.random.default_rng(9))
    marks = guide.body.landmarks.points_mm
    assert (marks > field.low_mm).all()
    assert (marks < field.high_mm).all()
    skin = shape.bounds(guide, field.low_mm[2], field.high_mm[2])
    assert (field.low_mm[:2] < skin[0]).all()
    assert (field.high_mm[:2] > skin[1]).all()


def test_half_bodies_come_up_in_every_part(guide, shape):
    rng = np.random.default_rng(9)
    found = set()
    for _ in range(DRAWS * 3):
        field = draw_field(guide, shape, np.eye(3), rng, 30_000_000)
        spine = float(guide.spine(np.array((field.low_mm[2] + field.high_mm[2]) / 2))[0])
        left, right = spine - field.low_mm[0], field.high_mm[0] - spine
        if min(left, right) < 41 and max(left, right) > 110:
            skin = shape.bounds(guide, field.low_mm[2], field.high_mm[2])
            if field.low_mm[1] < skin[0, 1] and field.high_mm[1] > skin[1, 1]:
                found.add(field.name)
    assert {"pelvis", "chest", "abdomen"} <= found
