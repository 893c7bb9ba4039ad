"""Batches for training: what is moved, is moved with its targets."""

import numpy as np
import pytest

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.two_stage.compact.column import FAR, FAR_MM, NEAR, NEAR_MM, Window
from vertebra_ml.two_stage.compact.cutting import MARGIN
from vertebra_ml.two_stage.compact.grey import OUTSIDE, STEP
from vertebra_ml.two_stage.compact.ribs import HALF
from vertebra_ml.two_stage.compact.samples import Sample, chosen, shades
from vertebra_ml.two_stage.compact.teaching import (
    SMALL_ROWS,
    SMALL_SIDES_MM,
    Turn,
    _narrow,
    _tilted,
    detection_batch,
    identification_batch,
    row_targets,
    spine_targets,
    whole,
)

PLACES = np.array([[8.0, -12.0, 30.0], [2.0, 4.0, 50.0], [-9.0, 10.0, 71.0]])


def blobs(window: Window, spacing: tuple[float, ...], rows: int, first_mm: float) -> np.ndarray:
    """A view with margin, bright at PLACES; ``first_mm`` is where its first row lies."""
    shape = (rows, *window.wider(MARGIN).shape)
    row, y, x = np.indices(shape).astype(float)
    out = np.zeros(shape)
    for place in PLACES:
        away = (row * spacing[2] + first_mm - place[2] * NEAR_MM[2]) ** 2
        away += ((y - MARGIN - window.behind + 0.5) * spacing[1] - place[1]) ** 2
        away += ((x - MARGIN - window.left + 0.5) * spacing[0] - place[0]) ** 2
        out += np.exp(-away / (2 * 6.0**2))
    return out


def seen_at(view: np.ndarray, window: Window, spacing: tuple[float, ...], first_mm: float,
            near: np.ndarray) -> np.ndarray:  # fmt: skip
    """Where the blob near ``near`` lies in a view without margin: x, y in mm, near row."""
    row, y, x = np.indices(view.shape).astype(float)
    mm = np.stack([
        (x - window.left + 0.5) * spacing[0], (y - window.behind + 0.5) * spacing[1],
        row * spacing[2] + first_mm,
    ])  # fmt: skip
    at = np.array([near[0], near[1], near[2] * NEAR_MM[2]])
    weights = view * (((mm - at[:, None, None, None]) ** 2).sum(axis=0) < 22**2)
    x_mm, y_mm, z_mm = (mm * weights).sum(axis=(1, 2, 3)) / weights.sum()
    return np.array([x_mm, y_mm, z_mm / NEAR_MM[2]])


