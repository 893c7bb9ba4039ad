"""Coarse grids, paths and views: what is seen along the spine maps back to the millimetre."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layouts import make_scan
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.compact.column import (
    FAR_MM,
    NEAR,
    NEAR_MM,
    STEEPEST,
    Arc,
    Path,
    halved,
    smooth,
    view,
)
from vertebra_ml.two_stage.compact.cutting import MARGIN, cut, path_through
from vertebra_ml.two_stage.compact.grey import OUTSIDE, STEP, decode, encode, scaled
from vertebra_ml.two_stage.compact.scene import Scene, as_planes
from vertebra_ml.volume import Volume

COLUMN = Landmarks.of({"L1": (5, 20, 60), "L2": (2, 24, 25), "L3": (-6, 22, -10)})
LEANING = Landmarks.of({"C3": (0, 62, 88), "C4": (2, 49, 75), "C5": (3, 36, 62),
                        "C6": (2, 23, 49), "C7": (0, 13, 33), "T1": (0, 8, 12)})  # fmt: skip
"""A neck that leans forward by 45 degrees: 18 mm from centre to centre, 13 of them in height."""


def ball_scan(marks: Landmarks, spacing: tuple[float, float, float]) -> Volume:
    """A scan of water with a ball of bone at each landmark."""
    shape = tuple(round(size / step) for size, step in zip((220, 200, 190), spacing, strict=True))
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-108, -90, -70)
    index = np.stack(np.indices(shape), axis=-1) * spacing + affine[:3, 3]
    values = np.zeros(shape)
    for point in marks.points_mm:
        values += 900 * np.exp(-((index - point) ** 2).sum(axis=-1) / (2 * 7.0**2))
    return Volume(values.astype(np.float32), affine)


@pytest.mark.parametrize("column", [COLUMN, LEANING])
@settings(max_examples=8)
@given(spacing=st.tuples(st.floats(0.9, 2.5), st.floats(0.9, 2.5), st.floats(1.0, 5.0)))
def test_a_ball_is_seen_where_its_landmark_is(
    column: Landmarks, spacing: tuple[float, float, float]
) -> None:
    scene = Scene.of(ball_scan(column, spacing))
    places = scene.place_of(column.points_mm)
    np.testing.assert_allclose(scene.world_of(places), column.points_mm, atol=1e-6)
    views = scene.along(path_through(places), places[:, 2].max() + 20, places[:, 2].min() - 20)
    path = np.array([NEAR.left, NEAR.behind]) - 0.5
    assert len(views.near) == len(views.near_inside) == len(views.z_mm) == 2 * len(views.far)
    for place in places:
        row = float(np.interp(-place[2], -views.z_mm, np.arange(len(views.z_mm))))
        assert views.rows_of(place[2]) == pytest.approx(row, abs=0.1)
        assert views.heights_of(views.rows_of(place[2])) == pytest.approx(place[2])
        low = max(0, round(row) - 5)
        block = np.where(views.near_inside, views.near, 0)[low : low + 11] - scaled(np.zeros(1))
        aside = place[:2] - np.array(
            [np.interp(row, np.arange(len(views.z_mm)), views.xy_mm[:, i]) for i in (0, 1)]
        )
        block = np.maximum(block, 0) * _close(block.shape, row - low, aside)
        middle = [(block * axis).sum() / block.sum() for axis in np.indices(block.shape)]
        got = (np.array(middle[:0:-1]) - path) * NEAR_MM[:2] - aside
        assert abs(middle[0] + low - row) * NEAR_MM[2] < 1.0
        assert np.abs(got).max() < 1.0


def _close(shape: tuple[int, ...], row: float, aside: np.ndarray) -> np.ndarray:
    """True within 12 mm of a place in a near view: no other ball's middle is as near."""
    middle = np.array([row, NEAR.behind - 0.5, NEAR.left - 0.5])
    middle[1:] += aside[::-1] / NEAR_MM[:2]
    mm = (np.indices(shape).T - middle) * NEAR_MM[::-1]
    return np.linalg.norm(mm, axis=-1).T < 12.0


