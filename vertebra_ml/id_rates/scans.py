"""One scan: how its column of names lies on the labelled one."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from vertebra_ml.id_rates.steps import column, distances
from vertebra_ml.id_rates.vertebrae import IDENTIFIED_MM, Scan, judge

COLUMN_LEVELS: Final = 12
"""A model that is asked for as many levels names a column, even where it found nothing at all."""

SCAN_COLUMNS: Final = (
    "case", "group", "labelled", "identified", "missed", "invented", "mean_mm", "max_mm",
    "shift_levels", "all_right", "warnings",
)  # fmt: skip


def name_columns(scans: Sequence[Scan]) -> bool:
    """Return whether the answers are points of a column, not heights of single levels."""
    points = [scan.prediction.landmarks.points_mm for scan in scans]
    if any(len(each) for each in points):
        return any(bool(np.isfinite(each).all(axis=1).any()) for each in points)
    return any(len(scan.prediction.missing) >= COLUMN_LEVELS for scan in scans)


def scan_row(scan: Scan) -> dict[str, object]:
    """Return how one scan went, in ``SCAN_COLUMNS``.

    ``mean_mm`` is over identified vertebrae, ``max_mm`` over all that have an answer.
    ``shift_levels`` is how far most names of the column are off, see ``shift``. ``warnings`` are
    those of the answer, joined by semicolons.
    """
    entries = judge(scan)
    labelled = [entry for entry in entries if entry.labelled]
    right = [entry.error_mm for entry in labelled if entry.identified]
    errors = [entry.error_mm for entry in labelled if entry.answered]
    invented = len(entries) - len(labelled)
    return {
        "case": scan.case,
        "group": scan.group,
        "labelled": len(labelled),
        "identified": len(right),
        "missed": len(labelled) - len(errors),
        "invented": invented,
        "mean_mm": float(np.mean(right)) if right else None,
        "max_mm": max(errors, default=None),
        "shift_levels": shift(scan),
        "all_right": len(right) == len(labelled) and not invented if entries else None,
        "warnings": "; ".join(scan.prediction.warnings),
    }


def shift(scan: Scan) -> int | None:
    """Return by how many levels most answers are off: 0 right, +1 each sits on the next below.

    Answers within 20 mm of a label count, and are counted by position in the patient's own column,
    which goes on beyond the scan as most do. None where no answer lies so near.
    """
    levels, truth = column(scan.truth), scan.truth.landmarks
    apart = distances(scan.prediction.landmarks.points_mm, truth.points_mm)
    steps = [
        levels.index(truth.labels[int(row.argmin())]) - levels.index(level)
        for level, row in zip(scan.prediction.landmarks.labels, apart, strict=True)
        if level in levels and row.min(initial=np.inf) <= IDENTIFIED_MM
    ]
    return min(set(steps), key=lambda step: (-steps.count(step), abs(step)), default=None)
