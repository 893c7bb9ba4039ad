"""Sections on whole columns: how many vertebrae were named right, and which scans were not."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from vertebra_ml import id_rates
from vertebra_ml.report.cells import Column, grid, numbers, plain, tiles

SCAN_ROWS: Final = 40
"""Worst scans that the page lists; the file ``scans.csv`` holds all."""

TILES: Final[tuple[Column, ...]] = (
    ("identified", "id_rate", "{:.1%}"),
    ("whole scans all right", "all_right_rate", "{:.1%}"),
    ("a level off", "off_by_one_rate", "{:.1%}"),
    ("mean distance, identified", "mean_mm", "{:.1f} mm"),
    ("mean distance, missed penalised", "mean_penalised_mm", "{:.1f} mm"),
)
COLUMNS: Final[tuple[Column, ...]] = (
    ("scans", "scans", "{:d}"),
    ("labelled", "labelled", "{:d}"),
    ("identified", "id_rate", "{:.1%}"),
    ("whole scans all right", "all_right_rate", "{:.1%}"),
    ("a level off", "off_by_one_rate", "{:.1%}"),
    ("mean mm", "mean_mm", "{:.1f}"),
    ("std mm", "std_mm", "{:.1f}"),
    ("median mm", "median_mm", "{:.1f}"),
    ("mean mm, missed penalised", "mean_penalised_mm", "{:.1f}"),
    ("missed of labelled", "missed", "{:d} of {labelled:d}"),
    ("invented", "invented", "{:d}"),
)
OTHERS: Final[tuple[Column, ...]] = (
    ("identified", "id_rate", "{:.1%}"),
    ("mean of the scans' rates", "id_rate_scans", "{:.1%}"),
    ("as VerSe's program counts", "id_rate_challenge", "{:.1%}"),
    ("as SpineFinder counts", "id_rate_spinefinder", "{:.1%}"),
    ("nearest, at any distance", "id_rate_nearest", "{:.1%}"),
)


def names_section(summary: Mapping[str, Any], scans: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the parts of the page on identification; none where the answers name no column.

    ``scans`` are rows of ``id_rates.scan_row``.
    """
    found = summary.get("identification")
    if not found:
        return []
    rows = {**found["regions"], "all": found["overall"]}
    return [
        "<h2>Vertebrae named right</h2>",
        _tiles(found["overall"], summary["settings"]["confidence"]),
        "<h2>Named right, by region</h2>",
        numbers(rows, COLUMNS),
        "<h2>Named right, by source of the scans</h2>",
        numbers({**found["groups"], "all": found["overall"]}, COLUMNS),
        "<h2>Named right, as others count</h2>",
        numbers(rows, OTHERS),
        f"<p>{escape(_explanation(found['settings']))}</p>",
        "<h2>Scans, worst first</h2>",
        _scans(scans),
    ]


def worst_first(scans: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return rows of scans: most vertebrae not named right or invented first, then farthest off."""

    def badness(row: Mapping[str, Any]) -> tuple[int, float]:
        wrong = row["labelled"] - row["identified"] + row["invented"]
        return -wrong, -(row["max_mm"] or 0.0)

    return sorted(scans, key=badness)


def _tiles(overall: Mapping[str, Any], confidence: float) -> str:
    counts = {
        "id_rate": f"{overall['identified']} of {overall['labelled']} vertebrae",
        "all_right_rate": f"{overall['all_right']} of {overall['scans']} scans",
        "off_by_one_rate": f"of {overall['answered']} answered",
        "mean_penalised_mm": f"{overall['missed']} missed, {overall['invented']} invented",
    }
    return tiles(overall, TILES, counts, confidence)


def _explanation(settings: Mapping[str, Any]) -> str:
    near, missed = settings["identified_mm"], settings["missed_mm"]
    return (
        "Identified: of all labelled centroids, the one nearest to the answer of a name is its "
        f"own, at most {near:g} mm away (Glocker 2013, VerSe 2021); of all labelled ones, also "
        "those without an answer. Distances are over identified vertebrae; where missed ones are "
        f"penalised, over all labelled ones, {missed:g} mm for one without an answer (ours: no "
        "published value was found). All right: every labelled vertebra identified and none "
        "invented, that is named though not in the scan. A level off: of those answered, nearer to "
        "the next vertebra of that patient. VerSe's program compares names that are in both lists "
        "alone; SpineFinder asks whether the answer nearest to a label bears its name."
    )


def _scans(scans: Sequence[Mapping[str, Any]]) -> str:
    heads = [_heading(name) for name in id_rates.SCAN_COLUMNS]
    chosen = worst_first(scans)[:SCAN_ROWS]
    lines = [[_told(name, row[name]) for name in id_rates.SCAN_COLUMNS] for row in chosen]
    left = len(scans) - len(chosen)
    more = f"<p>{left} better scans are in scans.csv.</p>" if left else ""
    return grid(heads, lines) + more


def _heading(name: str) -> str:
    text = name.replace("_", " ")
    return f'<div class="long">{text}</div>' if name == "warnings" else text


def _told(name: str, value: Any) -> str:
    """Return one cell; a shift of the names says which way they are off."""
    if name == "shift_levels" and value:
        return f"{abs(value)} to the {'feet' if value > 0 else 'head'}"
    if name == "warnings":
        return f'<div class="long">{escape(value)}</div>'
    return plain(value)
