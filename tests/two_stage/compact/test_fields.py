"""Pictures for detection: what is moved, is moved with its spine; crops are as small as served."""

import numpy as np

from vertebra_ml.two_stage.compact import detection, fields
from vertebra_ml.two_stage.compact.fields import (
    SMALL_BOX,
    SMALL_COUNT,
    _tilted,
    detection_batch,
    small_crop,
    spine_targets,
)
from vertebra_ml.two_stage.compact.grey import OUTSIDE
from vertebra_ml.two_stage.compact.samples import Sample


def far_sample() -> Sample:
    codes = np.full((60, 30, 30), 5, dtype=np.uint8)
    places = np.array([[14.0, 12.0, 20.0], [14.5, 12.5, 25.5], [15.0, 13.0, 31.0]], np.float32)
    return Sample({"codes": codes, "labels": np.array(["T12", "L1", "L2"]), "places": places}, 1.0)


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


def test_small_crops_end_as_small_scans_do() -> None:
    one = far_sample()
    spine, rng = spine_targets(one), np.random.default_rng(4)
    held = []
    for _ in range(200):
        codes, truth = small_crop(one, spine, rng)
        assert codes.shape == truth.shape == SMALL_BOX
        np.testing.assert_array_equal(codes == OUTSIDE, truth == -1)
        reach = [
            np.flatnonzero((codes != OUTSIDE).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))
        ]
        assert all(r.size <= most for r, most in zip(reach, SMALL_BOX, strict=True))
        assert all((np.diff(r) == 1).all() for r in reach)
        held.append((truth == 1).any())
    assert 0.6 < np.mean(held) < 1


def test_a_crop_is_a_part_of_its_scan() -> None:
    one = far_sample()
    numbers = 1000 + np.arange(60 * 30 * 30).reshape(60, 30, 30)
    spine, rng = spine_targets(one), np.random.default_rng(0)
    numbered = Sample(one.arrays | {"codes": numbers}, 1.0)
    moves = set()
    for _ in range(20):
        codes, truth = small_crop(numbered, spine, rng)
        kept = np.argwhere(codes != OUTSIDE)
        came = np.argwhere(np.isin(numbers, codes[codes != OUTSIDE]))
        move = np.unique(came - kept, axis=0)
        assert len(move) == 1
        np.testing.assert_array_equal(truth[tuple(kept.T)], spine[tuple(came.T)])
        moves.add(tuple(move[0]))
    assert len(moves) > 10


def test_a_batch_is_of_bodies_or_of_many_small_crops() -> None:
    one = far_sample()
    targets = {id(one): spine_targets(one)}
    shapes = {detection_batch([one], targets, 2, (5, step))[0].shape for step in range(40)}
    assert shapes == {(2, *box, 2) for box in fields.BOX} | {(2 * SMALL_COUNT, *SMALL_BOX, 2)}


def test_each_picture_counts_alike_in_the_loss() -> None:
    rng = np.random.default_rng(7)
    truth = (rng.random((2, 8, 8, 8, 1)) < 0.2).astype(np.float32)
    truth[1, 2:] = -1  # the second is a quarter of the first
    logits = rng.normal(size=truth.shape).astype(np.float32)
    alone = [float(detection.loss(truth[i : i + 1], logits[i : i + 1])) for i in range(2)]
    np.testing.assert_allclose(float(detection.loss(truth, logits)), np.mean(alone), rtol=1e-5)
    known = truth[1] >= 0
    chance = 1 / (1 + np.exp(-logits[1][known].astype(np.float64)))
    there = truth[1][known]
    entropy = -np.mean(there * np.log(chance) + (1 - there) * np.log(1 - chance))
    few = detection.SMOOTHING
    dice = (2 * (chance * there).sum() + few) / (chance.sum() + there.sum() + few)
    np.testing.assert_allclose(alone[1], entropy + 1 - dice, rtol=1e-4)
