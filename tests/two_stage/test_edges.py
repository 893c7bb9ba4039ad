"""Answers at the sides and ends of a file: what is kept and left out, and what is said of it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bodies import ORIENTATIONS
from vertebra_ml.config import load as params_of
from vertebra_ml.landmarks import ModelIdentity, Prediction
from vertebra_ml.two_stage.architectures import Reading
from vertebra_ml.two_stage.contract import Contract
from vertebra_ml.two_stage.edges import SEEN, drawn_in, margins
from vertebra_ml.two_stage.localiser import TwoStage
from vertebra_ml.two_stage.settings import Settings
from vertebra_ml.volume import Volume

SETTINGS = Settings.of(
    params_of(Path(__file__).parents[2] / "params.yaml").models.two_stage.model_dump()
)
CONTRACT = Contract("two_stage", SETTINGS, {}, 1, "", {})
HALF = np.array([50.0, 40.0, 30.0])
RADIUS = 5.0
ROW_MM = 3.0


def grid(orientation: str = "RAS") -> Volume:
    """Return 100 x 80 x 60 mm of air about the origin."""
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = np.array([1.0, 1.0, 1.5]) - HALF
    turned = Volume(np.full((50, 40, 20), -1000, dtype=np.int16), affine).reorient(orientation)
    return Volume(turned.array, turned.affine)


class Said:
    """A reader that says the same of every scan: L3 at one place."""

    def __init__(self, place: tuple[float, float, float], radius: float) -> None:
        self._place, self._radius = place, radius

    def read(self, volume: Volume) -> Reading:
        return Reading(
            ("L3",), np.array([self._place]), np.array([0.9]), np.array([self._radius])
        )  # fmt: skip


def answer(
    place: tuple[float, float, float], radius: float = RADIUS, orientation: str = "RAS"
) -> Prediction:
    model = TwoStage(Said(place, radius), CONTRACT, ModelIdentity("two_stage"))
    return model.locate(grid(orientation), "a")


def test_in_the_middle_nothing_is_said() -> None:
    found = answer((3.0, -4.0, 5.0))
    assert found.landmarks["L3"] == pytest.approx([3.0, -4.0, 5.0])
    assert found.warnings == ()


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAR"])
@pytest.mark.parametrize("place", [(46.0, 0, 0), (-46.0, 0, 0), (0, 36.0, 0), (0, -44.0, 0)])
def test_where_the_radius_reaches_beyond_a_side_the_level_is_not_in_the_scan(
    place: tuple[float, float, float], orientation: str
) -> None:
    found = answer(place, orientation=orientation)
    assert "L3" in found.missing
    assert found.warnings == ("L3: at a side of the scan, perhaps beyond it, so no place is told",)


def test_levels_at_a_side_share_one_line_and_those_beyond_an_end_another() -> None:
    places = [(46.0, 0.0, 25.0), (47.0, 0.0, 5.0), (0.0, 0.0, -20.0), (0.0, 0.0, -34.0)]
    read = Reading(("L1", "L2", "L3", "L4"), np.array(places), np.full(4, 0.9), np.full(4, RADIUS))
    reader = SimpleNamespace(read=lambda volume: read)
    found = TwoStage(reader, CONTRACT, ModelIdentity("two_stage")).locate(grid(), "a")
    assert found.landmarks.labels == ("L3",)
    assert found.warnings == (
        "L1 L2: at a side of the scan, perhaps beyond it, so no place is told",
        "L4: outside the scan, so no place is told",
    )


def test_a_name_that_would_be_a_guess_is_not_told_and_not_called_absent() -> None:
    places = [(0.0, 0.0, 25.0), (0.0, 0.0, 5.0), (46.0, 0.0, -15.0), (0.0, 0.0, -34.0)]
    chances = np.array([0.9, 0.49, 0.3, 0.3])
    read = Reading(("T13", "L1", "L2", "L3"), np.array(places), chances, np.full(4, RADIUS))
    reader = SimpleNamespace(read=lambda volume: read)
    careful = replace(CONTRACT, thresholds={"guess": 0.5})
    found = TwoStage(reader, careful, ModelIdentity("two_stage")).locate(grid(), "a")
    assert found.landmarks.labels == ("T13",)
    assert found.untold == {"L1": 0.49}
    assert {"L2", "L3"} < set(found.missing)
    assert found.warnings == (
        "a thirteenth thoracic vertebra (T13) was found",
        "L2: at a side of the scan, perhaps beyond it, so no place is told",
        "L3: outside the scan, so no place is told",
        "L1: seen, but named so unsurely that it would be a guess, so no place is told",
    )
    assert {row["level"]: row["found"] for row in found.rows()}["L1"] is None
    bold = TwoStage(reader, CONTRACT, ModelIdentity("two_stage")).locate(grid(), "a")
    assert bold.landmarks.labels == ("T13", "L1")  # a model that knows of no guesses tells all


def test_what_is_not_answered_is_no_anomaly_no_gap_and_no_doubt() -> None:
    places = [(0.0, 0.0, 20.0), (46.0, 0.0, 5.0), (47.0, 0.0, -15.0)]
    read = Reading(
        ("T11", "T13", "L6"), np.array(places), np.array([0.9, 0.2, 0.2]), np.full(3, RADIUS)
    )
    reader = SimpleNamespace(read=lambda volume: read)
    found = TwoStage(reader, CONTRACT, ModelIdentity("two_stage")).locate(grid(), "a")
    assert found.landmarks.labels == ("T11",)
    assert len(found.warnings) == 1


@pytest.mark.parametrize("place", [(44.0, 0, 0), (0, -34.0, 0)])
def test_farther_from_a_side_than_its_radius_it_is_answered(
    place: tuple[float, float, float],
) -> None:
    assert answer(place).landmarks["L3"] == pytest.approx(place)


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAR"])
@pytest.mark.parametrize(("z", "is_in"), [(29.5, True), (-29.5, True), (30.5, False), (-34, False)])
def test_at_an_end_the_place_alone_decides(z: float, is_in: bool, orientation: str) -> None:
    found = answer((2.0, 3.0, z), orientation=orientation)
    assert ("L3" in found.landmarks) == is_in
    assert found.warnings == (() if is_in else ("L3: outside the scan, so no place is told",))


@pytest.mark.parametrize(("place", "is_in"), [((0, 0, 29), 1), ((0, 0, 30.5), 0), ((49, 0, 0), 1),
                                              ((50.5, 0, 0), 0)])  # fmt: skip
def test_without_a_radius_the_place_alone_decides(
    place: tuple[float, float, float], is_in: int
) -> None:
    assert len(answer(place, np.nan).landmarks) == is_in


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAR"])
@pytest.mark.parametrize(
    ("z", "heat", "answered"),
    [
        (-29.5, 0.9, -29.5),  # inside: as it is, though not the middle of a slice
        (31.0, 0.9, 28.5),  # beyond the head: the first slice
        (-32.9, SEEN, -28.5),
        (31.0, SEEN - 0.01, 31.0),  # more likely not in the picture
        (30.1 + ROW_MM, 0.9, 30.1 + ROW_MM),
    ],
)
def test_a_vertebra_that_an_end_cuts_is_answered_in_the_outermost_slice(
    z: float, heat: float, answered: float, orientation: str
) -> None:
    places = np.array([[7.0, -3.0, z], [1.0, 2.0, 3.0]])
    found = drawn_in(grid(orientation).origin, places, np.array([heat, 1.0]), ROW_MM)
    np.testing.assert_allclose(found, [[7.0, -3.0, answered], [1.0, 2.0, 3.0]], atol=1e-6)
    assert places[0, 2] == z  # what was given is left alone


POINTS = st.tuples(*[st.floats(-60, 60) for _ in range(3)])


@given(POINTS, st.sampled_from(ORIENTATIONS))
def test_margins_are_those_of_the_box(point: tuple[float, float, float], orientation: str) -> None:
    """Against the plain distances to the six faces; the axis of slices is the file's."""
    source = grid(orientation).origin
    sides, ends = margins(source, np.array([point]))
    room = HALF - np.abs(point)
    assert sides[0] == pytest.approx(min(room[:2]), abs=1e-6)
    assert ends[0] == pytest.approx(room[2], abs=1e-6)
