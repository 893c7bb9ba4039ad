"""The log of requests as a table: its last lines, whatever files they are in."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml.errors import DatasetError
from vertebra_ml.monitor.columns import COLUMNS, answer_columns
from vertebra_ml.served.journal import ANSWERED, PATTERN

if TYPE_CHECKING:
    import pandas as pd

ID_LETTERS: Final = 12
MORE: Final = ("time", "model", "version", "data_hash", "outcome", "refused", "seconds")


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests, oldest first: a row a line, and how many lines could not be read."""

    table: "pd.DataFrame"
    unreadable: int


def read_requests(folder: Path, last: int, version: str | None = None) -> Requests:
    """Read the last ``last`` requests, of one model version or of all.

    Columns: ``COLUMNS`` and ``MORE``; ``refused`` is 0 or 1, ``case`` the time and the beginning of
    the scan's digest. Raises DatasetError where there is no log.
    """
    import pandas as pd

    files = sorted(folder.glob(PATTERN), reverse=True)
    if not files:
        raise DatasetError(
            folder, found="no log of requests", expected=f"files {PATTERN}",
            fix="name the folder that VERTEBRA_ML_LOG named to the server",
        )  # fmt: skip
    rows: list[dict[str, Any]] = []
    unreadable = 0
    for entry in _newest_first(files):
        row = None if entry is None else _row(entry)
        unreadable += row is None
        if row is not None and version in (None, row["version"]):
            rows.append(row)
        if len(rows) == last:
            break
    table = pd.DataFrame(rows[::-1], columns=[*COLUMNS, *MORE])
    return Requests(table, unreadable)


def _newest_first(files: list[Path]) -> Iterator[dict[str, Any] | None]:
    """Yield what each line holds, None for one that is broken."""
    for path in files:
        for line in reversed(path.read_text(encoding="utf-8", errors="replace").splitlines()):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                yield None
            else:
                yield entry if isinstance(entry, dict) else None


def _row(entry: dict[str, Any]) -> dict[str, Any] | None:
    try:
        done = entry["outcome"] == ANSWERED
        answer = (
            answer_columns(
                entry["found"], entry["scores"], entry["spread_mm"], int(entry["warnings"])
            )
            if done
            else {}
        )
        facts = {key: value for key, value in entry["facts"].items() if key in COLUMNS}
        return {
            **facts,
            **answer,
            **{key: entry[key] for key in MORE if key != "refused"},
            "case": f"{entry['time']} {str(entry['scan'] or '')[:ID_LETTERS]}".strip(),
            "refused": int(not done),
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
