"""How the people are built that the two stages meet: with a T13 now and then."""

from dataclasses import replace
from functools import cache
from typing import Final

from vertebra_ml.chain import Statistics, shipped

T13: Final = 5 / 1340
"""People with 13 pairs of ribs, https://synapse.koreamed.org/articles/1158507, table 1."""


@cache
def statistics() -> Statistics:
    """Return the shipped statistics with T13 as often as people have it.

    The truths that these were fitted to know no such name, so that theirs, 0.0003, says nothing.
    """
    fitted = shipped()
    rest = (1 - T13) / (1 - fitted.builds["T13"])
    builds = {name: chance * rest for name, chance in fitted.builds.items()}
    return replace(fitted, builds=builds | {"T13": T13})