def test_the_far_view_shows_the_same_place() -> None:
    scene = Scene.of(ball_scan(COLUMN, (1.5, 1.5, 2.0)))
    places = scene.place_of(COLUMN.points_mm)
    views = scene.along(path_through(places), places[0, 2] + 20, places[0, 2] - 15)
    assert len(views.near) == 2 * len(views.far)
    bright = np.maximum(views.far - scaled(np.zeros(1)), 0)
    middle = [(bright * axis).sum() / bright.sum() for axis in np.indices(bright.shape)]
    row = ((views.z_mm[0] + views.z_mm[1]) / 2 - places[0, 2]) / FAR_MM[2]
    assert abs(middle[0] - row) * FAR_MM[2] < 1.5


@given(st.integers(0, 2**31))
def test_a_view_on_whole_voxels_copies_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0, 2, (60, 50, 6)).astype(np.float32)
    planes = np.array([5, 3, 0, -1])
    places = np.array([[30.5, 26.5], [10.5, 5.5], [59.5, 49.5], [30.5, 26.5]])
    out, inside = view(values, NEAR, planes, places)
    for row, (plane, (x, y)) in enumerate(zip(planes, places, strict=True)):
        for depth in (0, 11, 39):
            for width in (0, 23, 47):
                at = (int(x - 23.5) + width, int(y - 23.5) + depth, int(plane))
                there = all(0 <= i < n for i, n in zip(at, values.shape, strict=True))
                assert inside[row, depth, width] == there
                assert out[row, depth, width] == pytest.approx(values[at] if there else 0)


def test_a_path_goes_straight_on_and_its_smoothing_keeps_a_line() -> None:
    line = Path(np.arange(100.0, 0, -6), np.stack([np.arange(17.0), np.full(17, 3.0)], axis=1))
    np.testing.assert_allclose(line.at(np.array([200.0, -50.0])), [[0, 3], [16, 3]])
    even = smooth(line, 12.0)
    np.testing.assert_allclose(even.xy_mm[6:11], line.xy_mm[6:11], atol=0.05)


def test_rows_of_a_leaning_neck_stand_as_far_apart_as_its_vertebrae() -> None:
    scene = Scene.of(ball_scan(LEANING, (1.5, 1.5, 1.5)))
    places = scene.place_of(LEANING.points_mm)
    views = scene.along(path_through(places), places[:, 2].max() + 12, places[:, 2].min() - 12)
    apart = np.diff(views.rows_of(places[:, 2])) * NEAR_MM[2]
    truly = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(apart[1:4], truly[1:4], atol=1.5)  # 13 mm of height each


@given(st.integers(0, 2**31))
def test_lengths_along_a_path_are_those_of_its_pieces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z_mm = np.arange(180.0, 19.0, -6.0)
    bends = rng.uniform(-6, 6, (2, 3))
    waves = np.sin(np.outer(z_mm / 180 * np.pi, [1, 2, 3]))
    path = Path(z_mm, waves @ bends.T)
    arc = Arc.of(path, 210.0)
    fine = np.linspace(20, 180, 4001)
    steps = np.hypot(np.linalg.norm(np.diff(path.at(fine), axis=0), axis=1), np.diff(fine))
    assert arc.length(180.0) - arc.length(20.0) == pytest.approx(steps.sum(), rel=5e-3)
    some = rng.uniform(-30, 260, 20)
    np.testing.assert_allclose(arc.height(arc.length(some)), some, atol=1e-9)
    assert arc.length(0.0) == 0.0


def test_an_upright_path_has_its_heights_for_lengths_and_a_lying_one_has_a_limit() -> None:
    z_mm = np.arange(60.0, -1.0, -6.0)
    some = np.array([-5.0, 0.0, 13.0, 60.0, 99.0])
    for upright in (Path(z_mm, np.full((11, 2), 4.0)), Path(z_mm[:1], np.ones((1, 2)))):
        np.testing.assert_allclose(Arc.of(upright, 60.0).length(some), some, atol=1e-9)
    lying = Path(z_mm, np.stack([9 * z_mm, z_mm], axis=1))
    assert Arc.of(lying, 60.0).length(60.0) == pytest.approx(60 * STEEPEST)


