"""Truths of one patient held against each other: moved by a level, or not."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.siblings import contradicted, pairs
from tests.chain.columns import candidates
from vertebra_ml.anatomy import USUAL
from vertebra_ml.chain.examples import Example

PEOPLE = {"back": "one", "belly": "one", "other": "two"}
LEVELS = USUAL[USUAL.index("T8") : USUAL.index("L4") + 1]


def example(name: str, moved: int = 0) -> Example:
    """Return T8 to L4 of one person, seen a little otherwise each time; named ``moved`` lower."""
    column, _ = candidates(LEVELS)
    seen = column.points_mm + 0.3 * np.random.default_rng(len(name)).standard_normal((9, 3))
    first = USUAL.index("T8") + moved
    return Example(name, replace(column, points_mm=seen), tuple(USUAL[first : first + 9]), seen)


def test_truths_that_agree() -> None:
    (pair,) = pairs([example("back"), example("belly"), example("other", 1)], PEOPLE)
    assert pair.names == ("back", "belly")
    assert pair.as_named < 1 < pair.moved
    assert not pair.contradicts


@pytest.mark.parametrize("moved", [1, -1])
def test_a_truth_a_level_off_contradicts_the_other(moved: int) -> None:
    found = contradicted([example("back"), example("belly", moved), example("other")], PEOPLE)
    assert found == {"back", "belly"}


def test_scans_with_little_in_common_say_nothing() -> None:
    short = example("belly")
    few = replace(short, levels=short.levels[:2], points_mm=short.points_mm[:2])
    assert not list(pairs([example("back"), few], PEOPLE))
