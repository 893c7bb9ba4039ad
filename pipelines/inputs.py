"""The gate of a training: what it learns from is there, whole and what its tables say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.split import with_parts
from pipelines.stage import VALIDATION
from vertebra_ml.archive import Archive, read_archive
from vertebra_ml.errors import VertebraError
from vertebra_ml.limits import INPUT_PART_RULES, INPUT_RULES, gate

PARTS = ("train", "validation")
COLUMNS = ["case", "patient", "part", "file", "fault", "other", "spacing_off_mm", "labels"]


def check_inputs(
    table: pd.DataFrame, *, kind: str, levels: Sequence[str], spacing_mm: float
) -> None:
    """Run the gate ``inputs-<kind>`` on a table case, patient, part, path: an archive a row.

    ``levels`` are those that the model is to answer for. Raises GateError, naming the rows.
    """
    rows = [_row(entry, spacing_mm) for entry in table.to_dict("records")]
    parts = [part_facts(part, rows, levels) for part in PARTS]
    tables = {
        "Archives": (with_parts(pd.DataFrame(rows, columns=COLUMNS)), INPUT_RULES),
        "Parts": (pd.DataFrame(parts), INPUT_PART_RULES),
    }
    gate(tables, name=f"inputs-{kind}", folder=VALIDATION)


def _row(entry: Mapping[Any, Any], spacing_mm: float) -> dict[str, Any]:
    """Return the facts of one archive beside what the table says of it."""
    row = {name: entry[name] for name in ("case", "patient", "part")}
    path = Path(entry["path"])
    row |= {"file": path.as_posix(), "fault": None, "other": None}
    try:
        archive = read_archive(path)
    except VertebraError as error:
        return row | {"fault": f"found {error.found}", "spacing_off_mm": None, "labels": ""}
    views = (archive.pair.frontal, archive.pair.sagittal)
    steps = [step for mip in views for step in mip.spacing_mm]
    return row | {
        "other": _other(entry, archive),
        "spacing_off_mm": round(max(abs(step - spacing_mm) for step in steps), 6),
        "labels": " ".join(archive.truth.landmarks.labels) if archive.truth else "",
    }


def _other(entry: Mapping[Any, Any], archive: Archive) -> str | None:
    """Return what the archive says of itself where the table says another thing."""
    said = {"case": archive.case, "patient": archive.patient}
    wrong = [f"{name} {held}" for name, held in said.items() if held != entry[name]]
    return ", ".join(wrong) or None


def part_facts(
    part: str, rows: Sequence[Mapping[str, Any]], levels: Sequence[str]
) -> dict[str, Any]:
    """Return how many rows are of a part, and which levels none of them shows."""
    members = [row for row in rows if row["part"] == part]
    shown = set(" ".join(str(row.get("labels", "")) for row in members).split())
    missing = [level for level in levels if level not in shown]
    return {
        "case": part,
        "archives": len(members),
        "levels_missing": len(missing),
        "missing": " ".join(missing),
    }
