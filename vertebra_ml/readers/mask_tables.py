"""What the numbers of a mask mean: tables of names, built in or given in ``labels.json``.

    {"table": "totalsegmentator"}          or "verse"
    {"table": {"1": "L5", "2": "L4", "7": "sacrum", "21": "hip_left"}, "patient": "p7"}

Nothing is guessed: a number that the table does not hold is a fault, and so is a name that looks
like a vertebra's and is none. ``vertebrae_L3`` means L3. Names with ``left`` or ``right`` between
their underscores are sided; any other name is passed over.
"""

import re
from pathlib import Path
from typing import Any, Final

from vertebra_ml.anatomy import LEVELS, USUAL, VERSE_ID
from vertebra_ml.case import ID_PATTERN
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.plain import read_json

Table = dict[int, str]

LABELS: Final = "labels.json"
KEYS: Final = frozenset({"table", "patient", "note"})
PREFIX: Final = "vertebrae_"
NUMBER_MAX: Final = 32766
"""Masks are held as int16, what is larger at its end: that one number stands for many."""
LIKE_A_VERTEBRA: Final = re.compile(r"(?:vertebrae?[ _-]?)?([CTL]\d+)", re.IGNORECASE)

PAIRS: Final = {
    3: "kidney_left", 2: "kidney_right", 69: "humerus_left", 70: "humerus_right",
    71: "scapula_left", 72: "scapula_right", 73: "clavicula_left", 74: "clavicula_right",
    75: "femur_left", 76: "femur_right", 77: "hip_left", 78: "hip_right",
}  # fmt: skip
TOTALSEGMENTATOR: Final[Table] = {
    **{number: f"class_{number}" for number in range(1, 119)},  # 118: cartilage, in early versions
    **PAIRS,
    **{51 - number: level for number, level in enumerate(USUAL, start=1)},
    **{91 + number: f"rib_left_{number}" for number in range(1, 13)},
    **{103 + number: f"rib_right_{number}" for number in range(1, 13)},
}
"""Classes of the task ``total``, version 2 (wasserth/TotalSegmentator, resources/totalsegmentator
class map): L5 is 27, T12 32, T1 43, C7 44, C1 50; of the rest only bones and kidneys are named."""
VERSE: Final[Table] = {
    **{number: level for level, number in VERSE_ID.items()},
    26: "sacrum",
    27: "coccyx",
}
TABLES: Final[dict[str, Table]] = {"totalsegmentator": TOTALSEGMENTATOR, "verse": VERSE}


def read_table(path: Path) -> Table:
    """Return number -> name from a ``labels.json``. Raises DatasetError naming the key at fault."""
    content = read_json(path)
    if not isinstance(content, dict) or not content.keys() <= KEYS or "table" not in content:
        raise _unlike(path, _keys(content))
    table = content["table"]
    if isinstance(table, str) and table in TABLES:
        return TABLES[table]
    if not isinstance(table, dict) or not table:
        raise _unlike(path, f"the table {table!r}"[:80])
    read = dict(_entry(path, key, name) for key, name in table.items())
    vertebrae = [name for name in read.values() if name in LEVELS]
    if len(read) != len(table) or len(set(vertebrae)) != len(vertebrae) or not vertebrae:
        raise _unlike(path, "a number or level given twice" if vertebrae else "no vertebra")
    return read


def patient_of(path: Path) -> str:
    """Return the patient that a ``labels.json`` names, else ""; its faults are told when read."""
    try:
        patient = read_json(path).get("patient", "") if path.exists() else ""
    except (DatasetError, AttributeError):
        return ""
    return patient if isinstance(patient, str) and ID_PATTERN.fullmatch(patient) else ""


def level_of_file(path: Path) -> str:
    """Return the level named by ``vertebrae_L3.nii.gz``; "" for S1.

    Raises DatasetError for any other name behind ``vertebrae_``.
    """
    name = path.name.removeprefix(PREFIX).split(".")[0]
    if name not in LEVELS and name != "S1":
        raise DatasetError(
            path, found=f"the level {name[:20]!r} in a file's name",
            expected=f"{PREFIX}C1 to {PREFIX}L6", fix="rename or remove the file",
        )  # fmt: skip
    return "" if name == "S1" else name


def _entry(path: Path, key: str, name: Any) -> tuple[int, str]:
    number = int(key) if key.isdecimal() and len(key) < 6 else 0
    if not 1 <= number <= NUMBER_MAX or not isinstance(name, str):
        raise _unlike(path, f"{key[:20]!r}: {name!r}"[:80])
    like = LIKE_A_VERTEBRA.fullmatch(name)
    if like and name.removeprefix(PREFIX) not in LEVELS:
        raise _unlike(path, f"the level {name!r}")
    return number, like[1] if like else name


def _keys(content: object) -> str:
    if not isinstance(content, dict):
        return f"a JSON {type(content).__name__}"
    unknown = sorted(content.keys() - KEYS)
    return f"unknown keys {', '.join(unknown)[:80]}" if unknown else "no table"


def _unlike(path: Path, found: str) -> DatasetError:
    return DatasetError(
        path,
        found=found,
        expected=f'{{"table": {" or ".join(sorted(TABLES))}, or {{"1": "L5", ...}}}}, each level '
        "once, names C1 to L6",
        fix="correct the file; docs/data.md shows one",
    )
