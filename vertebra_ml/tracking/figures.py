"""The few numbers of an evaluation that become columns and charts of its run."""

from collections.abc import Mapping
from typing import Any

DECISIVE = (
    "median_mm", "mean_mm", "p90_mm", "median_slices", "gross_rate", "off_by_one_rate",
    "presence_right",
)  # fmt: skip
NAMED = (
    "id_rate", "id_rate_nearest", "all_right_rate", "off_by_one_rate", "mean_mm", "median_mm",
    "mean_penalised_mm",
)  # fmt: skip
"""Of models that name whole columns, over all labelled vertebrae."""
LEVELS_MAX = 8
"""Of a model that answers more, no level has columns of its own: there would be hundreds."""


def decisive(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the few numbers of ``metrics.json`` that become columns and charts, by their names.

    ``median_mm`` is overall, with the bounds of its interval; ``L3.median_mm`` a level's,
    ``group.verse.median_mm`` a group's; ``named.id_rate``, with bounds, and
    ``named.lumbar.id_rate`` are of a model that names columns. All the others stay in the file,
    kept with the run.
    """
    levels = metrics.get("levels", {})
    parts = {f"{level}.": part for level, part in levels.items() if len(levels) <= LEVELS_MAX}
    parts |= {f"group.{group}.": part for group, part in metrics.get("groups", {}).items()}
    named = metrics.get("identification", {})
    chosen = _with_bounds(metrics.get("overall", {}), DECISIVE, "")
    for prefix, part in parts.items():
        chosen |= {f"{prefix}{name}": part[name] for name in DECISIVE if name in part}
    chosen |= _with_bounds(named.get("overall", {}), NAMED, "named.")
    for region, part in named.get("regions", {}).items():
        chosen |= {f"named.{region}.{name}": part[name] for name in NAMED[:1] if name in part}
    return chosen


def _with_bounds(part: Mapping[str, Any], names: tuple[str, ...], prefix: str) -> dict[str, Any]:
    every = (f"{name}{end}" for name in names for end in ("", "_low", "_high"))
    return {f"{prefix}{name}": part[name] for name in every if name in part}
