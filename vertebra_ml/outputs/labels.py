"""``labels.csv``: a row a candidate, its level empty where it is judged no vertebra."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from vertebra_ml.chain import Candidates, Labelling

COLUMNS: Final = ("spine", "candidate", "level", "x_mm", "y_mm", "z_mm", "probability")
DIGITS: Final = 4


def label_rows(
    spine: str, candidates: Candidates, labelling: Labelling
) -> list[tuple[str | int | float, ...]]:
    """Return rows in ``COLUMNS``, candidates in the order of their file from 0, RAS mm."""
    return [
        (
            spine,
            number,
            labelling.levels[number],
            *(round(float(value), DIGITS) for value in point),
            round(float(labelling.probabilities[number]), DIGITS),
        )
        for number, point in enumerate(candidates.points_mm)
    ]


def labels_text(rows: Iterable[Sequence[str | int | float]]) -> str:
    """Return the whole file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return buffer.getvalue()
