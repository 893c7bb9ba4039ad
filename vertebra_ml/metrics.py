"""Truth against prediction: one table, a row a case and level, and the numbers drawn from it.

A level counts as found right or wrong in two separate questions. *Presence*: is it in the scan at
all? Asked of every level that is labelled (present) or known to be absent; a visible level without
a label is in neither. *Place*: how far off is it? Asked of levels present and found only, so that
a missed level spoils presence and not the error. A level that is not told is said to be there, and
has no place: it is missed, and its presence is right or wrong.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml import intervals
from vertebra_ml.anatomy import RANK
from vertebra_ml.id_rates import levels_off
from vertebra_ml.landmarks import Prediction, Truth
from vertebra_ml.volume import Source

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Number = float | int | None
Numbers = dict[str, Number]

COLUMN_TYPES: Final[dict[str, str]] = {
    "case": "str", "group": "str", "level": "str", "present": "boolean", "found": "boolean",
    "error_mm": "float64", "dz_mm": "float64", "error_slices": "float64", "score": "float64",
    "levels_off": "float64", "slice_spacing_mm": "float64", "truth_z_mm": "float64",
    "z_mm": "float64",
}  # fmt: skip
"""Columns of the table and their pandas types; ``present`` is missing where it is not known,
``found`` where it is not told."""


RATES: Final[dict[str, tuple[str, intervals.Statistic]]] = {
    "gross_rate": ("gross", intervals.mean),
    "off_by_one_rate": ("off_by_one", intervals.mean),
    "presence_right": ("presence", intervals.mean),
}
STATISTICS: Final[dict[str, tuple[str, intervals.Statistic]]] = {
    f"{statistic.__name__}_{unit}": (unit, statistic)
    for unit in ("mm", "slices")
    for statistic in (intervals.mean, intervals.std, intervals.median, intervals.p90)
} | RATES
"""Each number: the question it is drawn from (a column of ``_columns``), and how."""


def score(
    case_id: str, group: str, truth: Truth, prediction: Prediction, source: Source
) -> list[dict[str, object]]:
    """Return one row for each level that the model was asked for, in ``COLUMN_TYPES``.

    ``present`` is True for a labelled level, False for one that is not in the scan, None for one
    that is visible without a label. ``error_mm`` is the distance to the truth, along z alone where
    either point is a height only; ``dz_mm`` is prediction minus truth along z (+ towards the head);
    ``error_slices`` is the distance between the two heights in slices of ``source``, with
    fractions. ``levels_off`` is how many labelled vertebrae lie between the answer and its truth
    (0: the nearest label is the right one; +1: the answer sits on the next one towards the feet);
    missing where no neighbour is labelled.
    """
    untold = prediction.untold
    asked = sorted(
        {*prediction.landmarks.labels, *prediction.missing, *untold}, key=RANK.__getitem__
    )
    known = dict(zip(prediction.missing, prediction.absent_scores, strict=False)) | dict(untold)
    rows = []
    for level in asked:
        row: dict[str, object] = dict.fromkeys(COLUMN_TYPES)
        row.update(case=case_id, group=group, level=level, score=known.get(level))
        row["present"] = _present(truth, level)
        row["found"] = None if level in untold else level in prediction.landmarks
        row["slice_spacing_mm"] = source.slice_spacing_mm
        if level in truth.landmarks:
            row["truth_z_mm"] = float(truth.landmarks[level][2])
        if level in prediction.landmarks:
            place = prediction.landmarks.labels.index(level)
            row["score"] = float(prediction.landmarks.scores[place])
            row["z_mm"] = float(prediction.landmarks[level][2])
            row.update(_errors(level, truth, prediction.landmarks[level], source))
        rows.append(row)
    return rows


def as_table(rows: Iterable[Mapping[str, object]]) -> "pd.DataFrame":
    """Return rows of ``score`` as a table of ``COLUMN_TYPES``, also where there are none."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(COLUMN_TYPES)).astype(COLUMN_TYPES)


def summarise(
    table: "pd.DataFrame", *, gross_mm: float, bootstrap: int, seed: int
) -> dict[str, Any]:
    """Return the numbers of the whole table, of each level, of each group, and of each level in it.

    Keys: ``overall``, ``levels`` {level: ...}, ``groups`` {group: ...}, ``group_levels``
    {group: {level: ...}}, and ``settings``. Each entry is flat (see ``numbers``), and holds None,
    never NaN, where a number cannot be known: so it is valid JSON.
    """

    def of(part: "pd.DataFrame") -> Numbers:
        return numbers(part, gross_mm=gross_mm, bootstrap=bootstrap, seed=seed)

    groups = dict(iter(table.groupby("group")))
    return {
        "overall": of(table),
        "levels": {level: of(part) for level, part in _by_level(table)},
        "groups": {group: of(part) for group, part in groups.items()},
        "group_levels": {
            group: {level: of(level_part) for level, level_part in _by_level(part)}
            for group, part in groups.items()
        },
        "settings": {
            "gross_mm": gross_mm,
            "bootstrap": bootstrap,
            "seed": seed,
            "confidence": intervals.CONFIDENCE,
        },
    }


