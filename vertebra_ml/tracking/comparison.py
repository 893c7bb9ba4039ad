"""A challenger held against the model in production, pair by pair: worse, better, or neither.

Both answered the same cases. Patients are drawn with repetition, the same ones for both models, and
each draw gives a difference; the middle 95 % of them are the interval of the difference (a paired
bootstrap, Efron 1979). Cases of one patient go together: they are alike, and are no independent
witnesses.

A measure is *worse* where its whole interval lies on the worse side, beyond ``RESOLUTION``; and
*worse (margin)* where the difference itself is larger than the margin that the parameters allow,
even if chance alone could have made it: few cases prove nothing, and must not wave a bad model
through. A challenger with one such measure is worse, whatever it does better.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml import intervals, metrics
from vertebra_ml.tracking.evidence import Scored, check_same_cases, shared_levels

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

WORSE, WORSE_BY_MARGIN, BETTER, NEITHER = "worse", "worse (margin)", "better", "no difference shown"
RESOLUTION: Final = {"median_mm": 0.01}
"""Differences that are none: answers are written to a thousandth of a mm, scans are a few mm a
slice. Rates are counted, and differ or do not."""
LESS_IS_BETTER: Final = {
    "gross_rate": True, "id_rate": False, "median_mm": True, "presence_right": False,
}  # fmt: skip
BLOCK: Final = 4_000_000
"""Weights held at once: 32 MB."""


@dataclass(frozen=True)
class Rule:
    """By what a challenger is judged.

    Parameters
    ----------
    gross_mm : an error beyond is gross.
    draws, seed : of the bootstrap.
    margin : for each of ``LESS_IS_BETTER``, how much worse is refused though chance may explain it;
        a share of 1, or mm.
    """

    gross_mm: float
    draws: int
    seed: int
    margin: Mapping[str, float]


@dataclass(frozen=True)
class Line:
    """One measure of both models; None where it cannot be known. Rates are shares of 1."""

    measure: str
    production: float | None
    challenger: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """What was found when two versions were held against each other."""

    production: str
    challenger: str
    cases: int
    patients: int
    lines: tuple[Line, ...]
    remarks: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Line, ...]:
        """The measures by which the challenger is worse."""
        return tuple(line for line in self.lines if line.verdict in (WORSE, WORSE_BY_MARGIN))

    @property
    def verdict(self) -> str:
        """``worse``, ``better`` or ``no difference shown``, of the model as a whole."""
        better = any(line.verdict == BETTER for line in self.lines)
        return WORSE if self.worse else (BETTER if better else NEITHER)


def compare(
    production: Scored, challenger: Scored, rule: Rule, patients: Mapping[str, str]
) -> Comparison:
    """Hold two versions against each other on the cases that both were measured on.

    ``patients`` names the patient of a case; a case that it does not name is a patient of its own.
    Levels that only the challenger answers do not count.

    Raises ModelError where the two were not measured on the same cases.
    """
    check_same_cases(production, challenger)
    first, second = shared_levels(production, challenger)
    names = sorted(set(zip(first.table["group"], first.table["case"], strict=True)))
    people = sorted({_person(key, patients) for key in names})
    number = {name: place for place, name in enumerate(people)}
    owner = {key: number[_person(key, patients)] for key in names}
    draws = intervals.draw_cases(len(people), rule.draws, rule.seed)
    lines = [
        _line(name, sides, draws, rule)
        for name, sides in _sides(first, second, owner, len(people), rule.gross_mm)
    ]
    return Comparison(
        production.version, challenger.version, len(names), len(people),
        tuple(line for line in lines if line is not None), _remarks(production, challenger),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Share:
    """A rate: how many of how many, by patient."""

    part: Floats
    whole: Floats

    def known(self) -> NDArray[np.bool_]:
        return self.whole > 0

    def __call__(self, weights: Whole) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ self.part) / (weights @ self.whole))


@dataclass(frozen=True, eq=False)
class _Median:
    """The median of values, each of a patient."""

    values: Floats
    owners: Whole
    people: int

    def known(self) -> NDArray[np.bool_]:
        return np.bincount(self.owners, minlength=self.people) > 0

    def __call__(self, weights: Whole) -> Floats:
        step = max(BLOCK // max(self.values.size, 1), 1)
        blocks = (weights[start : start + step] for start in range(0, len(weights), step))
        return np.concatenate(
            [intervals.median(self.values, block[:, self.owners]) for block in blocks]
        )


Side = _Share | _Median


def _sides(
    production: Scored,
    challenger: Scored,
    owner: Mapping[tuple[str, str], int],
    people: int,
    gross_mm: float,
) -> Iterator[tuple[str, tuple[Side, Side]]]:
    """Yield each measure with what it is of both models, in the order of ``LESS_IS_BETTER``."""
    both = [_of(each, owner, people, gross_mm) for each in (production, challenger)]
    for name in LESS_IS_BETTER:
        if all(name in each for each in both):
            yield name, (both[0][name], both[1][name])


def _of(
    each: Scored, owner: Mapping[tuple[str, str], int], people: int, gross_mm: float
) -> dict[str, Side]:
    table = each.table
    owners, present = _owners(table, owner), _number(table, "present")
    found, errors = _number(table, "found"), _number(table, "error_mm")
    placed = (present == 1) & (found == 1) & np.isfinite(errors)

    def share(asked: NDArray[np.bool_], yes: NDArray[np.bool_]) -> _Share:
        counts = [np.bincount(owners[rows], minlength=people) for rows in (asked & yes, asked)]
        return _Share(counts[0].astype(float), counts[1].astype(float))

    sides: dict[str, Side] = {
        "gross_rate": share(placed, errors > gross_mm),
        "median_mm": _Median(errors[placed], owners[placed], people),
        "presence_right": share(np.isfinite(present), present == metrics.claimed(found)),
    }
    if len(each.scans):
        place = _owners(each.scans, owner)
        counts = [
            np.bincount(place, _number(each.scans, column), minlength=people)
            for column in ("identified", "labelled")
        ]
        sides["id_rate"] = _Share(counts[0].astype(float), counts[1].astype(float))
    return sides


def _owners(table: "DataFrame", owner: Mapping[tuple[str, str], int]) -> Whole:
    keys = zip(table["group"], table["case"], strict=True)
    return np.array([owner[key] for key in keys], dtype=np.int64)


def _number(table: "DataFrame", column: str) -> Floats:
    return table[column].to_numpy(dtype=np.float64, na_value=np.nan)


def _line(name: str, sides: tuple[Side, Side], draws: Whole, rule: Rule) -> Line | None:
    """Return the line of a measure; None where neither model says anything of it."""
    once = np.ones((1, draws.shape[1]), dtype=np.int64)
    production, challenger = (float(side(once)[0]) for side in sides)
    if np.isnan(production) and np.isnan(challenger):
        return None
    if np.isnan(production) or np.isnan(challenger):  # one found nothing at all
        verdict = BETTER if np.isnan(production) else WORSE
        return Line(name, _known(production), _known(challenger), None, None, None, verdict)
    judged = int((sides[0].known() | sides[1].known()).sum())
    low, high = intervals.percentile_interval(sides[1](draws) - sides[0](draws), judged)
    difference = challenger - production
    verdict = _verdict(name, difference, low, high, rule.margin[name])
    return Line(name, production, challenger, difference, low, high, verdict)


def _verdict(
    name: str, difference: float, low: float | None, high: float | None, margin: float
) -> str:
    """Judge a difference, challenger minus production, and its interval (None: too few cases)."""
    sign = 1 if LESS_IS_BETTER[name] else -1
    if low is not None and high is not None:
        ends = sorted((sign * low, sign * high))  # positive is worse
        if ends[0] > RESOLUTION.get(name, 0):
            return WORSE
        if ends[1] < -RESOLUTION.get(name, 0):
            return BETTER
    return WORSE_BY_MARGIN if sign * difference > margin else NEITHER


def _person(key: tuple[str, str], patients: Mapping[str, str]) -> tuple[str, str]:
    """Return who a case is of: a named patient, or the case itself."""
    patient = patients.get(key[1])
    return ("patient", patient) if patient else key


def _remarks(production: Scored, challenger: Scored) -> tuple[str, ...]:
    more = sorted(set(challenger.table["level"]) - set(production.table["level"]))
    remarks = [f"not compared: {' '.join(more)}, which only the challenger answers"] * bool(more)
    if not (production.inputs and challenger.inputs):
        remarks.append(
            "same ids, levels and truths; that the images are the same is not on record for both"
        )
    return tuple(remarks)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
