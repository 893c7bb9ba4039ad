"""Small lessons and networks for tests: made-up columns, seeded."""

from functools import cache

import numpy as np

from tests.chain.columns import candidates
from vertebra_ml.anatomy import RANK, USUAL
from vertebra_ml.chain import label, shipped
from vertebra_ml.rivals.batches import Lesson
from vertebra_ml.rivals.columns import rivals
from vertebra_ml.rivals.inputs import inputs_of
from vertebra_ml.rivals.network import Reals, begin

SPANS = (("T8", "L5"), ("C3", "T9"), ("T11", "L1"))


@cache
def lessons() -> tuple[Lesson, ...]:
    """Return a lesson for each of ``SPANS``; the shortest has fewer candidates than a filter."""
    return tuple(_lesson(first, last) for first, last in SPANS)


def _lesson(first: str, last: str) -> Lesson:
    column, names = candidates(USUAL[USUAL.index(first) : USUAL.index(last) + 1])
    found = rivals(column, label(column), shipped())
    assert found is not None
    hits = (found.levels == [RANK[name] for name in names]).sum(axis=1)
    return Lesson(inputs_of(column, found), found, hits, len(names))


def network(channels: int = 5, size: type = np.float64) -> dict[str, Reals]:
    """Return small weights of which none is zero."""
    rng = np.random.default_rng(7)
    return {
        name: (value + 0.1 * rng.standard_normal(value.shape)).astype(size)
        for name, value in begin(rng, channels).items()
    }
