"""The layout of ImFusion VID's keypoints: one JSON list a spine, in DICOM's LPS mm.

Each entry holds ``coordinates.world_space`` [x, y, z], ``type.keypoint_type`` (body, left or right:
a body centre or a pedicle) and, for bodies, ``type.spine_segment_probabilities`` [C, T, L] as a
network gives them or ``type.spine_level`` as a person does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vertebra_ml.anatomy import RANK
from vertebra_ml.chain.candidates import Candidates, Floats
from vertebra_ml.errors import DatasetError, LimitError

LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])
KINDS: Final = ("body", "left", "right")
KEYPOINTS_MAX: Final = 1000
"""Ten times what the fullest spine of the data set holds."""
POINT_MAX_MM: Final = 1e5
"""A hundred metres from the origin: no scanner's coordinates."""


@dataclass(frozen=True, eq=False)
class Spine:
    """What one file says.

    Parameters
    ----------
    candidates : bodies in the order of the file, with segment probabilities where every one of
        them has some, and pedicles.
    levels : the name of each body, empty where the file names none.
    """

    candidates: Candidates
    levels: tuple[str, ...]


def parse(entries: Any, path: Path) -> Spine:
    """Return the spine that the JSON content of ``path`` describes.

    Raises DatasetError naming the entry at fault, LimitError for more than ``KEYPOINTS_MAX``.
    """
    if not isinstance(entries, list):
        raise _unlike(path, f"a JSON {type(entries).__name__}")
    if len(entries) > KEYPOINTS_MAX:
        raise LimitError(
            path,
            found=f"{len(entries):,} keypoints",
            expected=f"at most {KEYPOINTS_MAX:,}",
            fix="check what kind of file this is",
        )
    points: dict[str, list[Floats]] = {kind: [] for kind in KINDS}
    segments: list[Floats | None] = []
    levels: list[str] = []
    for number, entry in enumerate(entries):
        kind, point = _keypoint(entry, number, path)
        points[kind].append(point)
        if kind == "body":
            segments.append(_segments(entry["type"], number, path))
            levels.append(_level(entry["type"], number, path))
    known = [row for row in segments if row is not None]
    if 0 < len(known) < len(segments):
        raise _unlike(path, f"{len(segments) - len(known)} bodies without segment probabilities")
    candidates = Candidates(
        _stack(points["body"]),
        segments=np.stack(known) if known else None,
        left_mm=_stack(points["left"]),
        right_mm=_stack(points["right"]),
    )
    return Spine(candidates, tuple(levels))


def _keypoint(entry: Any, number: int, path: Path) -> tuple[str, Floats]:
    try:
        kind, place = entry["type"]["keypoint_type"], entry["coordinates"]["world_space"]
    except (TypeError, KeyError, IndexError):
        raise _unlike(path, f"entry {number} without type and coordinates") from None
    if kind not in KINDS:
        raise _unlike(path, f"a keypoint {kind!r} in entry {number}"[:100])
    point = _numbers(place)
    if point is None or np.abs(point).max() > POINT_MAX_MM:
        raise _unlike(path, f"a point {place!r}"[:80] + f" in entry {number}")
    return kind, point * LPS_TO_RAS


def _segments(kind: dict[str, Any], number: int, path: Path) -> Floats | None:
    given = kind.get("spine_segment_probabilities")
    if given is None:
        return None
    values = _numbers(given)
    if values is None or values.min() < 0 or values.max() > 1:
        raise _unlike(path, f"segment probabilities {given!r}"[:80] + f" in entry {number}")
    return values


def _level(kind: dict[str, Any], number: int, path: Path) -> str:
    level = kind.get("spine_level", "")
    if level != "" and (not isinstance(level, str) or level not in RANK):
        raise _unlike(path, f"the level {level!r}"[:60] + f" in entry {number}")
    return str(level)


def _numbers(values: Any) -> Floats | None:
    """Return three finite numbers as (3,), None for anything else."""
    if not isinstance(values, list) or len(values) != 3:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        return None
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:  # an integer that no float holds
        return None
    return numbers if np.isfinite(numbers).all() else None


def _stack(points: list[Floats]) -> Floats:
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def _unlike(path: Path, found: str) -> DatasetError:
    return DatasetError(
        path,
        found=found,
        expected='[{"coordinates": {"world_space": [x, y, z]}, "type": {"keypoint_type": "body", '
        '"spine_segment_probabilities": [c, t, l]}}, ...] with finite numbers, LPS mm',
        fix="correct the file",
    )
