"""Named candidates on disk: ``labels.csv``, a row a candidate, and ``labels.json``, with doubts.

The level is empty where a candidate is judged no vertebra. The JSON file says of each spine whether
its levels can be told, in words what else they may be, and of each candidate the likeliest levels.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.chain import Candidates, Labelling
from vertebra_ml.chain.candidates import Floats

COLUMNS: Final = ("spine", "candidate", "level", "x_mm", "y_mm", "z_mm", "probability")
DIGITS: Final = 4
LIKELIEST: Final = 3
"""Levels named of a candidate, if each has at least a chance of ``CHANCE_MIN``."""
CHANCE_MIN: Final = 0.01
FRAME: Final = {"frame": "RAS", "unit": "mm", "candidate": "from 0 in the order of the file"}


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


def spine_entry(spine: str, candidates: Candidates, labelling: Labelling) -> dict[str, object]:
    """Return what ``labels.json`` says of one spine, JSON-ready; numbers as in ``labels.csv``."""
    rows = label_rows(spine, candidates, labelling)
    named = [
        {**dict(zip(COLUMNS[1:], row[1:], strict=True)), "likeliest": _likeliest(chances)}
        for row, chances in zip(rows, labelling.chances, strict=True)
    ]
    return {
        "spine": spine,
        "can_tell": labelling.can_tell,
        "doubt": "" if labelling.can_tell else labelling.doubt(),
        "candidates": named,
    }


def spines_text(spines: Iterable[Mapping[str, object]], failures: Sequence[str]) -> str:
    """Return the whole ``labels.json``, a line a spine."""
    lines = ",\n".join(json.dumps(each, allow_nan=False, ensure_ascii=False) for each in spines)
    about, failed = json.dumps(FRAME), json.dumps(list(failures), ensure_ascii=False, indent=0)
    return f'{{"format": {about},\n"spines": [\n{lines}\n],\n"failures": {failed}\n}}\n'


def _likeliest(chances: Floats) -> dict[str, float]:
    """Return level -> chance of the (26,) chances of one candidate, the likeliest first."""
    order = np.argsort(-chances, kind="stable")[:LIKELIEST]
    return {LEVELS[i]: round(float(chances[i]), DIGITS) for i in order if chances[i] >= CHANCE_MIN}
