"""A CT on a coarse grid: nothing is lost, nothing is moved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertebra_ml.reduced import reduced
from vertebra_ml.volume import Volume

COARSE = (4.0, 4.0, 3.0)


def volume(array: np.ndarray, spacing: tuple[float, float, float]) -> Volume:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-31.0, 12.0, 400.0)
    return Volume(array.astype(np.float32), affine)


def slow(values: np.ndarray, known: float, wanted: float) -> np.ndarray:
    """A line of values on a coarser line, by the definition: a triangle around each new centre."""
    count = max(1, round(len(values) * known / wanted))
    result = []
    for place in range(count):
        centre = np.clip((place + 0.5) * wanted / known - 0.5, 0, len(values) - 1)
        weights = [
            max(0.0, 1 - abs(i - centre) / max(1.0, wanted / known)) for i in range(len(values))
        ]
        result.append(np.average(values, weights=weights))
    return np.array(result)


@given(
    st.integers(1, 30), st.sampled_from([0.5, 0.8, 1.0, 2.6, 3.0, 5.0, 7.0]),
    st.integers(0, 2), st.integers(0, 2**31),
)  # fmt: skip
def test_each_axis_agrees_with_the_definition(
    length: int, spacing: float, axis: int, seed: int
) -> None:
    line = np.random.default_rng(seed).uniform(-900, 2000, length)
    shape, steps = [1, 1, 1], [4.0, 4.0, 3.0]
    shape[axis], steps[axis] = length, spacing
    got = reduced(volume(line.reshape(shape), (steps[0], steps[1], steps[2])), COARSE)
    np.testing.assert_allclose(got.array.ravel(), slow(line, spacing, COARSE[axis]), atol=0.01)


@given(
    st.tuples(*[st.integers(8, 40)] * 3), st.tuples(*[st.floats(0.5, 6.0)] * 3),
    st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([1, -1])] * 3),
)  # fmt: skip
def test_a_ramp_in_the_world_stays_where_it_is(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], order: list[int],
    signs: tuple[int, int, int],
) -> None:  # fmt: skip
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * spacing[axis]
    affine[:3, 3] = (20, -10, 30)
    index = np.stack(np.indices(shape), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    ramp = (world @ [1.0, 2.0, -1.5]).astype(np.float32)
    got = reduced(Volume(ramp, affine), COARSE)
    inner = np.stack(np.indices(got.shape), axis=-1)[1:-1, 1:-1, 1:-1].reshape(-1, 3)
    reach = np.array(
        [max(c, s) for c, s in zip(COARSE, _world_spacing(spacing, order), strict=True)]
    )
    points = got.voxel_to_world(inner.astype(float))
    low, high = world.reshape(-1, 3).min(axis=0), world.reshape(-1, 3).max(axis=0)
    whole = ((points - reach >= low) & (points + reach <= high)).all(axis=1)
    expected = points[whole] @ [1.0, 2.0, -1.5]
    # A triangle over whole voxels is centred to a part of a voxel only.
    slack = sum(
        abs(g) * s / 2 for g, s in zip((1, 2, 1.5), _world_spacing(spacing, order), strict=True)
    )
    difference = got.array[tuple(inner[whole].T)] - expected
    assert np.abs(difference).max(initial=0) <= slack


def _world_spacing(spacing: tuple[float, float, float], order: list[int]) -> list[float]:
    return [spacing[order.index(world)] for world in range(3)]


def test_a_constant_stays_constant_and_metal_is_clipped() -> None:
    array = np.full((40, 30, 20), 9000.0)
    got = reduced(volume(array, (0.9, 1.1, 1.7)), COARSE)
    assert got.array.dtype == np.float32
    np.testing.assert_allclose(got.array, 3071, rtol=1e-6)
    assert got.orientation == "RAS"


def test_the_grid_begins_at_the_same_face() -> None:
    scan = volume(np.zeros((40, 30, 20)), (1.0, 2.0, 1.0))
    got = reduced(scan, COARSE)
    face = scan.voxel_to_world(np.array([-0.5, -0.5, -0.5]))
    np.testing.assert_allclose(got.voxel_to_world(np.array([-0.5, -0.5, -0.5])), face)
    assert got.shape == (10, 15, 7)


@pytest.mark.parametrize("degrees", [0.6, 12.0])
def test_a_turned_grid_keeps_its_points(degrees: float) -> None:
    """Turned a little, the grid stays turned; turned much, it is straightened: points agree."""
    turn = np.radians(degrees)
    affine = np.eye(4)
    affine[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    index = np.stack(np.indices((80, 80, 60)), axis=-1) @ affine[:3, :3].T
    centre = np.array([22.0, 40.0, 30.0])
    blob = 1000 * np.exp(-((index - centre) ** 2).sum(axis=-1) / (2 * 8.0**2))
    got = reduced(Volume(blob.astype(np.float32), affine), COARSE)
    weights = np.maximum(got.array, 0).astype(float)
    middle = [(weights * axis).sum() / weights.sum() for axis in np.indices(got.shape)]
    np.testing.assert_allclose(got.voxel_to_world(np.array(middle)), centre, atol=0.3)
