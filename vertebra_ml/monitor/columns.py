"""The columns that requests and reference share, and what they are called for people."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vertebra_ml.served.facts import NUMBERS, WORDS

ANSWERS: Final = ("levels_found", "score_least", "spread_largest_mm", "warnings")
COLUMNS: Final = ("case", "form", *NUMBERS, *WORDS, *ANSWERS)
"""Of the reference; requests have more."""

WORDED: Final = {
    "spacing_least_mm": "smallest spacing (mm)",
    "spacing_largest_mm": "largest spacing (mm)",
    "obliquity_deg": "obliquity (degrees)",
    "width_mm": "width (mm)",
    "depth_mm": "depth (mm)",
    "height_mm": "height (mm)",
    "hu_least": "least HU",
    "hu_p1": "1st percentile (HU)",
    "hu_median": "median (HU)",
    "hu_p99": "99th percentile (HU)",
    "hu_largest": "largest HU",
    "tissue_share": "share of soft tissue",
    "orientation": "orientation",
    "levels_found": "levels found",
    "score_least": "lowest score of those found",
    "spread_largest_mm": "largest stated radius (mm)",
    "warnings": "warnings",
}


def answer_columns(
    found: Sequence[str], scores: Mapping[str, Any], spread_mm: Mapping[str, Any], warnings: int
) -> dict[str, object]:
    """Return what an answer is judged by; empty where a model does not tell."""
    told = [float(scores[level]) for level in found if level in scores]
    radii = [float(spread_mm[level]) for level in found if level in spread_mm]
    return {
        "levels_found": len(found),
        "score_least": min(told, default=None),
        "spread_largest_mm": max(radii, default=None),
        "warnings": warnings,
    }
