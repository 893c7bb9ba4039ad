"""Names from two networks that may each be wrong for a whole column: one honest answer.

What a network says of the candidates of one column stands and falls together: where it is a level
off, it is so from the first to the last. So its whole word on a column is either worth something
or, with a chance of its own (``WORTHLESS`` if none is known), nothing. The chain is summed in each
of these cases, and they weigh as much as they explain: networks that agree make each other certain.
Of networks that contradict each other one is wrong however sure it is: both are never believed at
once, how sure decides little, how often each is wrong decides the rest, and both readings stay
standing. And where no network recognises the vertebrae that the sums make of their words, distances
and order have made a certainty of weak hints: such an answer is believed in part only, the rest is
left to all levels alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.chain import Candidates, Labelling
from vertebra_ml.chain.candidates import head_to_foot
from vertebra_ml.chain.labelling import labelled, weighed
from vertebra_ml.chain.opinions import opinion_count, share
from vertebra_ml.chain.sums import posteriors
from vertebra_ml.two_stage import people

Doubles = NDArray[np.float64]

DOUBT: Final = 0.02
"""Added to what is said of each level at each candidate: no word rules a level out alone."""
WORTHLESS: Final = 0.1
"""Chance that a network's word on a whole column is worth nothing. A belief: measured on phantoms,
which both networks know, it would come out too small."""
READ: Final = 0.5
"""A network whose own names are on the whole less probable than this contradicts nobody, and names
that every network finds less probable than this are believed in part only."""


@dataclass(frozen=True, eq=False)
class Fused:
    """The names by all networks together, and by each ``alone``, in the order given.

    ``contradiction``: two of them can both tell the column, and name most of it differently.
    """

    together: Labelling
    alone: tuple[Labelling, ...]
    contradiction: bool

    @property
    def can_tell(self) -> bool:
        """Whether it is clear which vertebrae these are."""
        return self.together.can_tell and not self.contradiction

    def warnings(self) -> tuple[str, ...]:
        """Return a line for a contradiction, with all readings, and one for names in doubt."""
        lines = []
        if self.contradiction:
            readings = " in one, ".join(_ends(one.levels) for one in self.alone)
            lines.append(f"the two networks disagree: {readings} in the other")
        if not self.can_tell:
            lines.append(self.together.doubt())
        return tuple(lines)


def fused(
    points_mm: Doubles,
    words: Sequence[Doubles],
    worthless: Sequence[float] | Doubles | None = None,
) -> Fused:
    """Name candidates at (n, 3) RAS mm by what each network says of them.

    ``words`` are (n, 26) by network: how likely, 0..1, each level is there; rows need not sum to 1.
    ``worthless`` is the chance, by network, that its whole word is worth nothing.
    """
    odds = [WORTHLESS] * len(words) if worthless is None else worthless
    statistics, candidates = people.statistics(), Candidates(points_mm)
    column, order = weighed(candidates, statistics), head_to_foot(candidates)
    said = np.array([opinions(one)[order] for one in words])
    chances, explained, likely, alone = [], [], [], []
    cases = list(product((False, True), repeat=len(said)))
    for believed in cases:
        own = np.tensordot(np.array(believed, dtype=np.float64), said, axes=1)
        case = replace(column, own=column.own + own[:, :, None])
        chance, evidence = posteriors(case)
        worth = sum(
            np.log(1 - wrong if is_so else wrong)
            for is_so, wrong in zip(believed, odds, strict=True)
        )
        chances.append(chance)
        explained.append(evidence)
        likely.append(worth)
        if sum(believed) == 1:
            alone.append(labelled(candidates, case, chance, statistics))
    torn = contradict(alone)
    worths = np.array(explained) + np.array(likely)
    if torn:  # one of them is wrong from end to end, as sure as it is: its sureness is one opinion
        several = np.array([sum(believed) > 1 for believed in cases])
        one_word = np.array(explained) / opinion_count(len(points_mm))
        worths = one_word + np.where(several, -np.inf, likely)
    mixed = np.tensordot(np.exp(worths - logsumexp(worths)), np.array(chances), axes=1)
    together = labelled(candidates, column, mixed, statistics)
    trust = min(1.0, recognised(together.levels, words) / READ)
    if trust < 1:
        doubted = trust * mixed + (1 - trust) / mixed.shape[1]
        together = labelled(candidates, column, doubted, statistics)
    return Fused(together, tuple(alone[::-1]), torn)  # the last network's case came first


def recognised(levels: Sequence[str], words: Sequence[Doubles]) -> float:
    """Return how probable, on average, the network that likes these names best finds them.

    ``levels`` are names in the order of the rows of ``words``, empty for none; 1 where there is no
    name.
    """
    named = [row for row, level in enumerate(levels) if level]
    ranks = [RANK[levels[row]] for row in named]
    return max((float(one[named, ranks].mean()) for one in words if named), default=1.0)


def opinions(words: Doubles) -> Doubles:
    """Return (n, 26): logarithm of how much likelier a level is than if nothing were known.

    All that one network says of a column counts as ``opinion_count`` opinions.
    """
    doubted = words + DOUBT
    likelier = np.log(len(LEVELS) * doubted / doubted.sum(axis=1, keepdims=True))
    result: Doubles = share(len(words)) * likelier
    return result


def contradict(readings: Sequence[Labelling]) -> bool:
    """Return whether two readings, each probable by itself, name most of a column differently."""
    known = [one.levels for one in readings if one.confidence >= READ]
    return any(_differ(a, b) for i, a in enumerate(known) for b in known[:i])


def _differ(one: Sequence[str], other: Sequence[str]) -> bool:
    both = [(a, b) for a, b in zip(one, other, strict=True) if a and b]
    return 2 * sum(a != b for a, b in both) > len(both)


def _ends(levels: Sequence[str]) -> str:
    named = sorted((level for level in levels if level), key=RANK.__getitem__)
    return f"{named[0]} to {named[-1]}" if named else "nothing"
