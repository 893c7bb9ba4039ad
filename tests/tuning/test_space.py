"""What is tried: dotted names, short trials, faults named before anything is trained."""

from pathlib import Path

import pytest

from tests.tuning import toys
from vertebra_ml.config import load
from vertebra_ml.errors import ModelError
from vertebra_ml.tuning.space import Space, tidy

ROOT = Path(__file__).parents[2]


@pytest.fixture
def two_stage() -> Space:
    params = load(ROOT / "params.yaml")
    return Space("two_stage", params.models.two_stage, params.tuning.two_stage)


@pytest.mark.parametrize("kind", ["slice_spotter", "two_stage"])
def test_what_params_yaml_asks_for_may_be_tried(kind: str) -> None:
    params = load(ROOT / "params.yaml")
    space = Space(kind, getattr(params.models, kind), getattr(params.tuning, kind))
    space.check()
    assert space.first() == space.current()


def test_a_trial_is_short_and_takes_the_values(two_stage: Space) -> None:
    settings = two_stage.settings({"identification.batch": 16, "detection.learning_rate": 0.003})
    assert settings.identification.batch == 16
    assert settings.detection.learning_rate == 0.003
    assert settings.identification.epochs == two_stage.search.short["identification.epochs"]
    assert settings.identification.patience == two_stage.section.identification.patience


def test_hyperband_gives_each_network_its_part(two_stage: Space) -> None:
    half = {"tuner/epochs": two_stage.epochs / 2, "tuner/round": 1, "tuner/trial_id": "0001"}
    settings = two_stage.settings(half)
    assert (settings.detection.epochs, settings.identification.epochs) == (2, 5)
    assert two_stage.chosen(half) == {}


def test_numbers_are_those_that_can_be_typed() -> None:
    assert tidy(0.00123456789) == 0.001235
    assert toys.space().chosen({"rate": 0.123456, "batch": 4}) == {"rate": 0.1235, "batch": 4}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"pace": {"low": 1, "high": 2}}, "key 'pace'"),
        ({"rate.of": {"low": 1, "high": 2}}, "key 'rate.of'"),
        ({"rate": {"low": 2, "high": 1}}, "linear range from 2 to 1"),
        ({"rate": {"low": 0, "high": 1, "scale": "log"}}, "log range from 0 to 1"),
        ({"batch": {"choices": ["many"]}}, "batch: "),
    ],
)
def test_a_fault_is_named_before_the_search(space: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=r"tuning.slice_spotter: found .*" + said):
        toys.space(space=space).check()


def test_settings_outside_of_the_space_are_no_first_trial() -> None:
    assert toys.space().first() == {"rate": 0.5, "batch": 4}
    assert toys.space(space={"batch": {"choices": [2, 8]}}).first() == {}
