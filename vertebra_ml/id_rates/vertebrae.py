"""One vertebra: what its label and the answer of its name have to do with each other."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.id_rates.steps import distances, levels_off
from vertebra_ml.landmarks import Prediction, Truth

Floats = NDArray[np.float64]

IDENTIFIED_MM: Final = 20.0
"""Farthest that an identified vertebra may lie; VerSe's program lets 20 mm itself pass."""


@dataclass(frozen=True)
class Scan:
    """A labelled scan and its answer; ``group`` is the data set."""

    case: str
    group: str
    truth: Truth
    prediction: Prediction


@dataclass(frozen=True)
class Vertebra:
    """One labelled vertebra, or one that was invented, and which definitions of right it meets.

    Parameters
    ----------
    case, group, level : which it is.
    labelled : False for an answer that names a level outside the scan (invented).
    answered : whether there is an answer of this name.
    error_mm : from the label to that answer; along z alone where that is a height only; else NaN.
    identified : as above: nearest among all labels of the scan, and within 20 mm.
    nearest : nearest among all labels, at any distance.
    challenge : as VerSe's program counts: nearest among those labels alone whose names were
        answered, and within 20 mm (anjany/verse 4d6365fd, utils/eval_utilities.py get_hits).
    spinefinder : as SpineFinder counts: of all answers within 20 mm of the label, the nearest bears
        its name (jfm15/SpineFinder e0f3791b, measure.py get_stats).
    levels_off : see ``levels_off``.
    """

    case: str
    group: str
    level: str
    labelled: bool
    answered: bool
    error_mm: float = np.nan
    identified: bool = False
    nearest: bool = False
    challenge: bool = False
    spinefinder: bool = False
    levels_off: float | None = None


def judge(scan: Scan) -> list[Vertebra]:
    """Return one entry for each labelled vertebra, then one for each invented."""
    truth, answer = scan.truth, scan.prediction.landmarks
    apart = distances(answer.points_mm, truth.landmarks.points_mm)
    entries = [_labelled(scan, place, apart) for place in range(len(truth.landmarks))]
    return entries + [
        Vertebra(scan.case, scan.group, level, labelled=False, answered=True)
        for level in answer.labels
        if level not in truth.visible
    ]


def _labelled(scan: Scan, place: int, apart: Floats) -> Vertebra:
    """Judge the labelled vertebra of that place; ``apart`` is (answers, labels) mm."""
    truth, answer = scan.truth.landmarks, scan.prediction.landmarks
    level = truth.labels[place]
    if level not in answer:
        return Vertebra(scan.case, scan.group, level, labelled=True, answered=False)
    own = answer.labels.index(level)
    common = [i for i, name in enumerate(truth.labels) if name in answer]
    error = float(apart[own, place])
    near, nearest = error <= IDENTIFIED_MM, int(apart[own].argmin()) == place
    return Vertebra(
        scan.case, scan.group, level, labelled=True, answered=True, error_mm=error,
        identified=near and nearest,
        nearest=nearest,
        challenge=near and common[int(apart[own, common].argmin())] == place,
        spinefinder=near and int(apart[:, place].argmin()) == own,
        levels_off=levels_off(level, scan.truth, answer[level]),
    )  # fmt: skip
