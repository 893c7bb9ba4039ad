"""What the networks say, read: the spine in a far scan, candidates in a column, their names."""

from pathlib import Path as File
from typing import Any

import numpy as np
import pytest

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.config import load as params_of
from vertebra_ml.landmarks import ModelIdentity
from vertebra_ml.two_stage.compact.column import Path
from vertebra_ml.two_stage.compact.detection import FACTOR, Spine, padded, spine_of
from vertebra_ml.two_stage.compact.identification import (
    LEVEL,
    OUTPUTS,
    PLACE,
    SPREAD,
    sightings,
)
from vertebra_ml.two_stage.compact.scene import Scene
from vertebra_ml.two_stage.contract import Contract
from vertebra_ml.two_stage.localiser import TwoStage
from vertebra_ml.two_stage.readers.compact import NOTHING, CompactReader, named
from vertebra_ml.two_stage.settings import Settings
from vertebra_ml.volume import Volume

ROWS = 60
SETTINGS = Settings.of(
    params_of(File(__file__).parents[3] / "params.yaml").models.two_stage.model_dump()
)


def tube(rows: range, x: float, y: float, size: int = 40) -> np.ndarray:
    chances = np.zeros((ROWS, size, size), dtype=np.float32)
    yy, xx = np.indices((size, size))
    for row in rows:
        chances[row] = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / 4)
    return chances


def test_the_path_runs_through_the_tube() -> None:
    spine = spine_of(tube(range(10, 40), 12.0, 25.0))
    assert spine is not None
    assert spine.top_mm == (ROWS - 1 - 10) * 6 + 1.5
    assert spine.foot_mm == (ROWS - 1 - 39) * 6 + 1.5
    np.testing.assert_allclose(spine.path.xy_mm, [[12 * 8 + 2, 25 * 8 + 2]] * 30, atol=0.1)


def test_pieces_in_line_are_joined_and_one_aside_is_not() -> None:
    chances = tube(range(10, 25), 12, 25) + tube(range(29, 50), 13, 25)
    alone = spine_of(chances)
    both = spine_of(np.maximum(chances, tube(range(30, 36), 33, 8)))
    assert alone is not None
    assert both is not None
    assert len(alone.path.z_mm) == len(both.path.z_mm) == 40
    np.testing.assert_allclose(both.path.xy_mm, alone.path.xy_mm)


def test_a_piece_too_far_below_is_no_part() -> None:
    spine = spine_of(tube(range(5, 25), 12, 25) + tube(range(40, 50), 12, 25))
    assert spine is not None
    assert len(spine.path.z_mm) == 20


def test_specks_and_nothing_are_no_spine() -> None:
    speck = np.zeros((ROWS, 40, 40), dtype=np.float32)
    speck[30, 20, 20] = 1
    assert spine_of(speck) is None
    assert spine_of(np.zeros_like(speck)) is None


def test_padding_fills_behind_to_whole_blocks() -> None:
    out = padded(np.ones((9, 8, 17, 2), dtype=np.float32))
    assert all(size % FACTOR == 0 for size in out.shape[:3])
    assert out[:9, :8, :17].min() == 1
    assert out.sum() == 9 * 8 * 17 * 2


def said(places: dict[float, str], rows: int = 120) -> np.ndarray:
    """Outputs of a network that is sure of centres at these rows."""
    out = np.zeros((rows, OUTPUTS), dtype=np.float32)
    out[:, 0] = -8
    for place, level in places.items():
        for row in range(int(place) - 3, int(place) + 5):
            away = place - row
            out[row, 0] = 4 - 3 * away**2
            out[row, PLACE] = (0.5, -0.3, away)
            out[row, SPREAD] = np.log(2.0)
            out[row, LEVEL] = 0
            out[row, LEVEL.start + RANK[level]] = 9
    return out


def test_candidates_lie_between_rows() -> None:
    seen = sightings(said({20.4: "L1", 32.0: "L2", 44.7: "L3"}))
    np.testing.assert_allclose(seen.rows, [20.4, 32.0, 44.7], atol=1e-4)
    np.testing.assert_allclose(seen.aside_mm, [[5, -3]] * 3, atol=1e-5)
    np.testing.assert_allclose(seen.spread_mm, 2.0, rtol=1e-5)
    assert [LEVELS[i] for i in seen.names.argmax(axis=1)] == ["L1", "L2", "L3"]
    np.testing.assert_allclose(np.exp(seen.names).sum(axis=1), 1, atol=0.01)


def test_of_two_too_near_the_hotter_stays() -> None:
    out = said({20.0: "L1"})
    out[22, 0] = 3.5
    assert len(sightings(out).rows) == 1


def test_nothing_hot_is_no_candidate() -> None:
    assert len(sightings(said({})).rows) == 0


def points(rows: np.ndarray) -> np.ndarray:
    return np.column_stack([np.zeros(len(rows)), np.zeros(len(rows)), -3 * rows])


def test_the_chain_mends_a_name_said_twice() -> None:
    places = {10.0: "L1", 21.5: "L2", 33.4: "L2", 45.3: "L4"}
    seen = sightings(said(places))
    answer = named(seen, points(seen.rows), {"spread_scale": 3.0, "name_weight": 0.5})
    assert answer.levels == ("L1", "L2", "L3", "L4")
    np.testing.assert_allclose(answer.spread_mm, 6.0, rtol=1e-5)
    assert set(answer.absent) == set(LEVELS) - set(answer.levels)
    assert answer.absent["C3"] > 0.99


def test_without_candidates_nothing_is_answered() -> None:
    seen = sightings(said({}))
    assert named(seen, np.empty((0, 3)), {"spread_scale": 1.0, "name_weight": 1.0}) is NOTHING


@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_a_candidate_of_all_levels_alike_scores_low(weight: float) -> None:
    out = said({30.0: "T6"})
    out[:, LEVEL] = 0
    seen = sightings(out)
    answer = named(seen, points(seen.rows), {"spread_scale": 1.0, "name_weight": weight})
    assert answer.scores.max(initial=0) < 0.5


class Asked(CompactReader):
    """A reader that is told what its networks say of an upright column."""

    def __init__(self, said: np.ndarray) -> None:
        self._said, self._second = said, None
        self._thresholds = {"spread_scale": 1.0, "name_weight": 1.0}

    def spine(self, scene: Scene) -> Spine:
        return Spine(Path(np.array([177.0, 0.0]), np.full((2, 2), 120.0)), 177.0, 0.0)

    def _asked(self, stage: str, inputs: Any) -> np.ndarray:
        return self._said


@pytest.mark.parametrize(("heat", "slices"), [(4.0, (59, 50)), (-1.0, (50,))])
def test_a_vertebra_cut_by_the_first_slice_is_answered_in_it(
    heat: float, slices: tuple[int, ...]
) -> None:
    out = said({9.0: "L2"}, rows=60)
    out[:2, LEVEL] = 0
    out[:2, LEVEL.start + RANK["L1"]] = 9
    out[0, 0] = heat
    out[0, PLACE] = (0, 0, -1)  # a row above the first plane: 1.5 mm beyond its face
    scan = Volume(np.full((60, 60, 60), -1000, dtype=np.int16), np.diag([4.0, 4.0, 3.0, 1.0]))
    contract = Contract("two_stage", SETTINGS, {}, 1, "", {})
    found = TwoStage(Asked(out), contract, ModelIdentity("two_stage")).locate(scan, "a")
    assert [one.index for one in found.slices if one] == list(slices)
