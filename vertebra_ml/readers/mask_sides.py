"""Left and right in a mask that names sides: ribs, hips, shoulder blades.

A scan whose left and right were swapped on the way, or a mask drawn on one, looks sound in every
other check. Where a mask names both sides, left structures must lie at smaller RAS x than right.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vertebra_ml.errors import DatasetError

LEFT: Final = "left"
RIGHT: Final = "right"
APART_MM: Final = 1.0


def pairs_of(names: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the (left, right) pairs of which both are there: ``hip_left``, ``hip_right``."""
    lefts = [name for name in names if LEFT in name.split("_")]
    pairs = [(name, "_".join(_turned(name))) for name in lefts]
    return [pair for pair in pairs if pair[1] in names]


def _turned(name: str) -> list[str]:
    return [RIGHT if part == LEFT else part for part in name.split("_")]


def check_sides(x_mm: Mapping[str, float], where: Path) -> None:
    """Raise DatasetError where left structures lie to the right of their twins.

    ``x_mm`` holds the RAS x of each structure's middle by name. Half of the pairs or more must be
    contradicted: a network takes a single rib for its twin now and then.
    """
    pairs = pairs_of(x_mm)
    wrong = [left for left, right in pairs if x_mm[left] > x_mm[right] + APART_MM]
    if wrong and 2 * len(wrong) >= len(pairs):
        raise DatasetError(
            where,
            found=f"{', '.join(wrong[:3])} to the right of the twin ({len(wrong)} of {len(pairs)} "
            "pairs of structures)",
            expected="left structures at the patient's left: the scan or the mask is mirrored",
            fix="convert both from the original DICOM again, or drop the case",
        )
