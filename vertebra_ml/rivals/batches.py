"""Columns and their rivals as flat arrays, so that one pass weighs many columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.chain.candidates import Ints
from vertebra_ml.chain.statistics import STATIONS
from vertebra_ml.rivals.columns import Rivals
from vertebra_ml.rivals.inputs import Singles

WORDS: Final = len(LEVELS) + len(STATIONS)
"""What the network says of each candidate: a number for each level, then for each station."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One column: what is seen, its rivals, and how far each is right.

    Parameters
    ----------
    inputs : (m, 14), see ``inputs.inputs_of``.
    rivals : ``k`` of them.
    hits : (k,) how many true vertebrae's candidates each rival names right.
    truths : how many true vertebrae have a candidate; 0 where no truth is known.
    """

    inputs: Singles
    rivals: Rivals
    hits: Ints
    truths: int

    @property
    def right(self) -> NDArray[np.bool_]:
        """(k,) those with the most names right, if that is more than half of the truth."""
        result: NDArray[np.bool_] = (self.hits == self.hits.max()) & (2 * self.hits > self.truths)
        return result

    @property
    def levels(self) -> Ints:
        """(m,) the levels of the first right rival, -1 where there is none."""
        right, named = self.right, self.rivals.levels
        return named[right.argmax()] if right.any() else np.full(named.shape[1], -1)


@dataclass(frozen=True, eq=False)
class Batch:
    """``s`` columns with ``n`` candidates and ``r`` rivals in all.

    Parameters
    ----------
    inputs, column, levels : (n, 14), (n,), (n,): of which column a candidate is, its true level.
    first, sizes : (s,) each column's first candidate and how many it has.
    cells, rival : (e,) which word, of ``n * WORDS``, counts for which rival.
    rival_column, builds, log_weights, right : (r,), see ``Rivals`` and ``Lesson``.
    first_rival : (s,).
    """

    inputs: Singles
    column: Ints
    levels: Ints
    first: Ints
    sizes: Ints
    cells: Ints
    rival: Ints
    rival_column: Ints
    builds: Ints
    log_weights: Singles
    right: NDArray[np.bool_]
    first_rival: Ints


def batch_of(lessons: Sequence[Lesson]) -> Batch:
    """Return the columns together, in their order."""
    sizes = np.array([len(lesson.inputs) for lesson in lessons])
    counts = np.array([len(lesson.hits) for lesson in lessons])
    first, first_rival = sizes.cumsum() - sizes, counts.cumsum() - counts
    number = np.arange(len(lessons))
    cells = [_cells(each.rivals) + at * WORDS for each, at in zip(lessons, first, strict=True)]
    per_rival = np.repeat(2 * sizes, counts)
    every = [lesson.rivals for lesson in lessons]
    return Batch(
        np.concatenate([lesson.inputs for lesson in lessons]),
        np.repeat(number, sizes),
        np.concatenate([lesson.levels for lesson in lessons]),
        first,
        sizes,
        np.concatenate(cells),
        np.repeat(np.arange(counts.sum()), per_rival),
        np.repeat(number, counts),
        np.concatenate([each.builds for each in every]),
        np.concatenate([each.log_weights for each in every]).astype(np.float32),
        np.concatenate([lesson.right for lesson in lessons]),
        first_rival,
    )


def _cells(rivals: Rivals) -> Ints:
    """Return (k * 2 m,) which words count, of ``m * WORDS``, rival by rival."""
    at = np.arange(len(rivals.used)) * WORDS
    cells = np.concatenate([at + rivals.levels, at + len(LEVELS) + rivals.stations], axis=1)
    return cells.ravel()
