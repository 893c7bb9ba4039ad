"""One self-contained HTML page that says how good a model is: readable alone, offline, on paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml import plots
from vertebra_ml.outputs import replace_text
from vertebra_ml.outputs.page import NOT_FOR_PATIENTS
from vertebra_ml.report import levels
from vertebra_ml.report.cells import Column, numbers
from vertebra_ml.report.figures import section
from vertebra_ml.report.names import names_section
from vertebra_ml.report.style import MORE_STYLE, STYLE

if TYPE_CHECKING:
    import pandas as pd

SYNTHETIC: Final = "phantom"
"""Group of the scans that are drawn, not taken."""

COMPARED: Final[tuple[Column, ...]] = (
    ("scans answered", "cases", "{:d}"),
    ("failed", "failed", "{:d}"),
    ("identified", "id_rate", "{:.1%}"),
    ("cervical", "id_rate_cervical", "{:.1%}"),
    ("thoracic", "id_rate_thoracic", "{:.1%}"),
    ("lumbar", "id_rate_lumbar", "{:.1%}"),
    ("whole scans all right", "all_right_rate", "{:.1%}"),
    ("a level off", "off_by_one_rate", "{:.1%}"),
    ("mean mm, identified", "mean_identified_mm", "{:.1f}"),
    ("mean mm, missed penalised", "mean_penalised_mm", "{:.1f}"),
    ("median mm of levels found", "median_mm", "{:.1f}"),
    ("grossly wrong", "gross_rate", "{:.1%}"),
    ("presence right", "presence_right", "{:.1%}"),
    ("seconds a scan", "seconds", "{:.1f}"),
)


@dataclass(frozen=True, eq=False)
class Measured:
    """All that the page says of one model.

    Parameters
    ----------
    title : what was measured, in words.
    summary, table : of ``metrics.summarise`` and ``metrics.as_table``; the summary may hold
        ``identification`` of ``id_rates.summarise``.
    figures : heading -> figures below it, in order; see ``standard_figures``.
    facts : name -> value: kind, architecture, data hash, seeds, commit and so on.
    scans : rows of ``id_rates.scan_row``.
    """

    title: str
    summary: Mapping[str, Any]
    table: "pd.DataFrame"
    figures: Mapping[str, Sequence[plots.Figure]]
    facts: Mapping[str, object]
    scans: Sequence[Mapping[str, object]] = field(default=())


def write_report(path: Path, measured: Measured) -> None:
    """Write the page of one model, and its folder; a reader sees the whole file or none."""
    replace_text(path, page(measured))


def write_comparison(
    path: Path, title: str, models: Mapping[str, Measured], rows: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write a page of several models, measured on the same scans, as ``write_report`` does.

    ``rows`` are the decisive numbers of each, see ``evaluation.decisive``.
    """
    replace_text(path, comparison(title, models, rows))


def page(measured: Measured) -> str:
    """Return the page of ``write_report`` as text."""
    return _document(
        measured.title,
        [
            *_head(measured.title, measured.table),
            *_body(measured),
        ],
        STYLE + MORE_STYLE if "identification" in measured.summary else STYLE,
    )


def comparison(
    title: str, models: Mapping[str, Measured], rows: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the page of ``write_comparison`` as text."""
    largest = max((measured.table for measured in models.values()), key=len)
    parts = [
        *_head(title, largest),
        "<h2>Models side by side</h2>",
        numbers(rows, COMPARED),
        "<p>All were asked the same scans; a scan that failed is in no other number of its model. "
        "A dash: the model names no column, or nothing can be said.</p>",
    ]
    for name, measured in models.items():
        parts += [f'<h1 class="model">{escape(name)}</h1>', *_body(measured)]
    return _document(title, parts, STYLE + MORE_STYLE)


def _document(title: str, parts: Sequence[str], style: str) -> str:
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
    )
    return head + "<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def _head(title: str, table: "pd.DataFrame") -> list[str]:
    return [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(measured_on(table))}</p>",
        f'<p class="note">{escape(NOT_FOR_PATIENTS)}</p>',
    ]


def _body(measured: Measured) -> list[str]:
    summary = measured.summary
    return [
        *names_section(summary, measured.scans),
        levels.level_tiles(summary),
        "<h2>By level</h2>",
        levels.by_level(summary),
        "<h2>By source of the scans</h2>",
        levels.by_group(summary),
        f"<p>{escape(levels.explanation(summary['settings']))}</p>",
        *(section(heading, drawn) for heading, drawn in measured.figures.items() if drawn),
        "<h2>Worst answers</h2>",
        levels.worst(measured.table),
        "<h2>What made these numbers</h2>",
        _facts(measured.facts),
    ]


def measured_on(table: "pd.DataFrame") -> str:
    """Say in a sentence or two which scans the numbers of ``table`` come from."""
    if table.empty:
        return "Nothing was measured: no labelled scan was answered."
    counts = table.groupby("group")["case"].nunique()
    synthetic = counts.index.str.startswith(SYNTHETIC)
    real = ", ".join(f"{n} of {group}" for group, n in counts[~synthetic].items())
    drawn = int(counts[synthetic].sum())
    parts = [f"{drawn} phantoms (drawn, not taken from people)"] if drawn else []
    parts += [f"labelled data sets: {real}"] if real else []
    said = f"Measured on {counts.sum()} scans: {'; '.join(parts)}."
    if drawn and not real:
        said += " Numbers on phantoms say nothing sure about people."
    return said


def _facts(facts: Mapping[str, object]) -> str:
    lines = [
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
    ]
    return f'<table class="facts words">{"".join(lines)}</table>'
