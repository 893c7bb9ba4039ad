"""Answers as plain rows, and back: what a journal holds and what a worker of a cluster sends.

The plain form is an entry of ``slices.json``. What comes back from it makes the same files, digit
for digit, since those are made of its rounded numbers.
"""

import math
from collections.abc import Mapping
from typing import Any

from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, SliceReference

Entry = Mapping[str, Any]


def prediction_of(entry: Entry, case: str) -> Prediction:
    """Return the answer that ``outputs.entry`` made this entry of.

    Raises DatasetError where it is none, or of another case.
    """
    try:
        _check_case(entry["case"], case)
        levels = list(entry["levels"])
        found = [level for level in levels if level["found"]]
        absent = [level for level in levels if level["found"] is False]
        untold = [level for level in levels if level["found"] is None]
        scores = tuple(_value(level["score"]) for level in absent)
        return Prediction(
            case=case,
            landmarks=_landmarks(found),
            missing=tuple(level["level"] for level in absent),
            slices=tuple(_place(level) for level in found),
            model=ModelIdentity(**{name: str(value) for name, value in entry["model"].items()}),
            seconds=float(entry["seconds"]),
            warnings=tuple(" ".join(str(line).split()) for line in entry["warnings"]),
            absent_scores=scores,
            untold={level["level"]: _value(level["score"]) for level in untold},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found_text = error.found if isinstance(error, VertebraError) else repr(error)
        raise DatasetError(
            case,
            found=f"an answer that does not fit ({found_text})",
            expected="an entry as in slices.json",
            fix="repeat the command with --again; workers need the same version",
        ) from error


def _check_case(name: object, case: str) -> None:
    if name != case:
        raise ValueError(f"an entry of {name!r}")


def _landmarks(found: list[Mapping[str, Any]]) -> Landmarks:
    columns = [[_value(level[f"{axis}_mm"]) for axis in "xyz"] for level in found]
    labels = tuple(level["level"] for level in found)
    if not labels:
        return Landmarks.empty()
    scores, spread = ([_value(level[name]) for level in found] for name in ("score", "spread_mm"))
    return Landmarks(labels, columns, scores, spread)  # type: ignore[arg-type]


def _place(level: Mapping[str, Any]) -> SliceReference | None:
    if level["slice_index"] is None:
        return None
    number, uid = level["instance_number"], level["sop_instance_uid"]
    return SliceReference(
        int(level["slice_index"]),
        None if number is None else int(number),
        None if uid is None else str(uid),
    )


def _value(number: Any) -> float:
    return math.nan if number is None else float(number)
