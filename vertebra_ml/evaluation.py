"""What an evaluation leaves on disk and says on a terminal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml import id_rates, metrics, report
from vertebra_ml.batch import Evaluation
from vertebra_ml.outputs import replace_text
from vertebra_ml.report import NONE, Measured, measured_on, standard_figures, write_report

if TYPE_CHECKING:
    import pandas as pd

TABLE, NUMBERS, PAGE = "table.csv", "metrics.json", "report.html"
SCANS, MODELS = "scans.csv", "models.csv"
TABLE_DIGITS: Final = 6

LINES: Final[tuple[tuple[str, str, str], ...]] = (
    # heading, number of the summary, format
    ("scans", "cases", "{:d}"),
    ("found", "n", "{:d}"),
    ("not told", "untold", "{:d}"),
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

    Return the numbers, as ``metrics.summarise`` gives them. Where the answers name columns, they
    hold ``identification`` too (``id_rates.summarise``), and ``scans.csv`` has a row a labelled
    scan. ``facts`` and ``history`` (of the training) go into the report, beside the model's
    identity and the counts of scans that failed or have no labels.
    """
    measured = measure(found, measures, title=title, facts=facts, history=history)
    _write_files(folder, found, measured)
    write_report(folder / PAGE, measured)
    return dict(measured.summary)


def write_comparison(
    folder: Path,
    models: Mapping[str, tuple[Path, Evaluation]],
    measures: Measures,
    *,
    title: str,
    facts: Mapping[str, object],
) -> dict[str, dict[str, Any]]:
    """Write ``report.html`` of several models side by side, and ``models.csv``: a row a model.

    ``models`` are, by the name to show, the folder of each and what it answered; the files of
    ``write_evaluation`` but its page go there. Return the numbers of each model.
    """
    shown: dict[str, Measured] = {}
    for name, (own, found) in models.items():
        about = {"asked for as": name, **facts}
        shown[name] = measure(found, measures, title=name, facts=about)
        _write_files(own, found, shown[name])
    rows = {name: decisive(shown[name], found) for name, (_, found) in models.items()}
    table = [{"model": name, **row} for name, row in rows.items()]
    replace_text(folder / MODELS, _csv(table, ("model", *next(iter(rows.values()), {}))))
    report.write_comparison(folder / PAGE, title, shown, rows)
    return {name: dict(measured.summary) for name, measured in shown.items()}


def measure(
    found: Evaluation,
    measures: Measures,
    *,
    title: str,
    facts: Mapping[str, object],
    history: "pd.DataFrame | None" = None,
) -> Measured:
    """Draw the numbers and the figures from what a model answered."""
    table = metrics.as_table(found.rows)
    summary = metrics.summarise(
        table, gross_mm=measures.gross_mm, bootstrap=measures.bootstrap, seed=measures.seed
    )
    columns = id_rates.name_columns(found.scans)
    if columns:
        summary["identification"] = id_rates.summarise(
            found.scans, bootstrap=measures.bootstrap, seed=measures.seed
        )
    figures = standard_figures(
        table,
        gross_mm=measures.gross_mm,
        overlays=[picture.figure() for picture in found.pictures],
        history=history,
        vertebrae=[each for scan in found.scans for each in id_rates.judge(scan)] * columns,
    )
    rows = [id_rates.scan_row(scan) for scan in found.scans] * columns
    facts = {**_identity(found), **facts, **_counts(found)}
    return Measured(title, summary, table, figures, facts, rows)


def decisive(measured: Measured, found: Evaluation) -> dict[str, Any]:
    """Return the numbers by which models are compared, with their intervals; None if unknown."""
    overall = measured.summary["overall"]
    named = measured.summary.get("identification", {"overall": {}, "regions": {}})
    row: dict[str, Any] = {"cases": len(found.predictions), "failed": len(found.failures)}
    for number in ("id_rate", "all_right_rate", "mean_penalised_mm"):
        row |= _with_interval(named["overall"], number)
    row |= _with_interval(named["overall"], "mean_mm", "mean_identified_mm")
    for region in ("cervical", "thoracic", "lumbar"):
        row |= _with_interval(named["regions"].get(region, {}), "id_rate", f"id_rate_{region}")
    for number in ("off_by_one_rate", "median_mm", "gross_rate", "presence_right"):
        row |= _with_interval(overall, number)
    seconds = [prediction.seconds for prediction in found.predictions]
    return row | {"seconds": median(seconds) if seconds else None}


def in_words(found: Evaluation, summary: Mapping[str, Any]) -> str:
    """Return the numbers as a few aligned lines for a terminal."""
    rows = [["", *(heading for heading, _, _ in LINES)]]
    for name, entry in {**summary["levels"], "all": summary["overall"]}.items():
        rows.append([name, *(_said(entry[number], form) for _, number, form in LINES)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    said = [measured_on(metrics.as_table(found.rows)), *lines]
    return "\n".join(said + _named_in_words(summary))


def _named_in_words(summary: Mapping[str, Any]) -> list[str]:
    """Return a line a region on what was named right; none where no columns are named."""
    if "identification" not in summary:
        return []
    found = summary["identification"]
    lines = []
    for name, entry in {**found["regions"], "all": found["overall"]}.items():
        rate, mean = _said(entry["id_rate"], "{:.1%}"), _said(entry["mean_mm"], "{:.1f} mm")
        lines.append(
            f"{name}: {entry['identified']} of {entry['labelled']} named right ({rate}), "
            f"mean {mean}, {entry['invented']} invented"
        )
    whole = found["overall"]
    return [*lines, f"all right: {whole['all_right']} of {whole['scans']} scans"]


def _write_files(folder: Path, found: Evaluation, measured: Measured) -> None:
    """Write all of an evaluation but its page."""
    table = measured.table.round(TABLE_DIGITS).to_csv(index=False, lineterminator="\n")
    replace_text(folder / TABLE, table)
    numbers = json.dumps(measured.summary, indent=2, allow_nan=False)
    replace_text(folder / NUMBERS, numbers + "\n")
    if "identification" in measured.summary:
        replace_text(folder / SCANS, _csv(measured.scans, id_rates.SCAN_COLUMNS))
    for picture in found.pictures:
        picture.save(folder / "worst")


def _csv(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=list(columns)).convert_dtypes()
    return str(table.round(TABLE_DIGITS).to_csv(index=False, lineterminator="\n"))


def _with_interval(entry: Mapping[str, Any], number: str, name: str = "") -> dict[str, Any]:
    ends = ("", "_low", "_high")
    return {f"{name or number}{end}": entry.get(f"{number}{end}") for end in ends}


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
