"""One self-contained HTML page that says how good a model is: readable alone, offline, on paper."""

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml import metrics, plots
from vertebra_ml.outputs import replace_text
from vertebra_ml.outputs.page import NOT_FOR_PATIENTS

if TYPE_CHECKING:
    import pandas as pd

RELIABILITY_BINS: Final = 10
WORST_ROWS: Final = 20
PICTURE_DPI, CHART_DPI = 96, 144
SYNTHETIC: Final = "phantom"
"""Group of the scans that are drawn, not taken."""
NONE: Final = "–"

STYLE: Final = """
:root { --ink: #1a1a1a; --faint: #5c5c5c; --line: #d8d8d8; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p { max-width: 46rem; margin: .4rem 0; }
.note { border-left: 4px solid #d55e00; padding: .3rem .9rem; margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: 1rem;
  margin: 1.4rem 0; }
.tile { border: 1px solid var(--line); border-top: 4px solid var(--accent); padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; font-weight: 600; }
.tile span { display: block; font-size: .85rem; color: var(--faint); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; vertical-align: top; }
th { white-space: normal; font-weight: 600; vertical-align: bottom;
  border-bottom: 2px solid var(--ink); }
th:first-child, td:first-child, .words th, .words td { text-align: left; }
td small { display: block; color: var(--faint); }
.facts td { white-space: normal; overflow-wrap: anywhere; }
.facts td:first-child { white-space: nowrap; color: var(--faint); }
figure { margin: 0 0 1.4rem; }
img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .87rem; color: var(--faint); }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2 { break-after: avoid; }
  figure, .tile, tr { break-inside: avoid; } .wide { overflow: visible; }
  table { font-size: 6.5pt; } th, td { padding: .2rem .2rem; } @page { margin: 14mm; } }
"""

COLUMNS: Final[tuple[tuple[str, str, str], ...]] = (
    # heading, number, format; the interval follows below where there is one
    ("scans", "cases", "{:d}"),
    ("median mm", "median_mm", "{:.1f}"),
    ("mean mm", "mean_mm", "{:.1f}"),
    ("std mm", "std_mm", "{:.1f}"),
    ("90 % within mm", "p90_mm", "{:.1f}"),
    ("median slices", "median_slices", "{:.2f}"),
    ("mean slices", "mean_slices", "{:.2f}"),
    ("std slices", "std_slices", "{:.2f}"),
    ("grossly wrong", "gross_rate", "{:.1%}"),
    ("a level off", "off_by_one_rate", "{:.1%}"),
    ("presence right", "presence_right", "{:.1%}"),
    ("missed of present", "missed", "{:d} of {present:d}"),
    ("invented of absent", "invented", "{:d} of {absent:d}"),
)
TILES: Final[tuple[tuple[str, str, str], ...]] = (
    ("median error", "median_mm", "{:.1f} mm"),
    ("median error in slices", "median_slices", "{:.2f}"),
    ("grossly wrong", "gross_rate", "{:.1%}"),
    ("a level off", "off_by_one_rate", "{:.1%}"),
    ("presence right", "presence_right", "{:.1%}"),
)
WORST_COLUMNS: Final = (
    "case", "group", "level", "present", "found", "error_mm", "error_slices", "levels_off", "score",
)  # fmt: skip


def write_report(
    path: Path,
    *,
    title: str,
    summary: Mapping[str, Any],
    table: "pd.DataFrame",
    figures: Mapping[str, Sequence[plots.Figure]],
    facts: Mapping[str, object],
) -> None:
    """Write the page; a reader sees the whole file or none.

    Parameters
    ----------
    path : the HTML file; folders are made.
    title : what was measured, in words.
    summary, table : of ``metrics.summarise`` and ``metrics.as_table``.
    figures : heading -> figures below it, in order; see ``standard_figures``.
    facts : name -> value: kind, architecture, data hash, seeds, commit and so on.
    """
    text = page(title=title, summary=summary, table=table, figures=figures, facts=facts)
    replace_text(path, text)


def page(
    *,
    title: str,
    summary: Mapping[str, Any],
    table: "pd.DataFrame",
    figures: Mapping[str, Sequence[plots.Figure]],
    facts: Mapping[str, object],
) -> str:
    """Return the page of ``write_report`` as text."""
    settings = summary["settings"]
    groups = _grouped(summary)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(measured_on(table))}</p>",
        f'<p class="note">{escape(NOT_FOR_PATIENTS)}</p>',
        _tiles(summary["overall"], settings),
        "<h2>By level</h2>",
        _numbers({**summary["levels"], "all": summary["overall"]}),
        "<h2>By source of the scans</h2>",
        _numbers(groups),
        f"<p>{escape(_explanation(settings))}</p>",
        *(_section(heading, drawn) for heading, drawn in figures.items() if drawn),
        "<h2>Worst answers</h2>",
        _worst(table),
        "<h2>What made these numbers</h2>",
        _facts(facts),
    ]
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
    )
    return head + "<body>\n" + "\n".join(parts) + "\n</body></html>\n"


