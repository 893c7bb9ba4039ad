"""What real columns are like, as numbers: read from ``statistics.json``, made by ``chain.fit``.

Shapes and steps are kept by where a vertebra lies between skull and sacrum in 24 vertebrae, its
*station*, since the sacrum shapes the vertebrae above it however many there are: the last of four
or of six lumbar vertebrae looks as L5 does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from vertebra_ml.anatomy import LEVELS, RANK, USUAL
from vertebra_ml.chain.candidates import SHAPE, Floats, Ints

STATIONS: Final = USUAL
STEPS: Final = tuple(pairwise(STATIONS))
STEP: Final = ("forward", "up")
"""Measures of a step down the column that vary together with the person, mm."""

FEATURES: Final = (
    *(f"{upper}-{lower} {name}" for upper, lower in STEPS for name in STEP),
    *(f"{station} {name}" for station in STATIONS for name in SHAPE),
)
FEATURE: Final = {name: number for number, name in enumerate(FEATURES)}
STEP_ROWS: Final = np.array([[FEATURE[f"{a}-{b} {name}"] for name in STEP] for a, b in STEPS])
SHAPE_ROWS: Final = np.array([[FEATURE[f"{s} {name}"] for name in SHAPE] for s in STATIONS])

RIVALS: Final = np.array([-3.66, -3.3, -2.94, -2.2, -1.1, 0.0, 1.4])
HEIGHTS: Final = np.array([0.0, 2.2, 3.9])
CELLS: Final = 4 * (len(RIVALS) + 1) * (len(HEIGHTS) + 1)
LOW: Final = 21.5
"""Station, between L3 and L4, from which shapes and steps change fast."""
FEW_BELOW: Final = 4
"""With fewer candidates below, a network saw too little of the column to count from its end."""

SEGMENT_PRIOR: Final = 6.0
"""Spines' worth of belief that a level looks as in the table behind its own: in other columns,
or in its whole segment."""
CELL_PRIOR: Final = 0.02
NEAR_THE_LAST_RIB: Final = ("T11", "T12", "T13", "L1", "L2")
NONE_PRIOR: Final = 0.1
"""Candidates' worth of belief, per cell, that what is no vertebra can look like anything."""


@dataclass(frozen=True)
class Weights:
    """How far each kind of evidence is believed, since the measures of one column err together.

    Parameters
    ----------
    segment : exponent on what segment probabilities say.
    step : how much of a step's small misfit counts.
    shape, shape_low : factors on the spread of shapes; the second near the sacrum, where they are
        unlike all others (``LOW``).
    surplus, missed : added to the logarithm of the chance of a candidate that is no vertebra, and
        of a vertebra without a candidate.
    level : exponent on level scores; below 1 for a network that is surer than it is right.
    """

    segment: float
    step: float
    shape: float
    shape_low: float
    surplus: float
    missed: float
    level: float


@dataclass(frozen=True, eq=False)
class Statistics:
    """Numbers of real columns; ``F`` features in the order of ``FEATURES``.

    Parameters
    ----------
    mean, noise : (F,) mm: mean, and the SD that the person does not explain.
    loadings : (F, factors) mm per SD of what is common to one person.
    sideways : (23,) SD of a step to the side, mm.
    segments : (2, 3, 27, CELLS) chance of each cell of ``segment_cells``: with many or few
        candidates below; in columns of 5, 6, 4 lumbar vertebrae; by level, the last: no vertebra.
    pedicles : (25,) chance that both pedicles are seen, by station; the last: no vertebra.
    starts, stops : (24,) chance that a column begins at a station; that it ends where it is.
    missed : chance that a vertebra within the column has no candidate.
    surplus : how many candidates of a spine are no vertebra, on average.
    builds : how often each of ``builds.BUILDS`` is met.
    weights, sure : see ``Weights``; the least probability of names that may be trusted.
    """

    mean: Floats
    noise: Floats
    loadings: Floats
    sideways: Floats
    segments: Floats
    pedicles: Floats
    starts: Floats
    stops: Floats
    missed: float
    surplus: float
    builds: Mapping[str, float]
    weights: Weights
    sure: float

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Statistics":
        """Read the content of ``statistics.json``."""
        arrays = ("mean", "noise", "loadings", "sideways", "pedicles", "starts", "stops")
        return cls(
            **{name: np.array(content[name], dtype=np.float64) for name in arrays},
            segments=_smoothed(content["segments"]),
            missed=content["missed"],
            surplus=content["surplus"],
            builds=content["builds"],
            weights=Weights(**content["weights"]),
            sure=content["sure"],
        )


@cache
def shipped() -> Statistics:
    """Return the statistics that lie beside this file."""
    path = Path(__file__).with_name("statistics.json")
    return Statistics.of(json.loads(path.read_text(encoding="utf-8")))


def segment_cells(segments: Floats) -> Ints:
    """Return (n,) cells of (n, 3) segment probabilities.

    A cell says which segment is likeliest, how likely it is, and how likely its neighbour is
    (of the thoracic one's neighbours the likelier).
    """
    clipped = np.clip(segments, 1e-6, 1 - 1e-6)
    logits = np.log(clipped / (1 - clipped))
    best = logits.argmax(axis=1)
    rival = np.where(best == 1, logits[:, ::2].max(axis=1), logits[:, 1])
    kind = np.where((best == 1) & (logits[:, 0] > logits[:, 2]), 3, best)
    height = np.digitize(logits.max(axis=1), HEIGHTS)
    pair = kind * (len(RIVALS) + 1) + np.digitize(rival, RIVALS)
    cells: Ints = pair * (len(HEIGHTS) + 1) + height
    return cells


def _smoothed(counts: Mapping[str, Mapping[str, int]]) -> Floats:
    """Return ``segments`` from counts by "few below, lumbar vertebrae, level" and cell.

    What lies below and how the column is built matters near the last rib only. There a table leans
    on that for any number below and on that for any column; elsewhere there is but one a level,
    which leans on its whole segment's.
    """
    tables = np.zeros((2, 3, len(LEVELS) + 1, CELLS))
    for key, cells in counts.items():
        few, lumbar, level = key.split()
        row = tables[int(few), (5, 6, 4).index(int(lumbar)), RANK.get(level, len(LEVELS))]
        for cell, count in cells.items():
            row[int(cell)] = count
    whole = tables.sum(axis=(0, 1))
    parts = {level: [RANK[p] for p in LEVELS if p[0] == level[0]] for level in LEVELS}
    whole[RANK["T13"]] = whole[RANK["T12"]]
    base = whole + CELL_PRIOR
    for level, own in parts.items():
        pool = whole[own].sum(axis=0)
        base[RANK[level]] += SEGMENT_PRIOR * pool / max(float(pool.sum()), 1.0)
    usual, near = _shares(base), [RANK[level] for level in NEAR_THE_LAST_RIB]
    by_build = _shares(tables.sum(axis=0) + CELL_PRIOR)
    shares = np.broadcast_to(usual, tables.shape).copy()
    mixed = tables + SEGMENT_PRIOR * (by_build + usual)
    shares[:, :, near] = _shares(mixed)[:, :, near]
    shares[:, :, -1] = _shares(whole[-1] + NONE_PRIOR)  # the same for all that it is held against
    return shares


def _shares(table: Floats) -> Floats:
    result: Floats = table / table.sum(axis=-1, keepdims=True)
    return result
