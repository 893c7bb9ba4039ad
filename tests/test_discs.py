"""Discs swept along the column, against a slow and obvious second opinion."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bodies import ORIENTATIONS
from vertebra_ml.affines import voxel_to_world
from vertebra_ml.anatomy import GAP_MM, LEVELS, RANK
from vertebra_ml.discs import (
    DIAMETER_MM,
    Column,
    gap_mm,
    label_volumes,
    level_of,
    ordinal,
)
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.volume import Volume

STRAIGHT = Landmarks.of({"T12": (0, 0, 32), "L1": (0, 0, 0), "L2": (0, 0, -35)})


def grid(spacing, half=(30.0, 30.0, 80.0), orientation="RAS"):  # type: ignore[no-untyped-def]
    """Return affine and shape of a box of ``half`` mm round the origin, axes as named."""
    shape = np.maximum(1, np.round(2 * np.array(half) / spacing)).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(shape - 1) / 2 * spacing
    turned = Volume(np.zeros(shape, dtype=np.int16), affine).reorient(orientation)
    return turned.affine, turned.shape


def naive(landmarks, affine, shape):  # type: ignore[no-untyped-def]
    """Ask each voxel alone: which place of the column is nearest, is it inside, which level?"""
    column = Column.through(landmarks)
    places = column.places_mm
    spine, levels = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for voxel in np.ndindex(*shape):
        point = voxel_to_world(affine, np.array(voxel, dtype=float))
        away = np.sqrt(((places - point) ** 2).sum(axis=1))
        i = int(away.argmin())
        if away[i] > column.radii_mm[i]:
            continue
        if i == 0 and (point - places[0]) @ (places[0] - places[1]) > 0:
            continue
        if i == len(places) - 1 and (point - places[-1]) @ (places[-1] - places[-2]) > 0:
            continue
        spine[voxel] = 1
        levels[voxel] = column.values[i]
    return spine, levels


@st.composite
def columns(draw):  # type: ignore[no-untyped-def]
    """A run of neighbouring levels on a wavy line, in the middle of the grid."""
    first = draw(st.integers(0, len(LEVELS) - 1))
    names = [name for name in LEVELS[first : first + draw(st.integers(1, 4))] if name != "T13"]
    names = names or ["L1"]
    shifts = st.floats(-8, 8)
    z, points = 40.0, {}
    for name in names:
        points[name] = (draw(shifts), draw(shifts), z)
        z -= gap_mm(name)
    return Landmarks.of(points)


@settings(max_examples=12)
@given(columns(), st.sampled_from([(4.0, 4.0, 5.0), (3.0, 5.0, 4.0)]))
def test_each_voxel_asked_alone_says_the_same(landmarks, spacing) -> None:  # type: ignore[no-untyped-def]
    affine, shape = grid(np.array(spacing))
    ours, theirs = label_volumes(landmarks, affine, shape), naive(landmarks, affine, shape)
    for mine, other in zip(ours, theirs, strict=True):
        # Two places of the column may be equally near up to rounding: few voxels, if any.
        assert (mine != other).mean() < 2e-4


@settings(max_examples=20)
@given(columns(), st.sampled_from(ORIENTATIONS))
def test_the_order_of_axes_changes_nothing(landmarks, orientation) -> None:  # type: ignore[no-untyped-def]
    affine, shape = grid(np.array([3.0, 4.0, 5.0]))
    turned_affine, turned_shape = grid(np.array([3.0, 4.0, 5.0]), orientation=orientation)
    plain = label_volumes(landmarks, affine, shape)
    turned = label_volumes(landmarks, turned_affine, turned_shape)
    for one, other in zip(plain, turned, strict=True):
        back = Volume(other.astype(np.int16), turned_affine).reorient("RAS").array
        assert (back != one).mean() < 2e-4


@settings(max_examples=30)
@given(columns())
def test_levels_lie_within_the_spine_and_hold_their_centre(landmarks) -> None:  # type: ignore[no-untyped-def]
    affine, shape = grid(np.array([2.0, 2.0, 2.0]))
    spine, levels = label_volumes(landmarks, affine, shape)
    assert set(np.unique(spine)) <= {0, 1}
    assert not levels[spine == 0].any()
    assert {level_of(v) for v in np.unique(levels[levels > 0])} <= set(landmarks.labels)
    inside = Volume(np.zeros(shape, np.int16), affine)
    for name in landmarks.labels:
        if inside.contains(landmarks[name]):
            voxel = tuple(np.rint(inside.world_to_voxel(landmarks[name])).astype(int))
            voxel = tuple(np.clip(voxel, 0, np.array(shape) - 1))
            assert levels[voxel] == ordinal(name)


def test_a_straight_column_is_a_stack_of_cylinders() -> None:
    affine, shape = grid(np.array([1.0, 1.0, 1.0]))
    _, levels = label_volumes(STRAIGHT, affine, shape)
    # L1 runs from half the gap above (16 mm) to half the gap below (17.5 mm), 34 to 37 mm wide.
    volume = float((levels == ordinal("L1")).sum())
    assert volume == pytest.approx(np.pi * 17.2**2 * 33.5, rel=0.05)
    heights = np.flatnonzero((levels == ordinal("L1")).any(axis=(0, 1))) - (shape[2] - 1) / 2
    assert (heights.min(), heights.max()) == pytest.approx((-17.5, 16), abs=1.0)
    width = (levels[:, shape[1] // 2, :] == ordinal("L2")).any(axis=1).sum()
    assert width == pytest.approx(DIAMETER_MM["L2"], abs=2)


def test_both_ends_are_half_a_gap_long() -> None:
    affine, shape = grid(np.array([1.0, 1.0, 1.0]))
    spine, _ = label_volumes(STRAIGHT, affine, shape)
    heights = np.flatnonzero(spine.any(axis=(0, 1))) - (shape[2] - 1) / 2
    above, below = GAP_MM["T11", "T12"][0] / 2, GAP_MM["L2", "L3"][0] / 2
    assert heights.max() == pytest.approx(32 + above, abs=1)
    assert heights.min() == pytest.approx(-35 - below, abs=1)


def test_between_labels_that_are_no_neighbours_no_level_is_told() -> None:
    far = Landmarks.of({"T10": (0, 0, 60), "L1": (0, 0, -29)})  # T11 and T12 have no label
    affine, shape = grid(np.array([2.0, 2.0, 2.0]))
    spine, levels = label_volumes(far, affine, shape)
    middle = (shape[0] // 2, shape[1] // 2)
    z = affine[2, 3] + affine[2, 2] * np.arange(shape[2])
    line = levels[middle]
    assert spine[middle][(z > -40) & (z < 70)].all()
    assert not line[(z > -10) & (z < 44)].any()
    assert set(line[(z > 50) & (z < 66)]) == {ordinal("T10")}
    assert set(line[(z > -40) & (z < -18)]) == {ordinal("L1")}


def test_t13_and_l6_have_values_and_neighbours() -> None:
    landmarks = Landmarks.of({"T12": (0, 0, 34), "T13": (0, 0, 2), "L1": (0, 0, -32)})
    affine, shape = grid(np.array([2.0, 2.0, 2.0]))
    _, levels = label_volumes(landmarks, affine, shape)
    line = levels[shape[0] // 2, shape[1] // 2]
    assert {level_of(v) for v in line[line > 0]} == {"T12", "T13", "L1"}
    assert ordinal("C1") == 1
    assert ordinal("L6") == 26
    assert [level_of(ordinal(name)) for name in LEVELS] == list(LEVELS)


def test_every_level_has_a_size_and_gaps() -> None:
    assert set(DIAMETER_MM) == set(LEVELS) == set(RANK)
    assert all(15 < gap_mm(name, up=up) < 40 for name in LEVELS for up in (False, True))


@pytest.mark.parametrize(
    ("landmarks", "found"),
    [
        (Landmarks.empty(), "no level"),
        (Landmarks.of({"L1": (np.nan, np.nan, 3)}), "a height only"),
        (Landmarks.of({"L1": (1, 2, 3), "L2": (1, 2, 3)}), "the same place"),
    ],
)
def test_what_is_no_column_is_refused(landmarks: Landmarks, found: str) -> None:
    with pytest.raises(DatasetError, match=found):
        Column.through(landmarks)
