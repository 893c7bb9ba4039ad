"""The quality of a model as files: for ``dvc metrics``, for ``dvc plots``, and its verdict."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.stage import VALIDATION, write_text
from vertebra_ml import metrics
from vertebra_ml.limits import METRIC_RULES, bind, check_row, gate
from vertebra_ml.report import RELIABILITY_BINS

NUMBERS = ("cases", "n", "median_mm", "mean_mm", "p90_mm", "median_slices", "gross_rate",
           "off_by_one_rate", "presence_right")  # fmt: skip
"""What is compared between models at a glance."""

NOTHING_FOUND_MM = 1e6
"""Longer than any body: a median that does not exist is as bad as can be, and no gap in a table."""


def write_numbers(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write ``quality.json``: the decisive numbers over all and of each level."""
    entries = {"all": summary["overall"], **summary["levels"]}
    quality = {
        name: {number: entry[number] for number in NUMBERS} for name, entry in entries.items()
    }
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
    """Write ``verdict.json`` and run the gate ``metrics-<kind>`` over all and over each level.

    Raises GateError, after writing, where a threshold is missed or a scan was not answered.
    """
    entries = {"all": summary["overall"], **summary["levels"]}
    rows = [
        {"case": name, "failed": len(failures) if name == "all" else None}
        | {number: entry[number] for number in NUMBERS}
        | ({"median_mm": NOTHING_FOUND_MM} if entry["median_mm"] is None else {})
        for name, entry in entries.items()
    ]
    rules = bind(METRIC_RULES, thresholds)
    missed = [f"{f.case}: {f.line}" for row in rows for f in check_row(row, rules)]
    verdict = {"passed": not missed, "failures": missed}
    write_text(folder / "verdict.json", json.dumps(verdict, indent=1))
    gate({"Quality": (pd.DataFrame(rows), rules)}, name=f"metrics-{folder.name}", folder=VALIDATION)
