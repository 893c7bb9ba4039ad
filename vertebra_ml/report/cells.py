"""Numbers and words as they stand in the page: non-breaking, with their interval, escaped."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

NONE: Final = "–"
Column = tuple[str, str, str]  # heading, number, format; the interval follows where there is one


def tiles(
    entry: Mapping[str, Any],
    columns: Sequence[Column],
    counts: Mapping[str, str],
    confidence: float,
) -> str:
    """Return a tile for each number: heading, value, interval, and what was counted."""
    drawn = []
    for heading, name, form in columns:
        words = (heading, interval(entry, name, form, confidence), counts.get(name, ""))
        lines = "".join(f"<span>{escape(line)}</span>" for line in words[1:] if line)
        drawn.append(
            f'<div class="tile"><span>{escape(words[0])}</span>'
            f"<b>{said(entry[name], form)}</b>{lines}</div>"
        )
    return f'<div class="tiles">{"".join(drawn)}</div>'


def numbers(rows: Mapping[str, Mapping[str, Any]], columns: Sequence[Column]) -> str:
    """Return a table with a row of numbers for each name."""
    heads = ["", *(escape(heading) for heading, _, _ in columns)]
    lines = [
        [escape(name), *(cell(entry, column, form) for _, column, form in columns)]
        for name, entry in rows.items()
    ]
    return grid(heads, lines)


def grid(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of ready HTML cells, which may be wider than the page."""
    head = "".join(f"<th>{text}</th>" for text in heads)
    lines = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def cell(entry: Mapping[str, Any], name: str, form: str) -> str:
    """Return a number with its interval below it."""
    value = said(entry.get(name), form, entry)
    low, high = entry.get(f"{name}_low"), entry.get(f"{name}_high")
    if low is None or high is None:
        return value
    return f"{value}<small>{_range(low, high, form)}</small>"


def interval(entry: Mapping[str, Any], name: str, form: str, confidence: float) -> str:
    """Return the interval of a number in words."""
    low, high = entry.get(f"{name}_low"), entry.get(f"{name}_high")
    if low is None or high is None:
        return "too few for an interval"
    return f"{said(confidence, '{:.0%}')}: {_range(low, high, form)}"


def said(value: float | None, form: str, entry: Mapping[str, Any] | None = None) -> str:
    """Return a number in its format; a dash where there is none."""
    if value is None:
        return NONE
    text = form.format(value, **(entry or {})).replace("%", " %")
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def plain(value: object) -> str:
    """Return any value of a table as HTML."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return NONE if math.isnan(value) else f"{value:.2f}"
    return escape(str(value))


def _range(low: float, high: float, form: str) -> str:
    """Return ``low–high`` with the unit said once, non-breaking."""
    first = said(low, form).partition("\N{NO-BREAK SPACE}")[0]
    return f"{first}–{said(high, form)}"
