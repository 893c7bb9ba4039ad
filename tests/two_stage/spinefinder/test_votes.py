"""Votes and tiles, with networks that read the level off a toy's brightness."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.two_stage.spinefinder.toys import Bright, Named, column, scan
from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.discs import gap_mm, ordinal
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.readers.spinefinder import NO_SPINE, STEP, SpineFinder, tiles
from vertebra_ml.two_stage.spinefinder.grid import Grid
from vertebra_ml.two_stage.spinefinder.votes import (
    APART,
    Candidate,
    consistent,
    counted,
)
from vertebra_ml.volume import Volume

FEW = {"votes": 0.1, "votes_least": 100.0}  # the toys' networks name no edges
READER = SpineFinder(Bright(), Named(), FEW)


@pytest.mark.parametrize(
    ("levels", "options"),
    [
        (("T11", "T12", "L1", "L2"), {}),
        (("T12", "T13", "L1", "L2"), {"orientation": "LPI"}),
        (("L3", "L4", "L5", "L6"), {"spacing": (0.9, 1.1, 5.0), "orientation": "SAR"}),
        (("C5", "C6", "C7", "T1"), {"spacing": (1.0, 1.0, 1.0)}),
    ],
)
def test_a_column_is_named_at_its_places(levels, options) -> None:  # type: ignore[no-untyped-def]
    marks = column(*levels)
    reading = READER.read(scan(marks, **options))
    assert reading.levels == levels
    np.testing.assert_allclose(reading.points_mm, marks.points_mm, atol=2.5)
    assert (reading.scores > 0.1).all()
    assert (reading.scores <= 1).all()
    assert np.isnan(reading.spread_mm).all()
    assert reading.warnings == ()


@pytest.mark.parametrize("hu", [-1000, 40])
def test_an_empty_detection_is_an_answer(hu: int) -> None:
    volume = Volume(np.full((30, 30, 30), hu, dtype=np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    reading = READER.read(volume)
    assert reading.levels == ()
    assert reading.points_mm.shape == (0, 3)
    assert reading.warnings == (NO_SPINE,)


def test_a_scan_smaller_than_a_tile_is_read() -> None:
    marks = Landmarks.of({"L3": (0, 0, 0)})
    reading = READER.read(scan(marks, half=(24.0, 24.0, 24.0)))
    assert reading.levels == ("L3",)


def test_tiles_cover_every_voxel_once() -> None:
    grid = Grid(np.zeros(3), (70, 32, 85))
    seen = np.zeros(grid.shape, dtype=int)
    for start, place in tiles(grid):
        seen[place] += 1
        assert [p.start - s for p, s in zip(place, start, strict=True)] == [16, 16, 20]
        assert all(p.stop - p.start <= s for p, s in zip(place, STEP, strict=True))
    assert (seen == 1).all()


def test_tiles_without_bone_are_not_looked_at() -> None:
    detection = Bright()
    SpineFinder(detection, Named(), FEW).read(scan(Landmarks.empty()))
    assert detection.calls == 0


def test_medians_and_counts_are_those_of_the_voxels() -> None:
    rng = np.random.default_rng(1)
    votes = rng.choice(
        np.array([0, ordinal("T1"), ordinal("L6")], dtype=np.uint8), (30, 31, 40), p=[0.2, 0.3, 0.5]
    )
    found = counted(votes, 0.4, 1)
    assert [level for level, _, _ in found] == ["T1", "L6"]
    for level, middle, count in found:
        voxels = np.argwhere(votes == ordinal(level))
        assert count == len(voxels)
        np.testing.assert_allclose(middle, np.median(voxels, axis=0))
    assert [level for level, _, _ in counted(votes, 0.4, 15_000)] == ["L6"]
    assert not counted(votes, 2.0, 1)


def test_even_counts_have_the_mean_of_the_middle_two() -> None:
    votes = np.zeros((12, 6, 6), dtype=np.uint8)
    votes[:2] = ordinal("C1")
    votes[10:] = ordinal("C1")
    ((_, middle, _),) = counted(votes, 0.01, 1)
    np.testing.assert_allclose(middle, (5.5, 2.5, 2.5))


@settings(max_examples=60)
@given(st.lists(
    st.tuples(st.sampled_from(LEVELS), st.floats(-100, 100), st.integers(1, 1000)),
    max_size=6, unique_by=lambda row: row[0],
))  # fmt: skip
def test_the_kept_are_the_best_of_all_columns(rows) -> None:  # type: ignore[no-untyped-def]
    given_ = [Candidate(level, np.array([0.0, 0.0, z]), votes) for level, z, votes in rows]
    kept, dropped = consistent(given_)

    def holds(chosen) -> bool:  # type: ignore[no-untyped-def]
        return all(
            a.point_mm[2] - b.point_mm[2] >= APART * gap_mm(a.level)
            for a, b in itertools.pairwise(chosen)
        )

    ordered = sorted(given_, key=lambda c: RANK[c.level])
    best = max(
        sum(c.votes for c in chosen)
        for n in range(len(ordered) + 1)
        for chosen in itertools.combinations(ordered, n)
        if holds(chosen)
    )
    assert holds(kept)
    assert sum(c.votes for c in kept) == best
    assert len(kept) + len(dropped) == len(given_)


def test_a_second_name_for_one_vertebra_is_dropped_with_a_warning() -> None:
    class Torn(Named):
        def predict_on_batch(self, values):  # type: ignore[no-untyped-def]
            levels = super().predict_on_batch(values)
            third = np.indices(levels.shape)[1] % 3 == 0
            return np.where((np.rint(levels) == ordinal("L1")) & third, ordinal("L3"), levels)

    reading = SpineFinder(Bright(), Torn(), FEW).read(scan(column("T11", "T12", "L1")))
    assert reading.levels == ("T11", "T12", "L1")
    assert any(line.startswith("L3: ") for line in reading.warnings)
