"""What is said of a column that is not like most: variants and gaps among what is answered."""

import pytest

from vertebra_ml.two_stage.localiser import anomalies

LINES = {
    ("T11", "T12", "L1"): [],
    ("T12", "T13", "L1"): ["a thirteenth thoracic vertebra (T13) was found"],
    ("L4", "L5", "L6"): ["a sixth lumbar vertebra (L6) was found"],
    ("T10", "T11", "L1"): ["L1 follows T11: T12 is absent or has no ribs"],
    ("T4", "T6", "T7"): ["a gap: no vertebra was found between T4 and T6"],
    ("L2",): [],
    (): [],
}


@pytest.mark.parametrize("levels", LINES, ids=" ".join)
def test_lines(levels: tuple[str, ...]) -> None:
    assert anomalies(levels, levels) == LINES[levels]


@pytest.mark.parametrize(
    ("read", "answered"),
    [
        (("L4", "L5", "L6"), ("L4", "L5")),
        (("T4", "T5", "T6"), ("T4", "T6")),
        (("T11", "L1"), ("T11",)),
    ],
)
def test_what_is_not_answered_is_no_anomaly(
    read: tuple[str, ...], answered: tuple[str, ...]
) -> None:
    assert anomalies(read, answered) == []
