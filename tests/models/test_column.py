"""One consistent column from levels read alone."""

from itertools import pairwise

import numpy as np
import pytest

from vertebra_ml.anatomy import GAP_MM, LEVELS, USUAL
from vertebra_ml.models.column import UPRIGHT, consistent, gap_between
from vertebra_ml.targets import gaussian

ROW_MM = 2.0
ROWS = 150
SIGMA_ROWS = 2.0


def spine(first: str, top_mm: float = 20.0) -> dict[str, float]:
    """Give fractional rows of usual levels from ``first`` down, at mean gaps."""
    rows, place = {}, top_mm / ROW_MM
    below = USUAL[USUAL.index(first) :]
    for upper, lower in pairwise([*below, "L6"]):
        rows[upper] = place
        place += UPRIGHT * gap_between(upper, lower)[0] / ROW_MM
    return {level: row for level, row in rows.items() if row < ROWS - 1}


def told(rows: dict[str, float], levels: tuple[str, ...] = LEVELS) -> np.ndarray:
    """Give distributions of a network that is right and sure of everything."""
    table = np.full((len(levels), ROWS + 1), 1e-6)
    for i, level in enumerate(levels):
        if level in rows:
            table[i, :ROWS] += gaussian(rows[level], ROWS, SIGMA_ROWS)
        else:
            table[i, -1] += 1.0
    return table / table.sum(axis=1, keepdims=True)


def answers(joint: np.ndarray, levels: tuple[str, ...] = LEVELS) -> dict[str, int]:
    """Give the rows of the levels that are more likely there than not."""
    return {
        level: int(np.argmax(joint[i, :-1])) for i, level in enumerate(levels) if joint[i, -1] < 0.5
    }


@pytest.mark.parametrize("first", ["C1", "T3", "T9", "L2"])
def test_what_is_consistent_stays(first: str) -> None:
    rows = spine(first)
    joint = consistent(told(rows), LEVELS, ROW_MM)
    assert joint.sum(axis=1) == pytest.approx(np.ones(len(LEVELS)))
    found = answers(joint)
    assert set(found) == set(rows)
    # The edge cuts the bells of the first and the last; the own bell is read for the exact row.
    assert all(abs(found[level] - row) <= 3 for level, row in rows.items())


def test_one_level_off_is_put_right_by_its_neighbours() -> None:
    rows = spine("T8")
    own = told(rows)
    wrong = LEVELS.index("T12")
    own[wrong] = told({"T12": rows["L1"]})[wrong]
    own[wrong] = 0.9 * own[wrong] + 0.1 * told(rows)[wrong]
    found = answers(consistent(own, LEVELS, ROW_MM))
    assert found["T12"] == pytest.approx(rows["T12"], abs=2)
    assert found["L1"] == pytest.approx(rows["L1"], abs=2)


def test_a_level_between_found_neighbours_is_not_absent() -> None:
    rows = spine("T10")
    own = told({level: row for level, row in rows.items() if level != "L1"})
    assert answers(consistent(own, LEVELS, ROW_MM))["L1"] == pytest.approx(rows["L1"], abs=3)


def test_nothing_told_is_nothing_found() -> None:
    assert answers(consistent(told({}), LEVELS, ROW_MM)) == {}


def test_a_lack_of_t12_is_believed_where_everything_says_so() -> None:
    rows = spine("T8")
    step = rows["L1"] - rows["T12"]
    moved = {
        level: row - step if level.startswith("L") else row
        for level, row in rows.items()
        if level != "T12"
    }
    found = answers(consistent(told(moved), LEVELS, ROW_MM))
    assert "T12" not in found
    assert found["L1"] == pytest.approx(moved["L1"], abs=1)


def test_two_levels_alone() -> None:
    levels = ("T12", "L3")
    rows = {level: row for level, row in spine("T11").items() if level in levels}
    found = answers(consistent(told(rows, levels), levels, ROW_MM), levels)
    assert found == {level: pytest.approx(row, abs=1) for level, row in rows.items()}


def test_gaps_add_up_and_variants_take_the_place_of_one() -> None:
    assert gap_between("T12", "L1") == pytest.approx(GAP_MM["T12", "L1"])
    assert gap_between("T12", "L2")[0] == pytest.approx(32.3 + 34.5)
    assert gap_between("L5", "L6")[0] == pytest.approx(36.6)
    assert gap_between("T12", "T13")[0] == pytest.approx(32.3)
    assert gap_between("T11", "L1", {"T12", "T13"})[0] == pytest.approx(32.3)
