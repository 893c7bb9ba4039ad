"""Where two models that were asked for the same vertebrae differ, and what warnings are about."""

from typing import Final

import numpy as np

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.landmarks import Points, Prediction

LIMIT_MM: Final = 10.0
"""Less than half of the distance between vertebrae below the neck, and hardly more than half of a
cervical gap (17 mm), so no neighbour passes for the same."""
SMALL_MM: Final = 0.05
"""What is shown with one decimal as nothing."""


def disagreements(
    first: Prediction, second: Prediction, limit_mm: float = LIMIT_MM
) -> tuple[str, ...]:
    """Return a line for each level on which ``second`` does not agree with ``first``, head to foot.

    They differ where one finds the level and the other says that it is not in the scan, or where
    their places lie more than ``limit_mm`` apart: in three dimensions where both tell them, by
    height where one tells heights alone. Levels that only one of them answers are passed over. Each
    line begins with the level and a colon.
    """
    other = name_of(second)
    lines = []
    for level in sorted(_answered(first) & _answered(second), key=RANK.__getitem__):
        ours, theirs = (_point(answer, level) for answer in (first, second))
        if ours is not None and theirs is not None:
            said = _apart(theirs - ours, limit_mm)
            lines += [f"{level}: {other} puts it {said}"] if said else []
        elif ours is not None:
            lines.append(f"{level}: {other} does not find it in this scan")
        elif theirs is not None:
            lines.append(f"{level}: {other} finds it, at z {_mm(theirs[2])} mm")
    return tuple(lines)


def name_of(prediction: Prediction) -> str:
    """Return the words for the model that answered: its kind, and its version where it has one."""
    return f"{prediction.model.kind} {prediction.model.version}".strip()


def subject(warning: str) -> str:
    """Return the level that a warning is about, which it names first; empty where it is of all."""
    level, colon, _ = warning.partition(":")
    return level if colon and level in LEVELS else ""


def _answered(prediction: Prediction) -> set[str]:
    return {*prediction.landmarks.labels, *prediction.missing}


def _point(prediction: Prediction, level: str) -> Points | None:
    """Return (3,) RAS mm, x and y NaN for a height alone; None where the level is not found."""
    marks = prediction.landmarks
    return marks[level] if level in marks.labels else None


def _apart(step: Points, limit_mm: float) -> str:
    """Return in words how far the (3,) RAS mm ``step`` leads; nothing up to the limit."""
    far = float(np.linalg.norm(step[np.isfinite(step)]))
    if far <= limit_mm:
        return ""
    height = float(step[2])
    up = f"{_mm(abs(height))} mm {'higher' if height > 0 else 'lower'}"
    if np.isnan(step).any():
        return up
    return f"{_mm(far)} mm away" + (f", {up}" if abs(height) >= SMALL_MM else "")


def _mm(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")
