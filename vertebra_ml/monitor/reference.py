"""The reference: scans like those a model was trained on, and what it answers for them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertebra_ml.errors import DatasetError
from vertebra_ml.monitor.columns import COLUMNS, answer_columns

if TYPE_CHECKING:
    import pandas as pd


def reference_rows(
    facts: Iterable[Mapping[Any, Any]], answers: Iterable[Mapping[Any, Any]]
) -> list[dict[str, object]]:
    """Join facts of scans with a model's answers for some of them.

    Parameters
    ----------
    facts : rows with ``case``, ``form`` and the facts of ``served.facts``.
    answers : rows of ``slices.csv``, a row a level; of scans without facts they are left out.
    """
    levels: dict[str, list[Mapping[Any, Any]]] = {}
    for answer in answers:
        levels.setdefault(str(answer["case"]), []).append(answer)
    rows = []
    for fact in facts:
        told = _answer(levels[str(fact["case"])]) if str(fact["case"]) in levels else {}
        rows.append({column: {**fact, **told}.get(column) for column in COLUMNS})
    return rows


def read_reference(path: Path) -> "pd.DataFrame":
    """Read a reference. Raises DatasetError where it is none, or holds no scan."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        found = f"{type(error).__name__}"
    else:
        lost = [column for column in COLUMNS if column not in table]
        if not lost and len(table):
            return table
        found = f"no column {', '.join(lost)}" if lost else "no row"
    raise DatasetError(
        path, found=found, expected="the reference.csv of a model",
        fix="give reports/<kind>/reference.csv, or --model with a registered one",
    )  # fmt: skip


def _answer(rows: list[Mapping[Any, Any]]) -> dict[str, object]:
    held = [row for row in rows if str(row["found"]).lower() == "true"]
    scores, spread_mm = (
        {str(row["level"]): row[name] for row in held if row[name] == row[name]}  # no NaN
        for name in ("score", "spread_mm")
    )
    said = str(rows[0].get("warning") or "")
    count = 0 if said in ("", "nan") else len(said.split("; "))
    return answer_columns([str(row["level"]) for row in held], scores, spread_mm, count)
