import numpy as np
import pytest

from tests.bodies import THINGS, grid, inside_trunk, person
from vertebra_ml.body import body_mask, filled, largest, sample
from vertebra_ml.maxima import Field, survey
from vertebra_ml.volume import Volume

USUAL = (1.3, 1.3, 3.0)
THRESHOLD_HU = -300


def cell_centres(field: Field, volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """x and y in mm of the cells, ready to broadcast against (x, y, z)."""
    x, y = (
        volume.affine[a, 3] + volume.affine[a, a] * ((np.arange(n) + 0.5) * step - 0.5)
        for a, n, step in zip(range(2), field.body.shape, field.cells.steps, strict=False)
    )
    return x[:, None], y[None, :]


def overlap(found: np.ndarray, wanted: np.ndarray) -> float:
    """Dice of two masks."""
    return float(2 * (found & wanted).sum() / (found.sum() + wanted.sum()))


@pytest.mark.parametrize(
    "things",
    [(), *[(name,) for name in THINGS], ("table", "arms", "blanket", "cable", "circle")],
    ids="-".join,
)
def test_the_body_alone_is_left(things: tuple[str, ...]) -> None:
    volume = person(grid(USUAL), *things)
    field = survey(volume, THRESHOLD_HU)
    x, y = cell_centres(field, volume)
    wanted = np.broadcast_to(inside_trunk(x, y)[:, :, None], field.body.shape)
    assert overlap(field.body, wanted) > 0.97
    # What is left over hugs the skin: no arm, no second sheet of the table.
    leftover = field.body & ~inside_trunk(x, y, 10)[:, :, None]
    assert leftover.sum() / field.body.sum() < (0.01 if "touching_arms" in things else 0.002)


@pytest.mark.parametrize(
    ("spacing", "height_mm"),
    [((0.7, 0.7, 0.6), 20), ((0.9, 0.9, 8.0), 160), ((3.0, 3.0, 3.0), 160), ((1.0, 1.0, 5.0), 50)],
    ids=["thin", "8mm", "3mm", "ten-slices"],
)
def test_any_spacing_and_height(spacing: tuple[float, float, float], height_mm: float) -> None:
    volume = person(
        grid(spacing, (-230, -150, -height_mm / 2), (230, 150, height_mm / 2)), "table", "arms"
    )
    field = survey(volume, THRESHOLD_HU)
    x, y = cell_centres(field, volume)
    assert (
        overlap(field.body, np.broadcast_to(inside_trunk(x, y)[..., None], field.body.shape)) > 0.96
    )


def test_lungs_cut_open_by_a_narrow_field_are_filled() -> None:
    volume = person(grid(USUAL, (-70, -150, -40), (70, 150, 40)), "table")
    field = survey(volume, THRESHOLD_HU)
    x, y = cell_centres(field, volume)
    wanted = np.broadcast_to(inside_trunk(x, y)[..., None], field.body.shape)
    assert (field.body & wanted).sum() / wanted.sum() > 0.98


def test_a_field_without_air_is_all_body() -> None:
    volume = person(grid((1.5, 1.5, 1.5), (-19, -90, -40), (19, 0, 40)))
    assert survey(volume, THRESHOLD_HU).body.mean() > 0.99


def test_air_holds_no_body() -> None:
    volume = Volume(np.full((60, 50, 40), -1000, dtype=np.int16), np.eye(4))
    assert not survey(volume, THRESHOLD_HU).body.any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (40, 1, 1), (3, 200, 2)])
def test_tiny_fields_are_no_fault(shape: tuple[int, int, int]) -> None:
    body = survey(Volume(np.full(shape, 100, dtype=np.int16), np.eye(4)), THRESHOLD_HU).body
    assert body.all()


def test_outlying_heads_are_kept_and_arms_beside_them_go() -> None:
    """Arms up: above the shoulders three rounds lie side by side; the middle one is the head."""
    volume = person(grid(USUAL))
    x = volume.affine[0, 3] + 1.3 * np.arange(volume.shape[0])[:, None, None]
    y = volume.affine[1, 3] + 1.3 * np.arange(volume.shape[1])[None, :, None]
    array = volume.array.copy()
    high = np.arange(volume.shape[2]) >= 30
    rounds = (np.hypot(x, y) < 70) | (np.hypot(np.abs(x) - 130, y) < 40)
    array[:, :, high] = np.where(rounds, 40, -1000)
    array[(np.hypot(x, y + 45) < 20) & high] = 300
    field = survey(Volume(array, volume.affine), THRESHOLD_HU)
    head = field.body[:, :, -1].any(axis=1)
    mm = volume.affine[0, 3] + np.flatnonzero(head) * field.cells.spacing_mm[0]
    assert abs(mm.min() + 70) < 8
    assert abs(mm.max() - 70) < 8


def test_cells_are_sampled_from_the_grid_itself() -> None:
    array = np.arange(13 * 9 * 7, dtype=np.int16).reshape(13, 9, 7)
    cells = sample(array, (1.0, 2.0, 5.0))
    assert cells.steps == (4, 2, 1)
    assert cells.spacing_mm == (4.0, 4.0, 5.0)
    assert cells.hu.shape == (3, 4, 7)
    assert all(
        cells.hu[i, j, k] == array[4 * i + 2, 2 * j + 1, k]
        for i, j, k in np.ndindex(*cells.hu.shape)
    )


def test_parts_and_holes() -> None:
    mask = np.zeros((9, 9, 1), dtype=bool)
    mask[1:7, 1:7] = True
    mask[8, 8] = True
    mask[3, 3] = False  # a hole
    mask[1, 4] = False  # a bay: open to the border
    air = np.full(mask.shape, -1000)
    expected = np.zeros_like(mask)
    expected[1:7, 1:7] = True
    expected[1, 4] = False
    assert np.array_equal(filled(largest(mask), air), expected)
    assert not body_mask(sample(air[:, :, [0, 0]], (4.0, 4.0, 4.0)), THRESHOLD_HU).any()
