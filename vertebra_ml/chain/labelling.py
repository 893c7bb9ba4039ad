"""The way through: candidates in, names with probabilities out."""

from dataclasses import dataclass

import numpy as np

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.chain.candidates import Candidates, Floats, head_to_foot
from vertebra_ml.chain.evidence import ROOM_MM3, own_words, persons, step_words
from vertebra_ml.chain.statistics import Statistics, shipped
from vertebra_ml.chain.sums import Column, best_labelling, posteriors

SHOWN = 3
"""Levels that a doubt names."""


@dataclass(frozen=True, eq=False)
class Labelling:
    """Names of the candidates, in their own order.

    Parameters
    ----------
    levels : a name each, empty for a candidate that is judged no vertebra.
    probabilities : (n,) that this is right, in the light of the whole column.
    chances : (n, 26) of each of ``anatomy.LEVELS``; the rest up to 1 is "no vertebra".
    sure : the least probability of a name that may be trusted.
    """

    levels: tuple[str, ...]
    probabilities: Floats
    chances: Floats
    sure: float

    @property
    def can_tell(self) -> bool:
        """Whether the column shows which vertebrae these are."""
        return self.confidence >= self.sure

    @property
    def confidence(self) -> float:
        """The median probability of the names, 1 where there is none."""
        named = self._named()
        return float(np.median(self.probabilities[named])) if named else 1.0

    def doubt(self) -> str:
        """Return in words what the middle candidate can be; empty where none is named."""
        named = self._named()
        if not named:
            return ""
        middle = named[len(named) // 2]
        order = np.argsort(-self.chances[middle], kind="stable")[:SHOWN]
        said = [f"{LEVELS[i]} ({self.chances[middle, i]:.0%})" for i in order]
        return f"cannot tell which vertebrae these are: candidate {middle} is {' or '.join(said)}"

    def _named(self) -> list[int]:
        return [number for number, level in enumerate(self.levels) if level]


def label(candidates: Candidates, statistics: Statistics | None = None) -> Labelling:
    """Return the most probable consistent labelling: the one with most names right on average.

    Exact: every labelling that goes down the column by steps over at most three missing vertebrae
    is weighed, with T13, L6 and T12 absent, and candidates that are no vertebra.
    """
    statistics = statistics or shipped()
    column = weighed(candidates, statistics)
    return labelled(candidates, column, posteriors(column)[0], statistics)


def labelled(
    candidates: Candidates, column: Column, chances: Floats, statistics: Statistics
) -> Labelling:
    """Return the best labelling by (n, P) ``chances`` of ``column``, head to foot."""
    order = head_to_foot(candidates)
    places = best_labelling(chances, column.above, column.below)
    levels, own = [""] * len(candidates), np.empty(len(candidates))
    vertebrae = np.zeros((len(candidates), len(LEVELS)))
    vertebrae[order] = chances[:, : len(LEVELS)]
    for row, candidate in enumerate(order):
        named = 0 <= places[row] < len(LEVELS)
        levels[candidate] = LEVELS[places[row]] if named else ""
        none = 1 - vertebrae[candidate].sum()
        own[candidate] = vertebrae[candidate, places[row]] if named else none
    return Labelling(tuple(levels), np.clip(own, 0, 1), vertebrae, statistics.sure)


def weighed(candidates: Candidates, statistics: Statistics) -> Column:
    """Return the column's evidence, candidates head to foot."""
    known = persons(statistics)
    order = head_to_foot(candidates)
    steps, pairs = step_words(candidates.points_mm[order], statistics)
    return Column(
        own_words(candidates, order, statistics),
        steps,
        pairs,
        known.ways.above,
        known.ways.below,
        known.starts - np.log(ROOM_MM3),
        known.stops,
    )
