"""Comparisons and audits in words: aligned lines for a terminal, rows for a file."""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Final

from vertebra_ml.tracking.audit import Entry
from vertebra_ml.tracking.comparison import Comparison, Line

NOTHING: Final = "-"
HEADINGS: Final = ("measure", "production", "challenger", "difference", "95 % interval", "verdict")
SHOWN: Final = ("number", "moment", "action", "version", "instead_of", "by", "forced", "verdict",
                "because")  # fmt: skip


def comparison_in_words(comparison: Comparison) -> str:
    """Return the comparison as an aligned table, with what it was made of."""
    heads = list(HEADINGS)
    heads[1] += f" ({comparison.production})"
    heads[2] += f" ({comparison.challenger})"
    rows = [
        [
            line.measure.removesuffix("_mm").replace("_", " "),
            _said(line.measure, line.production),
            _said(line.measure, line.challenger),
            _step(line.measure, line.difference),
            _interval(line),
            line.verdict,
        ]
        for line in comparison.lines
    ]
    measured = f"{comparison.cases} test cases of {comparison.patients} patients, the same of both"
    return "\n".join([measured, *aligned([heads, *rows]), *comparison.remarks])


def line_in_words(line: Line) -> str:
    """Return a measure in a few words: ``gross rate 4.0 % instead of 1.0 % (worse, ...)``."""
    name = line.measure.removesuffix("_mm").replace("_", " ")
    now, before = _said(line.measure, line.challenger), _said(line.measure, line.production)
    why = f"{line.verdict}, 95 % interval of the difference {_interval(line)}"
    return f"{name} {now} instead of {before} ({why})"


def as_rows(comparison: Comparison) -> str:
    """Return the comparison as CSV, every digit of it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Line)])
    writer.writerows(astuple(line) for line in comparison.lines)
    about = ("production_version", "challenger_version", "cases", "patients")
    numbers = (comparison.production, comparison.challenger, comparison.cases, comparison.patients)
    writer.writerows(zip(about, numbers, strict=True))
    writer.writerows(("remark", remark) for remark in comparison.remarks)
    return text.getvalue()


def audit_in_words(entries: Sequence[Entry]) -> str:
    """Return the rows of an audit as an aligned table."""
    rows = [[getattr(entry, name) or NOTHING for name in SHOWN] for entry in entries]
    return "\n".join(aligned([[name.replace("_", " ") for name in SHOWN], *rows]))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _interval(line: Line) -> str:
    if line.low is None or line.high is None:
        return "too few patients" if line.difference is not None else NOTHING
    return f"{_step(line.measure, line.low)} to {_step(line.measure, line.high)}"


def _said(measure: str, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.2f} mm" if measure.endswith("_mm") else f"{100 * value:.1f} %"


def _step(measure: str, value: float | None) -> str:
    """Return a difference, with its sign; of rates in percentage points."""
    if value is None:
        return NOTHING
    return f"{value:+.2f} mm" if measure.endswith("_mm") else f"{100 * value:+.1f} points"
