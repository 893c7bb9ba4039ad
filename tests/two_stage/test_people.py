"""A thirteenth thoracic vertebra is rare, and is named where both networks see one."""

from itertools import pairwise

import numpy as np

from vertebra_ml.anatomy import GAP_MM, LEVELS, RANK
from vertebra_ml.chain import shipped
from vertebra_ml.two_stage.fusion import fused
from vertebra_ml.two_stage.people import T13, statistics

THIRTEEN = ("T8", "T9", "T10", "T11", "T12", "T13", "L1", "L2", "L3", "L4", "L5")
USUAL = ("T7", *THIRTEEN[:5], *THIRTEEN[6:])


def named(levels: tuple[str, ...], sure: float) -> tuple[str, ...]:
    """Name a column of eleven of which both networks say these levels."""
    gaps_mm = [GAP_MM[pair][0] for pair in pairwise(USUAL)]
    z_mm = -np.concatenate([[0.0], np.cumsum(gaps_mm)])
    points = np.column_stack([np.zeros_like(z_mm), np.zeros_like(z_mm), z_mm])
    words = np.full((len(levels), len(LEVELS)), (1 - sure) / (len(LEVELS) - 1))
    words[np.arange(len(levels)), [RANK[level] for level in levels]] = sure
    return fused(points, (words, words)).together.levels


def test_chances_of_builds_keep_their_sum_and_the_rest_is_as_fitted() -> None:
    ours, fitted = statistics(), shipped()
    assert ours.builds["T13"] == T13
    np.testing.assert_allclose(sum(ours.builds.values()), sum(fitted.builds.values()))
    assert ours.builds["L6"] / ours.builds["usual"] == fitted.builds["L6"] / fitted.builds["usual"]
    assert ours.weights == fitted.weights
    assert statistics() is ours  # the chain keeps what it derives from one object


def test_a_thirteenth_thoracic_vertebra_that_both_networks_see_is_named() -> None:
    assert named(THIRTEEN, 0.3) == THIRTEEN


def test_none_is_named_where_they_see_a_usual_column() -> None:
    assert named(USUAL, 0.3) == USUAL
