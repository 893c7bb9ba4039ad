"""Sections on single levels: how far off each is, and whether it is known to be there."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml import metrics
from vertebra_ml.report.cells import Column, grid, numbers, plain, tiles

if TYPE_CHECKING:
    import pandas as pd

WORST_ROWS: Final = 20
COLUMNS: Final[tuple[Column, ...]] = (
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
    ("not told", "untold", "{:d}"),
    ("invented of absent", "invented", "{:d} of {absent:d}"),
)
TILES: Final[tuple[Column, ...]] = (
    ("median error", "median_mm", "{:.1f} mm"),
    ("median error in slices", "median_slices", "{:.2f}"),
    ("grossly wrong", "gross_rate", "{:.1%}"),
    ("a level off", "off_by_one_rate", "{:.1%}"),
    ("presence right", "presence_right", "{:.1%}"),
)
WORST_COLUMNS: Final = (
    "case", "group", "level", "present", "found", "error_mm", "error_slices", "levels_off", "score",
)  # fmt: skip


def level_tiles(summary: Mapping[str, Any]) -> str:
    """Return the decisive numbers over all levels."""
    overall, settings = summary["overall"], summary["settings"]
    counts = {
        "gross_rate": f"{overall['gross']} of {overall['n']} beyond {settings['gross_mm']:g} mm",
        "presence_right": _presence(overall),
        "median_mm": f"{overall['n']} levels found",
    }
    return tiles(overall, TILES, counts, settings["confidence"])


def _presence(overall: Mapping[str, Any]) -> str:
    """Say how many calls were right: one that is said to be there counts, its place told or not."""
    judged, right = overall["present"] + overall["absent"], overall["presence_right"]
    wrong = 0 if right is None else round((1 - right) * judged)
    invented = f"{wrong} of {judged} wrong, {overall['invented']} invented"
    return f"{invented}; {overall['untold']} without a place" if overall["untold"] else invented


def by_level(summary: Mapping[str, Any]) -> str:
    """Return the numbers of each level, and of all."""
    return numbers({**summary["levels"], "all": summary["overall"]}, COLUMNS)


def by_group(summary: Mapping[str, Any]) -> str:
    """Return the numbers of each source of scans: of each level where they are few."""
    rows: dict[str, Mapping[str, Any]] = {}
    for group, levels in summary["group_levels"].items():
        if "identification" not in summary:
            rows |= {f"{group}, {level}": entry for level, entry in levels.items()}
        rows[f"{group}, all"] = summary["groups"][group]
    return numbers(rows, COLUMNS)


def explanation(settings: Mapping[str, Any]) -> str:
    """Say what the numbers mean."""
    return (
        "Errors are of levels that are in the scan and were found: along the body axis where the "
        "model gives a height, the whole distance where it gives a point; in slices of the scan "
        f"itself. Gross: more than {settings['gross_mm']:g} mm. A level off: nearer to a "
        "neighbour's label than to its own. Presence: labelled levels should be found, levels "
        "outside the scan should not; levels in the scan without a label count in nothing. Not "
        "told: said to be there, but where would be a guess, so that no place is given; if it is "
        "there, it counts as missed. Small "
        f"print: {settings['confidence'] * 100:.0f} % intervals, from {settings['bootstrap']} "
        f"draws of whole scans (seed {settings['seed']}); where nothing went wrong, the rule of "
        "three."
    )


def worst(table: "pd.DataFrame") -> str:
    """Return the worst answers, a row each."""
    rows = metrics.worst(table, WORST_ROWS)
    if rows.empty:
        return "<p>None.</p>"
    known = rows.astype(object).where(rows.notna(), None)
    lines = [[plain(row[name]) for name in WORST_COLUMNS] for row in known.to_dict("records")]
    return grid([name.replace("_", " ") for name in WORST_COLUMNS], lines)
