"""Figures of a model on labelled real scans, with the numbers that each is drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vertebra_ml import id_rates, metrics
from vertebra_ml.intervals import Floats

if TYPE_CHECKING:
    import pandas as pd

    from vertebra_ml.batch import Evaluation

RIGHT_MM: Final = 10.0
"""A place is right within this; half of the smallest lower thoracic gap."""


@dataclass(frozen=True)
class Share:
    """``count`` of ``of``; nothing is known of none."""

    count: int
    of: int

    @classmethod
    def where(cls, asked: Floats) -> "Share":
        """Count the ones among (n,) 0, 1 and NaN, which is not asked."""
        known = asked[np.isfinite(asked)]
        return cls(int((known == 1).sum()), int(known.size))

    @property
    def rate(self) -> float | None:
        """From 0 to 1, or None."""
        return self.count / self.of if self.of else None

    def __str__(self) -> str:
        return f"{100 * self.count / self.of:.0f} % ({self.count}/{self.of})" if self.of else NONE


@dataclass(frozen=True)
class Figures:
    """What a model was like on some scans.

    Parameters
    ----------
    scans : labelled scans among them.
    median_mm, p90_mm : of the distance to the label, where one was answered; 3-D where the model
        tells x and y, else of the height.
    median_slices, p90_slices : of the height, in slices of the scan.
    shift_mm : median of answered minus labelled height, + towards the head.
    within : answered no more than RIGHT_MM off, of all labelled (a missed one is not).
    gross : more than gross_mm off, of those answered.
    off_by_one : the label nearest to the answer is a neighbour's, of those answered that have a
        labelled neighbour.
    presence : found and labelled, or not found and not in the scan, of these two kinds; visible
        levels without a label are of neither. One that is not told is said to be in the scan.
    missed, invented : labelled and without a place; found and not in the scan.
    identified : as ``vertebra_ml.id_rates`` counts it, of all labelled; None of a model that tells
        heights alone.
    mean_mm : over the identified.
    doubted_gross, doubted_right : of the gross errors, and of answers within RIGHT_MM, those whose
        score lies below the model's warning threshold.
    """

    scans: int
    median_mm: float | None
    p90_mm: float | None
    median_slices: float | None
    p90_slices: float | None
    shift_mm: float | None
    within: Share
    gross: Share
    off_by_one: Share
    presence: Share
    missed: Share
    invented: Share
    identified: Share | None
    mean_mm: float | None
    doubted_gross: Share
    doubted_right: Share


NONE: Final = "-"
HEADINGS: Final = {
    "median_mm": "median mm", "p90_mm": "p90 mm", "median_slices": "median slices",
    "p90_slices": "p90 slices", "shift_mm": "shift mm", "within": "within 10 mm", "gross": "gross",
    "off_by_one": "off by one", "presence": "presence", "missed": "missed",
    "invented": "invented", "identified": "id rate", "mean_mm": "mean mm of id.",
    "doubted_gross": "gross doubted", "doubted_right": "right doubted",
}  # fmt: skip
DIGITS: Final = {"median_slices": 2, "p90_slices": 2}


def table(found: "Evaluation", levels: Sequence[str]) -> "pd.DataFrame":
    """Return the rows of ``metrics.score`` of these levels."""
    rows = metrics.as_table(found.rows)
    return rows[rows["level"].isin(list(levels))]


def figures(
    rows: "pd.DataFrame", scans: Sequence[id_rates.Scan], *, gross_mm: float, warning: float
) -> Figures:
    """Draw the figures of ``rows``; ``scans`` are those of the rows, empty for heights alone."""
    present, found = _numbers(rows["present"]), _numbers(rows["found"])
    placed = (present == 1) & (found == 1)
    mm = np.where(placed, _numbers(rows["error_mm"]), np.nan)
    slices = np.where(placed, _numbers(rows["error_slices"]), np.nan)
    off = np.where(placed, np.abs(_numbers(rows["levels_off"])), np.nan)
    doubted = _numbers(rows["score"]) < warning
    judged = [each for scan in scans for each in id_rates.judge(scan) if each.labelled]
    right = [each.error_mm for each in judged if each.identified]
    return Figures(
        scans=int(rows["case"].nunique()),
        median_mm=_percentile(mm, 50), p90_mm=_percentile(mm, 90),
        median_slices=_percentile(slices, 50), p90_slices=_percentile(slices, 90),
        shift_mm=_percentile(np.where(placed, _numbers(rows["dz_mm"]), np.nan), 50),
        within=Share.where(_asked(mm <= RIGHT_MM, present == 1)),
        gross=Share.where(_asked(mm > gross_mm, placed)),
        off_by_one=Share.where(_asked(off == 1, np.isfinite(off))),
        presence=Share.where(_asked(present == metrics.claimed(found), np.isfinite(present))),
        missed=Share.where(_asked(found != 1, present == 1)),
        invented=Share.where(_asked(found == 1, present == 0)),
        identified=Share(len(right), len(judged)) if scans else None,
        mean_mm=float(np.mean(right)) if right else None,
        doubted_gross=Share.where(_asked(doubted, mm > gross_mm)),
        doubted_right=Share.where(_asked(doubted, mm <= RIGHT_MM)),
    )  # fmt: skip


def cells(each: Figures) -> dict[str, str]:
    """Return every figure but the number of scans as text, by its heading."""
    return {
        HEADINGS[field.name]: _said(getattr(each, field.name), DIGITS.get(field.name, 1))
        for field in fields(each)
        if field.name in HEADINGS
    }


def _said(value: Any, digits: int) -> str:
    if value is None:
        return NONE
    return str(value) if isinstance(value, Share) else f"{value:.{digits}f}"


def _asked(answer: Any, asked: Any) -> Floats:
    return np.where(asked, np.asarray(answer, dtype=np.float64), np.nan)


def _numbers(column: "pd.Series[Any]") -> Floats:
    values: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _percentile(values: Floats, share: float) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, share)) if known.size else None
