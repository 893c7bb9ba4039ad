"""The quality of a model as files: for ``dvc metrics``, for ``dvc plots``, and its verdict."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.stage import VALIDATION, write_text
from vertebra_ml import metrics
from vertebra_ml.limits import COLUMN_RULES, METRIC_RULES, Rule, bind, check_row, gate
from vertebra_ml.report import RELIABILITY_BINS

NUMBERS = ("cases", "n", "median_mm", "mean_mm", "p90_mm", "median_slices", "gross_rate",
           "off_by_one_rate", "presence_right")  # fmt: skip
"""What is compared between models at a glance."""

COLUMN_NUMBERS = ("scans", "labelled", "identified", "id_rate", "mean_mm", "median_mm",
                  "mean_penalised_mm", "all_right_rate", "off_by_one_rate")  # fmt: skip
"""... and of those that name whole columns."""

NOTHING_FOUND_MM = 1e6
"""Longer than any body: a median that does not exist is as bad as can be, and no gap in a table."""


NOTHING_NAMED = {"id_rate": 0.0, "mean_mm": NOTHING_FOUND_MM, "all_right_rate": 0.0,
                 "off_by_one_rate": 1.0}  # fmt: skip

Judged = tuple[list[dict[str, Any]], tuple[Rule, ...]]


def write_numbers(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write ``quality.json``: the decisive numbers over all and of each level.

    Of a model that names whole columns also those of its columns, under ``identification``.
    """
    entries = {"all": summary["overall"], **summary["levels"]}
    quality = {
        name: {number: entry[number] for number in NUMBERS} for name, entry in entries.items()
    }
    if "identification" in summary:
        whole = summary["identification"]["overall"]
        quality["identification"] = {number: whole[number] for number in COLUMN_NUMBERS}
    write_text(folder / "quality.json", json.dumps(quality, indent=1))


def write_plots(folder: Path, table: pd.DataFrame, gross_mm: float) -> None:
    """Write ``errors.csv`` (share of answers up to an error) and ``reliability.csv``."""
    errors = table.dropna(subset="error_mm").sort_values(["level", "error_mm", "case"])
    levels = errors.groupby("level")["case"]
    errors["share"] = (levels.cumcount() + 1) / levels.transform("size")
    columns = ["level", "share", "error_mm", "group", "case"]
    write_text(folder / "errors.csv", errors[columns].to_csv(index=False))
    bins = metrics.reliability(table, RELIABILITY_BINS, right_mm=gross_mm)
    write_text(folder / "reliability.csv", bins.dropna().to_csv(index=False))


def judge(
    folder: Path, summary: Mapping[str, Any], failures: list[str], thresholds: Mapping[str, Any]
) -> None:
    """Write ``verdict.json`` and run the gate ``metrics-<kind>``.

    One that finds slices is judged over all and at each level, one that names whole columns by the
    columns. ``thresholds`` is the section ``gate`` of the parameters.

    Raises GateError, after writing, where a threshold is missed or a scan was not answered.
    """
    rows, rules = _columns(summary, thresholds) or _levels(summary, thresholds)
    rows[0]["failed"] = len(failures)
    missed = [f"{f.case}: {f.line}" for row in rows for f in check_row(row, rules)]
    verdict = {"passed": not missed, "failures": missed}
    write_text(folder / "verdict.json", json.dumps(verdict, indent=1))
    gate({"Quality": (pd.DataFrame(rows), rules)}, name=f"metrics-{folder.name}", folder=VALIDATION)


def _levels(summary: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Judged:
    """Return what is judged of a model that finds slices: a row over all, then one a level."""
    entries = {"all": summary["overall"], **summary["levels"]}
    rows = [
        {"case": name, "failed": None}
        | {number: entry[number] for number in NUMBERS}
        | ({"median_mm": NOTHING_FOUND_MM} if entry["median_mm"] is None else {})
        for name, entry in entries.items()
    ]
    return rows, bind(METRIC_RULES, thresholds)


def _columns(summary: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Judged | None:
    """Return what is judged of a model that names whole columns: a row; None for another model."""
    if "identification" not in summary:
        return None
    whole = summary["identification"]["overall"]
    row = {"case": "all"} | {number: whole[number] for number in COLUMN_NUMBERS}
    row |= {number: worst for number, worst in NOTHING_NAMED.items() if row[number] is None}
    return [row], bind((METRIC_RULES[0], *COLUMN_RULES), thresholds["two_stage"])