def standard_figures(
    table: "pd.DataFrame",
    *,
    gross_mm: float,
    overlays: Sequence[plots.Figure] = (),
    history: "pd.DataFrame | None" = None,
) -> dict[str, list[plots.Figure]]:
    """Return the figures every evaluation shows: errors, reliability, worst cases, training."""
    bins = metrics.reliability(table, RELIABILITY_BINS, right_mm=gross_mm)
    return {
        "Errors": [plots.error_histograms(table, gross_mm=gross_mm)],
        "Reliability of the score": [plots.reliability_diagram(bins)],
        "Worst cases": list(overlays),
        "Training": [] if history is None else [plots.training_curves(history)],
    }


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


def _grouped(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    rows: dict[str, Mapping[str, Any]] = {}
    for group, levels in summary["group_levels"].items():
        rows |= {f"{group}, {level}": entry for level, entry in levels.items()}
        rows[f"{group}, all"] = summary["groups"][group]
    return rows


def _tiles(overall: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    counts = {
        "gross_rate": f"{overall['gross']} of {overall['n']} beyond {settings['gross_mm']:g} mm",
        "presence_right": f"{overall['missed']} missed, {overall['invented']} invented",
        "median_mm": f"{overall['n']} levels found",
    }
    tiles = []
    for heading, name, form in TILES:
        words = (heading, _interval(overall, name, form, settings), counts.get(name, ""))
        lines = "".join(f"<span>{escape(line)}</span>" for line in words[1:] if line)
        tiles.append(
            f'<div class="tile"><span>{escape(words[0])}</span>'
            f"<b>{_said(overall[name], form)}</b>{lines}</div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _numbers(rows: Mapping[str, Mapping[str, Any]]) -> str:
    heads = "".join(f"<th>{escape(heading)}</th>" for heading, _, _ in COLUMNS)
    lines = [
        f"<tr><td>{escape(name)}</td>"
        + "".join(f"<td>{_cell(entry, column, form)}</td>" for _, column, form in COLUMNS)
        + "</tr>"
        for name, entry in rows.items()
    ]
    return f'<div class="wide"><table><tr><th></th>{heads}</tr>{"".join(lines)}</table></div>'


def _cell(entry: Mapping[str, Any], name: str, form: str) -> str:
    value = _said(entry[name], form, entry)
    low, high = entry.get(f"{name}_low"), entry.get(f"{name}_high")
    if low is None or high is None:
        return value
    return f"{value}<small>{_range(low, high, form)}</small>"


def _interval(entry: Mapping[str, Any], name: str, form: str, settings: Mapping[str, Any]) -> str:
    low, high = entry.get(f"{name}_low"), entry.get(f"{name}_high")
    if low is None or high is None:
        return "too few for an interval"
    return f"{_said(settings['confidence'], '{:.0%}')}: {_range(low, high, form)}"


def _range(low: float, high: float, form: str) -> str:
    """Return ``low–high`` with the unit said once, non-breaking."""
    first = _said(low, form).partition("\N{NO-BREAK SPACE}")[0]
    return f"{first}–{_said(high, form)}"


def _said(value: float | None, form: str, entry: Mapping[str, Any] | None = None) -> str:
    if value is None:
        return NONE
    text = form.format(value, **(entry or {})).replace("%", " %")
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _explanation(settings: Mapping[str, Any]) -> str:
    return (
        "Errors are of levels that are in the scan and were found: along the body axis where the "
        "model gives a height, the whole distance where it gives a point; in slices of the scan "
        f"itself. Gross: more than {settings['gross_mm']:g} mm. A level off: nearer to a "
        "neighbour's label than to its own. Presence: labelled levels should be found, levels "
        "outside the scan should not; levels in the scan without a label count in nothing. Small "
        f"print: {settings['confidence'] * 100:.0f} % intervals, from {settings['bootstrap']} "
        f"draws of whole scans (seed {settings['seed']}); where nothing went wrong, the rule of "
        "three."
    )


def _section(heading: str, figures: Sequence[plots.Figure]) -> str:
    dpi = CHART_DPI if len(figures) == 1 else PICTURE_DPI
    images = []
    for number, figure in enumerate(figures, start=1):
        data = base64.b64encode(plots.png(figure, dpi)).decode("ascii")
        label = escape(heading if len(figures) == 1 else f"{heading} {number}")
        width = round(figure.get_size_inches()[0] * 96)
        source = f"data:image/png;base64,{data}"
        images.append(f'<figure><img alt="{label}" width="{width}" src="{source}"></figure>')
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(images)


def _worst(table: "pd.DataFrame") -> str:
    rows = metrics.worst(table, WORST_ROWS)
    if rows.empty:
        return "<p>None.</p>"
    lines = [
        "<tr>" + "".join(f"<td>{_plain(row[name])}</td>" for name in WORST_COLUMNS) + "</tr>"
        for row in rows.to_dict("records")
    ]
    heads = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in WORST_COLUMNS)
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(lines)}</table></div>'


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return NONE if math.isnan(value) else f"{value:.2f}"
    return escape(str(value))


def _facts(facts: Mapping[str, object]) -> str:
    lines = [
        f"<tr><td>{escape(str(name))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
    ]
    return f'<table class="facts words">{"".join(lines)}</table>'