@pytest.mark.parametrize("seed", range(4))
def test_near_and_far_views_turn_together_with_their_places(seed: int) -> None:
    rows = 100
    turn = Turn.drawn(np.random.default_rng(seed))
    moved = turn.moved(PLACES, rows)
    for window, spacing, count, first in (
        (NEAR, NEAR_MM, rows, 0.0),
        (FAR, FAR_MM, rows // 2, NEAR_MM[2] / 2),
    ):
        view = blobs(window, spacing, count, first)
        out = turn.applied(view.astype(np.float32), np.ones(view.shape, bool), window, spacing)
        assert out.shape == (count, *window.shape, 2)
        for place in moved:
            got = seen_at(out[..., 0], window, spacing, first, place)
            np.testing.assert_allclose(got, place, atol=0.6)


@pytest.mark.parametrize("seed", range(3))
def test_the_ribs_turn_with_the_near_view(seed: int) -> None:
    rows = 100
    turn = Turn.drawn(np.random.default_rng(seed))
    wide = Window(HALF, HALF, NEAR.behind, NEAR.before)
    view = blobs(wide, NEAR_MM, rows, 0.0).max(axis=1).astype(np.float32)
    out, inside = turn.flat(view, np.ones(view.shape, bool))
    assert out.shape == inside.shape == (rows, 2 * HALF)
    for place in turn.moved(PLACES, rows):
        row, x = np.indices(out.shape).astype(float)
        x_mm = (x - HALF + 0.5) * NEAR_MM[0]
        near = ((row - place[2]) * NEAR_MM[2]) ** 2 + (x_mm - place[0]) ** 2 < 22**2
        weights = out * near
        got = [(x_mm * weights).sum() / weights.sum(), (row * weights).sum() / weights.sum()]
        np.testing.assert_allclose(got, place[[0, 2]], atol=0.7)


def test_the_turn_that_is_none_cuts_the_margin_off() -> None:
    view = np.random.default_rng(1).uniform(0, 1, (10, *NEAR.wider(MARGIN).shape))
    out = Turn().applied(view.astype(np.float32), view > 0.1, NEAR, NEAR_MM)
    inner = view[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.testing.assert_allclose(out[..., 0], np.where(inner > 0.1, inner, 0), atol=1e-6)
    np.testing.assert_array_equal(out[..., 1], inner > 0.1)


def sample(labels: list[str] | None = None) -> Sample:
    rng = np.random.default_rng(2)
    names = ["T12", "L1", "L2"] if labels is None else labels
    rows = 90
    arrays = {
        "near": rng.integers(0, 20, (rows, *NEAR.wider(MARGIN).shape)).astype(np.uint8),
        "far": rng.integers(0, 20, (rows // 2, *FAR.wider(MARGIN).shape)).astype(np.uint8),
        "back": rng.integers(0, 20, (rows, 2 * (HALF + MARGIN))).astype(np.uint8),
        "whole": rng.integers(0, 20, (rows, 2 * (HALF + MARGIN))).astype(np.uint8),
        "labels": np.array(names, dtype="U3"),
        "places": PLACES[: len(names)].astype(np.float32),
    }
    return Sample(arrays, 1.0)


def far_sample() -> Sample:
    codes = np.full((60, 30, 30), 5, dtype=np.uint8)
    places = np.array([[14.0, 12.0, 20.0], [14.5, 12.5, 25.5], [15.0, 13.0, 31.0]], np.float32)
    return Sample({"codes": codes, "labels": np.array(["T12", "L1", "L2"]), "places": places}, 1.0)


def test_targets_of_rows_by_the_definition() -> None:
    targets = row_targets(np.array(["T12", "L1"]), PLACES[:2].astype(np.float32), 90)
    for row in range(90):
        away = PLACES[:2, 2] - row
        step = away[np.abs(away).argmin()]
        name = ["T12", "L1"][int(np.abs(away).argmin())]
        assert targets[row, 0] == pytest.approx(np.exp(-(step**2) / (2 * 1.3**2)), abs=1e-6)
        assert targets[row, 5] == (abs(step) <= 2.5)
        if targets[row, 7]:
            assert LEVELS[int(targets[row, 6])] == name
            assert targets[row, 4] == pytest.approx(step)
    assert targets[30, 2:4] == pytest.approx([0.8, -1.2])


def test_a_batch_is_made_of_its_seed_alone() -> None:
    one, again = (identification_batch([sample()], 2, (1, 2, 3)) for _ in range(2))
    for first, second in zip([*one[0], one[1]], [*again[0], again[1]], strict=True):
        np.testing.assert_array_equal(first, second)
    other = identification_batch([sample()], 2, (1, 2, 4))
    assert other[1].shape != one[1].shape or not np.array_equal(other[1], one[1])


def test_shapes_of_a_batch_and_what_lies_beyond() -> None:
    for step in range(6):
        (near, far, chest), targets = identification_batch([sample()], 3, (0, step))
        rows = near.shape[1]
        assert near.shape == (3, rows, *NEAR.shape, 2)
        assert far.shape == (3, rows // 2, *FAR.shape, 2)
        assert chest.shape == (3, rows, 1, 2 * HALF, 3)
        assert targets.shape[:2] == (3, rows)
        assert near[..., 0][near[..., 1] == 0].max(initial=0) == 0


def test_discs_lie_on_the_landmarks_and_padding_is_unknown() -> None:
    one = far_sample()
    spine = spine_targets(one)
    for x, y, row in one.arrays["places"]:
        assert spine[round(row), round(y), round(x)] == 1
    assert spine[:, 0].max() == 0
    assert 20 < spine.sum() < 400
    pictures, truth = detection_batch([one], {id(one): spine}, 2, (0, 0))
    assert set(np.unique(truth)) <= {-1.0, 0.0, 1.0}
    np.testing.assert_array_equal(pictures[..., 1] == 0, truth[..., 0] == -1)


def test_fields_are_cut_anywhere_and_what_is_cut_teaches_nothing() -> None:
    one = far_sample()
    targets = {id(one): spine_targets(one)}
    shares = []
    for step in range(30):
        pictures, truth = detection_batch([one], targets, 1, (3, step))
        np.testing.assert_array_equal(pictures[..., 1] == 0, truth[..., 0] == -1)
        shares.append((truth >= 0).mean())
    assert min(shares) < 0.5 * max(shares)


def test_a_tilted_picture_takes_its_spine_along() -> None:
    row, y, x = np.indices((40, 30, 32)).astype(float)
    values = np.exp(-((row - 12) ** 2 + (y - 20) ** 2 + (x - 9) ** 2) / 8).astype(np.float32)
    truth = (values > 0.3).astype(np.int8)
    inside = np.ones(values.shape, dtype=bool)
    moves = []
    for seed in range(5):
        moved, within, spine = _tilted(values, inside, truth, np.random.default_rng(seed))
        assert (spine[~within] == -1).all()
        bright = np.array([(axis * moved).sum() / moved.sum() for axis in (row, y, x)])
        marked = np.argwhere(spine == 1).mean(axis=0)
        np.testing.assert_allclose(bright, marked, atol=0.5)
        moves.append(np.linalg.norm(marked - (12, 20, 9)))
    assert max(moves) > 1


def test_a_narrow_field_ends_at_the_same_mm_in_both_views() -> None:
    reach = [np.array([32.0, 48.0]), np.array([24.0, 40.0])]
    for window, mm in ((NEAR, NEAR_MM), (FAR, FAR_MM)):
        view = np.ones((4, *window.shape, 2), dtype=np.float32)
        _narrow(view, window, mm, reach)
        _, y, x, _ = np.nonzero(view)
        ends = [(x.min() - window.left) * mm[0], (x.max() + 1 - window.left) * mm[0]]
        assert ends == [-32, 48]
        ends = [(y.min() - window.behind) * mm[1], (y.max() + 1 - window.behind) * mm[1]]
        assert ends == [-24, 40]


def test_the_whole_column_is_what_serving_would_see() -> None:
    one = sample()
    (near, far, chest), targets = whole(one)
    assert near.shape[1:] == (90, *NEAR.shape, 2)
    assert far.shape[1:] == (45, *FAR.shape, 2)
    shown = one.arrays["back"][:, MARGIN:-MARGIN] * STEP
    np.testing.assert_allclose(chest[0, :, 0, :, 0], shown, rtol=1e-5)
    inner = one.arrays["near"][:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    np.testing.assert_allclose(near[0, ..., 0], inner * STEP, rtol=1e-5)
    assert targets.shape == (1, 90, 8)


def test_shades_keep_air_and_the_outside() -> None:
    codes = np.array([[0, 5, 10, OUTSIDE]] * 50, dtype=np.uint8).reshape(50, 2, 2)
    for seed in range(20):
        (values,) = shades([codes], np.random.default_rng(seed))
        assert values.min() >= 0
        assert np.median(values[:, 0, 0]) < 0.5
        assert np.median(values[:, 1, 0]) > np.median(values[:, 0, 1])


def test_shares_say_how_often_a_sample_is_drawn() -> None:
    often, seldom = Sample({}, 9.0), Sample({}, 1.0)
    drawn = chosen([often, seldom], 2000, np.random.default_rng(0))
    assert 0.87 < sum(one is often for one in drawn) / 2000 < 0.93


def test_a_short_stretch_is_narrow_too() -> None:
    wide = round(2 * SMALL_SIDES_MM[0][1] / NEAR_MM[0]) + 1
    seen = set()
    for step in range(40):
        (near, _, _), _ = identification_batch([sample()], 2, (3, step))
        seen.add(near.shape[1])
        if near.shape[1] <= SMALL_ROWS:
            for one in near:
                assert 0 < np.ptp(np.flatnonzero(one[..., 1].any(axis=(0, 1)))) < wide
    assert SMALL_ROWS in seen
    assert max(seen) > SMALL_ROWS
