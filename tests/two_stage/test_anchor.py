"""The slice spotter as a second opinion: what it says of a height, on straight and tilted grids."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from tests.bodies import grid, person
from tests.conftest import PREPARATION, SETTINGS
from tests.layouts import make_scan
from vertebra_ml import phantom
from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.models import load_model
from vertebra_ml.models.contract import Contract, Settings
from vertebra_ml.models.inputs import Grid
from vertebra_ml.two_stage import anchor, fitting
from vertebra_ml.two_stage.anchor import Anchor
from vertebra_ml.volume import Volume

BALL_HU = 2500
HEADS = ("T11", "T12", "L1")
PLACES = {
    level: np.array([0.0, -60.0, z]) for level, z in zip(HEADS, (50.0, 20.0, -15.0), strict=True)
}
"""Where balls of metal lie in the back, one a level; RAS mm."""
UNSEEN = 72_000_000


class Seer:
    """Stands for the network: a level is where the pictures show its ball, head to foot."""

    def distributions(self, grid: Grid) -> np.ndarray:
        bright = grid.frontal.max(axis=1) > BALL_HU // 2
        numbered, count = ndimage.label(bright)
        assert count == len(HEADS)
        table = np.zeros((count, grid.rows + 1))
        for level in range(count):
            rows = np.flatnonzero(numbered == level + 1)
            table[level, rows] = 1 / len(rows)
        return table


@pytest.fixture
def seer() -> Anchor:
    settings = Settings.of(SETTINGS | {"levels": HEADS, "auxiliary_levels": ()})
    contract = Contract("slice_spotter", settings, PREPARATION, {}, 1, "", {})
    spotter: Any = Seer()
    return Anchor(spotter, contract)


def scan(turn: np.ndarray) -> Volume:
    """Draw a person with a ball a level on a grid turned in the world by ``turn``, (3, 3)."""
    volume = person(grid((2.0, 2.0, 2.0)))
    affine = volume.affine.copy()
    affine[:3] = turn @ affine[:3]  # the person turns with the grid; the balls lie in the world
    turned = Volume(volume.array.copy(order="C"), affine)
    mm = turned.voxel_to_world(np.indices(turned.shape).reshape(3, -1).T)
    for place in PLACES.values():
        near = np.linalg.norm(mm - place, axis=1) < 5
        assert near.any()
        turned.array.reshape(-1)[near] = BALL_HU
    return turned


@pytest.mark.parametrize("degrees", [(0, 0, 0), (14, 0, 0), (-9, 6, 4)])
def test_each_level_speaks_for_its_own_place(seer: Anchor, degrees: tuple[int, int, int]) -> None:
    volume = scan(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())
    points = np.array([PLACES[level] for level in HEADS])
    points += np.array([7.0, 25.0, 0.0])  # before the ball, at its height
    said = seer.chances(volume, points)
    assert said is not None
    assert said.shape == (3, len(LEVELS))
    own = said[:, [RANK[level] for level in HEADS]]
    assert (np.diag(own) > 0.9).all()
    assert (own[~np.eye(3, dtype=bool)] < 0.01).all()


def test_air_says_nothing(seer: Anchor) -> None:
    air = Volume(np.full((40, 40, 40), -1000, dtype=np.int16), np.diag([4.0, 4.0, 4.0, 1.0]))
    assert seer.chances(air, np.zeros((2, 3))) is None


def test_what_is_said_fades_between_two_vertebrae() -> None:
    rows = Grid(np.zeros((50, 4), np.int16), np.zeros((50, 4), np.int16), 2.0, 0.0)
    table = np.zeros((1, 51))
    table[0, 20] = 1.0  # z = -40 mm
    said = anchor.near(table, rows, np.array([-40.0, -43.0, -50.0, -55.0, -64.0]))[:, 0]
    assert said[0] == 1
    assert said[1] > 0.98
    assert 0.3 < said[2] < 0.4
    assert said[3] < 0.01
    assert said[4] < 1e-10


def test_levels_without_a_head_share_what_is_left() -> None:
    masses = np.array([[0.9, 0.0], [0.0, 0.0], [0.8, 0.7]])
    said = anchor.over_levels(masses, ("T12", "L3"))
    assert said[0, RANK["T12"]] == 0.9
    np.testing.assert_allclose(said[:2].sum(axis=1), 1)
    assert said[1, RANK["L1"]] == pytest.approx(1 / 24)
    assert said[2, RANK["L1"]] == 0
    every = np.eye(len(LEVELS))
    np.testing.assert_array_equal(anchor.over_levels(every, LEVELS), every)


def test_a_model_without_a_slice_spotter_answers(
    untrained_two_stage: Path, untrained: Path, tmp_path: Path
) -> None:
    from vertebra_ml.two_stage.contract import Contract as Column

    settings = Column.read(untrained_two_stage).settings
    plain = {**settings.__dict__}
    plain |= {stage: plain[stage].__dict__ for stage in fitting.STAGES}
    fitting.untrained(plain, tmp_path, 5)
    assert not (tmp_path / "anchor").exists()
    assert anchor.beside(tmp_path) is None
    alone = load_model(tmp_path).locate(make_scan(), "case")
    both = load_model(untrained_two_stage).locate(make_scan(), "case")
    assert {*alone.landmarks.labels, *alone.missing} == {*both.landmarks.labels, *both.missing}


def test_the_shipped_slice_spotter_knows_the_vertebrae_of_a_phantom(shipped: Path) -> None:
    second = Anchor.of(shipped)
    shares = []
    for seed in (UNSEEN, UNSEEN + 1):
        drawn = phantom.draw(seed, voxels_max=3_000_000)
        marks = drawn.truth.landmarks
        said = second.chances(drawn.volume, marks.points_mm)
        assert said is not None
        shares += list(said.argmax(axis=1) == [RANK[level] for level in marks.labels])
    assert np.mean(shares) > 0.8