@given(st.integers(20, 60), st.floats(-1.2, 1.2), st.floats(-1.2, 1.2))
def test_rows_reach_from_face_to_face(tall: int, slope: float, bend: float) -> None:
    scene = Scene.of(Volume(np.zeros((9, 9, tall), dtype=np.int16), np.diag([3.0, 3, 3, 1])))
    z_mm = np.arange(3.0 * tall, -1.0, -6.0)
    path = Path(z_mm, np.stack([slope * z_mm, bend * np.abs(z_mm - 60)], axis=1))
    views = scene.along(path, 1e3, -1e3)
    head, foot = views.rows_of(np.array([3.0 * tall - 1.5, -1.5]))
    assert head + 1e-5 >= -0.5
    assert head < 2.5  # no more than a pair too many
    assert foot == pytest.approx(len(views.near) - 0.5)
    assert views.near_inside[2:].any(axis=(1, 2)).all()


def test_an_odd_grid_ends_with_a_row_beyond_it() -> None:
    scene = Scene.of(Volume(np.full((60, 60, 51), 30, dtype=np.int16), np.diag([3.0, 3, 3, 1])))
    upright = Path(np.array([150.0, 0.0]), np.full((2, 2), 90.0))
    views = scene.along(upright, 200.0, -50.0)
    assert len(views.near) == 52
    assert not views.near_inside[0].any()
    assert views.near_inside[1].any()
    assert views.near_inside[-1].any()
    assert views.far_inside[0].any()
    np.testing.assert_allclose(views.far[0][views.far_inside[0]], scaled(np.full(1, 30.0))[0], 1e-5)


def test_halving_is_a_mean_of_eight() -> None:
    values = np.random.default_rng(3).uniform(0, 1, (6, 5, 4)).astype(np.float32)
    got = halved(values)
    assert got.shape == (3, 3, 2)
    assert got[1, 1, 1] == pytest.approx(values[2:4, 2:4, 2:4].mean(), rel=1e-5)


@given(st.integers(0, 2**31))
def test_codes_lose_half_a_step_and_nothing_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hu = rng.uniform(-1024, 3071, (4, 5, 6)).astype(np.float32)
    inside = rng.random(hu.shape) < 0.7
    values, within = decode(encode(scaled(hu), inside))
    np.testing.assert_array_equal(within, inside)
    np.testing.assert_allclose(values[inside], scaled(hu)[inside], atol=STEP / 2 + 1e-6)
    assert encode(scaled(np.full(1, 3071.0)), np.ones(1, dtype=bool)).max() < OUTSIDE


def test_a_cut_keeps_landmarks_where_they_are() -> None:
    scan = ball_scan(COLUMN, (1.2, 1.2, 2.0))
    kept = cut(scan, COLUMN, 5)
    codes, places = kept.detection["codes"], kept.detection["places"]
    for x, y, row in places:
        block = codes[round(row) - 2 : round(row) + 3, round(y) - 1 : round(y) + 2,
                      round(x) - 1 : round(x) + 2]  # fmt: skip
        assert block.max() >= codes.max() - 3
    near, column = kept.identification["near"], kept.identification["places"]
    middle = np.array([NEAR.behind, NEAR.left]) + MARGIN - 0.5
    assert near.shape[1] == NEAR.shape[0] + 2 * MARGIN
    for x, y, row in column:
        at = (round(row), round(middle[0] + y / 4), round(middle[1] + x / 4))
        assert near[at] >= near[near != OUTSIDE].max() - 3
    assert list(kept.identification["labels"]) == ["L1", "L2", "L3"]


def test_the_same_seed_cuts_the_same_and_another_seed_another_height() -> None:
    scan = make_scan()
    marks = Landmarks.of({"T12": tuple(np.mean(scan.bounds_mm(), axis=0))})
    first, again, other = (cut(scan, marks, seed) for seed in (1, 1, 2))
    for name, array in first.identification.items():
        np.testing.assert_array_equal(array, again.identification[name])
    assert len(other.identification["near"]) <= scan.shape[2] * scan.spacing_mm[2] / 3 + 2
    np.testing.assert_array_equal(first.detection["codes"], other.detection["codes"])


def test_a_scan_without_landmarks_has_no_column() -> None:
    kept = cut(make_scan(), Landmarks.empty(), 1)
    assert len(kept.identification["near"]) == len(kept.identification["labels"]) == 0
    assert kept.detection["codes"].ndim == 3


def test_planes_run_from_head_to_foot() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    planes = as_planes(values)
    assert planes.shape == (4, 3, 2)
    assert planes[0, 2, 1] == values[1, 2, 3]
