"""Numbers over many vertebrae and scans, each with its bootstrap interval."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml import intervals
from vertebra_ml.anatomy import RANK, region
from vertebra_ml.id_rates.vertebrae import IDENTIFIED_MM, Scan, Vertebra, judge

Floats = NDArray[np.float64]
Number = float | int | None
Numbers = dict[str, Number]

MISSED_MM: Final = 100.0
"""What a vertebra without an answer counts as in ``mean_penalised_mm``. Ours: no published value
was found. Three lumbar gaps: more than a name three levels off costs."""

RATES: Final[dict[str, str]] = {
    "id_rate": "identified",
    "id_rate_nearest": "nearest",
    "id_rate_challenge": "challenge",
    "id_rate_spinefinder": "spinefinder",
    "off_by_one_rate": "off_by_one",
    "id_rate_scans": "scan_rate",
    "all_right_rate": "all_right",
}
PER_SCAN: Final = ("scan_rate", "all_right")
"""Questions with one answer a scan; the others have one a vertebra."""
_OF_MM: Final[dict[str, tuple[str, intervals.Statistic]]] = {
    "mean_mm": ("mm", intervals.mean),
    "std_mm": ("mm", intervals.std),
    "median_mm": ("mm", intervals.median),
    "mean_penalised_mm": ("penalised", intervals.mean),
}
_OF_RATES: Final[dict[str, tuple[str, intervals.Statistic]]] = {
    name: (column, intervals.mean) for name, column in RATES.items()
}
STATISTICS: Final = _OF_MM | _OF_RATES
"""Each number: the question it is drawn from (a column of ``_columns``), and how."""


def summarise(scans: Sequence[Scan], *, bootstrap: int, seed: int) -> dict[str, Any]:
    """Return the numbers of all vertebrae, and of each region, group and level; see ``numbers``.

    Keys: ``overall``, ``regions``, ``groups``, ``levels``, ``settings``; no NaN, so it is valid
    JSON.
    """
    entries = [entry for scan in scans for entry in judge(scan)]

    def split(key: Callable[[Vertebra], str]) -> dict[str, Numbers]:
        parts: dict[str, list[Vertebra]] = {}
        for entry in sorted(entries, key=lambda entry: RANK[entry.level]):
            parts.setdefault(key(entry), []).append(entry)
        return {name: numbers(part, bootstrap=bootstrap, seed=seed) for name, part in parts.items()}

    groups = split(lambda entry: entry.group)
    return {
        "overall": numbers(entries, bootstrap=bootstrap, seed=seed),
        "regions": split(lambda entry: region(entry.level)),
        "groups": {name: groups[name] for name in sorted(groups)},
        "levels": split(lambda entry: entry.level),
        "settings": {"identified_mm": IDENTIFIED_MM, "missed_mm": MISSED_MM},
    }


def numbers(entries: Sequence[Vertebra], *, bootstrap: int, seed: int) -> Numbers:
    """Return counts, and each number with its bootstrap interval as ``_low`` and ``_high``.

    Counts: ``scans``, ``labelled``, ``answered`` (of these), ``identified``, ``missed``,
    ``invented``, ``all_right`` (scans). Rates over labelled vertebrae: ``id_rate`` and its three
    relatives (see ``Vertebra``); ``off_by_one_rate`` over those that have an answer. Over scans:
    ``id_rate_scans``, the mean of their rates, and ``all_right_rate``: every labelled vertebra
    identified, none invented. In mm: mean, std, median over identified vertebrae;
    ``mean_penalised_mm`` over all labelled ones, at ``MISSED_MM`` where there is no answer.

    Of a part (a region, a level), a scan's numbers are of that part alone. Intervals are those of
    ``intervals``, over draws of whole scans.
    """
    names = sorted({(entry.group, entry.case) for entry in entries})
    owners = np.array([names.index((each.group, each.case)) for each in entries], dtype=np.int64)
    columns = _columns(entries, owners, len(names))
    draws = intervals.draw_cases(len(names), bootstrap, seed)
    answer = _counts(entries, columns, len(names))
    for name, (column, statistic) in STATISTICS.items():
        each = np.arange(len(names)) if column in PER_SCAN else owners
        answer[name], answer[f"{name}_low"], answer[f"{name}_high"] = intervals.estimate(
            columns[column], each, draws, statistic, rate=name in RATES
        )
    return answer


def _columns(entries: Sequence[Vertebra], owners: NDArray[np.int64], scans: int) -> dict[str, Any]:
    """Return values of each question, NaN where it is not asked: (entries,), or (scans,)."""

    def asked(of: Iterable[Number | bool]) -> Floats:
        return np.array([np.nan if value is None else value for value in of], dtype=np.float64)

    labelled = asked(entry.labelled for entry in entries)
    identified = asked(entry.identified if entry.labelled else None for entry in entries)
    errors = asked(entry.error_mm for entry in entries)
    penalised = np.where(np.isnan(errors), MISSED_MM, errors)
    off = asked(entry.levels_off for entry in entries)
    count = np.bincount(owners, labelled, minlength=scans)
    right = np.bincount(owners, identified == 1, minlength=scans)
    invented = np.bincount(owners, labelled == 0, minlength=scans)
    return {
        "identified": identified,
        "nearest": asked(entry.nearest if entry.labelled else None for entry in entries),
        "challenge": asked(entry.challenge if entry.labelled else None for entry in entries),
        "spinefinder": asked(entry.spinefinder if entry.labelled else None for entry in entries),
        "mm": np.where(identified == 1, errors, np.nan),
        "penalised": np.where(labelled == 1, penalised, np.nan),
        "off_by_one": np.where(np.isnan(off), np.nan, np.abs(off) == 1),
        "scan_rate": np.divide(right, count, out=np.full(scans, np.nan), where=count > 0),
        "all_right": ((right == count) & (invented == 0)).astype(np.float64),
    }


def _counts(entries: Sequence[Vertebra], columns: Mapping[str, Floats], scans: int) -> Numbers:
    labelled = [entry for entry in entries if entry.labelled]
    answered = sum(entry.answered for entry in labelled)
    return {
        "scans": scans,
        "labelled": len(labelled),
        "answered": answered,
        "identified": sum(entry.identified for entry in labelled),
        "missed": len(labelled) - answered,
        "invented": len(entries) - len(labelled),
        "all_right": int(columns["all_right"].sum()),
    }