def numbers(table: "pd.DataFrame", *, gross_mm: float, bootstrap: int, seed: int) -> Numbers:
    """Return counts, and each number with its bootstrap interval as ``_low`` and ``_high``.

    Counts: ``cases``, ``present``, ``absent``, ``n`` (present and found), ``gross``, ``missed``
    (present, not found), ``untold`` (there or not), ``invented`` (absent, found). Numbers: mean,
    std, median and p90 as ``..._mm`` and ``..._slices``; ``gross_rate`` (error > ``gross_mm``) and
    ``off_by_one_rate`` among present and found; ``presence_right`` among present and absent.
    Intervals are those of ``intervals``, over ``bootstrap`` draws of whole cases.
    """
    columns = _columns(table, gross_mm)
    answer: Numbers = dict(_counts(table, columns))
    codes = np.asarray(table.groupby(["group", "case"]).ngroup(), dtype=np.int64)
    draws = intervals.draw_cases(int(codes.max(initial=-1)) + 1, bootstrap, seed)
    for name, (column, statistic) in STATISTICS.items():
        answer[name], answer[f"{name}_low"], answer[f"{name}_high"] = intervals.estimate(
            columns[column], codes, draws, statistic, rate=name in RATES
        )
    return answer


def right(table: "pd.DataFrame", *, right_mm: float) -> Floats:
    """Return (rows,) 1 for a right answer, 0 for a wrong one, NaN where it cannot be judged.

    Right: found within ``right_mm`` of where it is, or said to be absent and absent. What is not
    told is not judged.
    """
    present, found = _boolean(table["present"]), _boolean(table["found"])
    near = table["error_mm"].to_numpy(dtype=np.float64) <= right_mm
    good = np.where(found == 1, (present == 1) & near, present == 0)
    return np.where(np.isnan(present) | np.isnan(found), np.nan, good)


def reliability(table: "pd.DataFrame", bins: int, *, right_mm: float) -> "pd.DataFrame":
    """Return how often answers of a score were right: a row for each of ``bins`` equal steps 0..1.

    Columns: ``low``, ``high`` (the step), ``n``, ``score`` (mean), ``right`` (share); a step
    without answers has ``n`` 0 and NaN. Answers without a score or a judgement are left out.
    """
    import pandas as pd

    scores, judged = table["score"].to_numpy(dtype=np.float64), right(table, right_mm=right_mm)
    known = np.isfinite(scores) & np.isfinite(judged)
    scores, judged = scores[known], judged[known]
    step = np.clip((scores * bins).astype(int), 0, bins - 1)
    n = np.bincount(step, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_score = np.bincount(step, scores, minlength=bins) / n
        share = np.bincount(step, judged, minlength=bins) / n
    edges = np.arange(bins + 1) / bins
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "n": n, "score": mean_score, "right": share}
    )


def worst(table: "pd.DataFrame", count: int) -> "pd.DataFrame":
    """Return the ``count`` worst rows: wrong presence first, then the largest errors."""
    present, found = _boolean(table["present"]), _boolean(table["found"])
    wrong = ~np.isnan(present) & (present != claimed(found))
    badness = np.where(wrong, np.inf, table["error_mm"].to_numpy(dtype=np.float64))
    order = np.argsort(-np.nan_to_num(badness, nan=-1.0, posinf=np.inf), kind="stable")
    judged = order[~np.isnan(badness[order])]
    return table.iloc[judged[:count]]


def claimed(found: Floats) -> Floats:
    """Return (rows,) 1 where a level is said to be in the scan, 0 where it is said not to be.

    ``found`` is 1, 0, or NaN where the level seems to be there and its place is not told.
    """
    return np.where(np.isnan(found), 1.0, found)


def _present(truth: Truth, level: str) -> bool | None:
    if level in truth.landmarks:
        return True
    return None if level in truth.visible else False


def _errors(level: str, truth: Truth, point_mm: Floats, source: Source) -> dict[str, object]:
    if level not in truth.landmarks:
        return {}
    step = point_mm - truth.landmarks[level]
    flat_step = np.nan_to_num(step)  # height only: no step is known along x and y
    voxels = np.linalg.solve(source.affine[:3, :3], flat_step)
    return {
        "error_mm": float(np.linalg.norm(flat_step)),
        "dz_mm": float(step[2]),
        "error_slices": float(abs(voxels[source.slice_axis])),
        "levels_off": levels_off(level, truth, point_mm),
    }


def _by_level(table: "pd.DataFrame") -> list[tuple[str, "pd.DataFrame"]]:
    levels = sorted(table["level"].unique(), key=RANK.__getitem__)
    return [(level, table[table["level"] == level]) for level in levels]


def _boolean(column: "pd.Series[Any]") -> Floats:
    values: Floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _columns(table: "pd.DataFrame", gross_mm: float) -> dict[str, Floats]:
    """Return (rows,) values of each question, NaN where it is not asked of a row."""
    present, found = _boolean(table["present"]), _boolean(table["found"])
    placed = (present == 1) & (found == 1)
    mm = np.where(placed, table["error_mm"].to_numpy(dtype=np.float64), np.nan)
    slices = np.where(placed, table["error_slices"].to_numpy(dtype=np.float64), np.nan)
    off = np.where(placed, table["levels_off"].to_numpy(dtype=np.float64), np.nan)
    return {
        "mm": mm,
        "slices": slices,
        "gross": np.where(np.isnan(mm), np.nan, mm > gross_mm),
        "off_by_one": np.where(np.isnan(off), np.nan, np.abs(off) == 1),
        "presence": np.where(np.isnan(present), np.nan, present == claimed(found)),
    }


def _counts(table: "pd.DataFrame", columns: Mapping[str, Floats]) -> dict[str, int]:
    present, found = _boolean(table["present"]), _boolean(table["found"])
    return {
        "cases": int(table.groupby(["group", "case"]).ngroups),
        "present": int((present == 1).sum()),
        "absent": int((present == 0).sum()),
        "n": int(np.isfinite(columns["mm"]).sum()),
        "gross": int(np.nansum(columns["gross"])),
        "missed": int(((present == 1) & (found != 1)).sum()),
        "untold": int(np.isnan(found).sum()),
        "invented": int(((present == 0) & (found == 1)).sum()),
    }
