"""What an evaluation leaves on disk and says on a terminal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml import metrics
from vertebra_ml.batch import Evaluation
from vertebra_ml.outputs import replace_text
from vertebra_ml.report import NONE, measured_on, standard_figures, write_report

if TYPE_CHECKING:
    import pandas as pd

TABLE, NUMBERS, PAGE = "table.csv", "metrics.json", "report.html"
TABLE_DIGITS: Final = 6

LINES: Final[tuple[tuple[str, str, str], ...]] = (
    # heading, number of the summary, format
    ("scans", "cases", "{:d}"),
    ("found", "n", "{:d}"),
    ("median mm", "median_mm", "{:.1f}"),
    ("mean mm", "mean_mm", "{:.1f}"),
    ("median slices", "median_slices", "{:.2f}"),
    ("gross", "gross_rate", "{:.1%}"),
    ("level off", "off_by_one_rate", "{:.1%}"),
    ("presence right", "presence_right", "{:.1%}"),
)


@dataclass(frozen=True)
class Measures:
    """How numbers are drawn from answers: gross beyond mm, draws of the bootstrap, their seed."""

    gross_mm: float
    bootstrap: int
    seed: int


def write_evaluation(
    folder: Path,
    found: Evaluation,
    measures: Measures,
    *,
    title: str,
    facts: Mapping[str, object],
    history: "pd.DataFrame | None" = None,
) -> dict[str, Any]:
    """Write ``table.csv``, ``metrics.json``, ``report.html`` and a picture of each worst case.

    Return the numbers, as ``metrics.summarise`` gives them. ``facts`` and ``history`` (of the
    training) go into the report, beside the model's identity and the counts of scans that failed
    or have no labels.
    """
    table = metrics.as_table(found.rows)
    summary = metrics.summarise(
        table, gross_mm=measures.gross_mm, bootstrap=measures.bootstrap, seed=measures.seed
    )
    replace_text(folder / TABLE, table.round(TABLE_DIGITS).to_csv(index=False, lineterminator="\n"))
    replace_text(folder / NUMBERS, json.dumps(summary, indent=2, allow_nan=False) + "\n")
    for picture in found.pictures:
        picture.save(folder / "worst")
    overlays = [picture.figure() for picture in found.pictures]
    figures = standard_figures(
        table, gross_mm=measures.gross_mm, overlays=overlays, history=history
    )
    write_report(
        folder / PAGE, title=title, summary=summary, table=table, figures=figures,
        facts={**_identity(found), **facts, **_counts(found)},
    )  # fmt: skip
    return summary


def in_words(found: Evaluation, summary: Mapping[str, Any]) -> str:
    """Return the numbers as a few aligned lines for a terminal."""
    rows = [["", *(heading for heading, _, _ in LINES)]]
    for name, entry in {**summary["levels"], "all": summary["overall"]}.items():
        rows.append([name, *(_said(entry[number], form) for _, number, form in LINES)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([measured_on(metrics.as_table(found.rows)), *lines])


def _identity(found: Evaluation) -> dict[str, object]:
    if not found.predictions:
        return {}
    model = found.predictions[0].model
    named = {"model": model.kind, "version": model.version, "run": model.run}
    named["data hash"] = model.data_hash
    return {name: value for name, value in named.items() if value}


def _counts(found: Evaluation) -> dict[str, object]:
    failed, bare = len(found.failures), len(found.unlabelled)
    return {"scans that failed": failed, "scans without labels": bare}


def _said(value: float | None, form: str) -> str:
    return NONE if value is None else form.format(value).replace("%", " %")
