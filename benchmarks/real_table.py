"""The table of docs/real-scans.md, an idea a row, and all figures of one measurement as CSV."""

import csv
import datetime
import io
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import real_figures
from benchmarks.real_figures import Figures
from vertebra_ml.errors import DatasetError
from vertebra_ml.outputs import replace_text

COLUMNS: Final = (
    "date", "commit", "what was changed; what was predicted", "n", "two-stage: id rate", "mean mm",
    "within 10 mm", "gross", "off by one", "missed", "presence", "spotter T12+L3: median mm",
    "gross", "spotter all levels: within 10 mm", "gross", "off by one", "missed", "presence",
)  # fmt: skip
START: Final = "| date | commit |"
"""How the head of the table begins; a row goes after the last line of that table."""


def append(
    path: Path,
    note: str,
    column: Mapping[str, Figures],
    shown: Mapping[str, Figures],
    every: Mapping[str, Figures],
    *,
    root: Path,
) -> None:
    """Put a row of today below the table in ``path``; figures are those over all scans.

    Raises DatasetError where the file holds no such table.
    """
    text = path.read_text() if path.exists() else ""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith(START)), None)
    if first is None:
        raise DatasetError(
            path,
            found="no table of measurements",
            expected=f"a line that begins with {START!r}",
            fix="put its head back: " + head().splitlines()[0],
        )
    last = first
    while last + 1 < len(lines) and lines[last + 1].startswith("|"):
        last += 1
    lines.insert(last + 1, row(note, *(list(each.values())[-1] for each in (column, shown, every)),
                               commit=commit(root)))  # fmt: skip
    replace_text(path, "\n".join(lines) + "\n")


def head() -> str:
    """Return the two lines that the table begins with."""
    return f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def row(note: str, column: Figures, shown: Figures, every: Figures, *, commit: str) -> str:
    """Return the line of one measurement."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    words = " ".join(note.replace("|", "/").split())
    counted = f"{column.scans} scans, {column.within.of} levels"
    numbers = [
        _said(column.identified), _mm(column.mean_mm), _said(column.within), _said(column.gross),
        _said(column.off_by_one), _said(column.missed), _said(column.presence),
        _mm(shown.median_mm), _said(shown.gross),
        _said(every.within), _said(every.gross), _said(every.off_by_one), _said(every.missed),
        _said(every.presence),
    ]  # fmt: skip
    return f"| {' | '.join([today, commit, words, counted, *numbers])} |"


def commit(root: Path) -> str:
    """Return the short id of the commit in ``root``, with ``+`` where files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "none") + ("+" if changed else "")


def write_figures(path: Path, views: Mapping[str, Mapping[str, Figures]]) -> None:
    """Write every figure of every view and scan as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = list(real_figures.HEADINGS.values())
    writer.writerow(["view", "scan", *heads])
    for name, scans in views.items():
        for scan, each in scans.items():
            cells = real_figures.cells(each)
            writer.writerow([name, scan, *(cells[name] for name in heads)])
    replace_text(path, file.getvalue())


def _said(value: object) -> str:
    return real_figures.NONE if value is None else str(value)


def _mm(value: float | None) -> str:
    return real_figures.NONE if value is None else f"{value:.1f}"
