"""The judgement: requests beside the reference, one verdict, a page and a JSON file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vertebra_ml.monitor.columns import WORDED
from vertebra_ml.monitor.drift import QUANTILES, Shift, shifts
from vertebra_ml.monitor.requests import Requests
from vertebra_ml.monitor.rules import Held, expectations
from vertebra_ml.outputs import replace_text

if TYPE_CHECKING:
    import pandas as pd

    from vertebra_ml.config import Monitor

PAGE, VERDICT = "monitor.html", "monitor.json"
FINE, DRIFT, FEW = "fine", "drift", "too few requests to judge"
DIGITS: Final = 4


@dataclass(frozen=True, eq=False)
class Judgement:
    """What the page and the verdict say."""

    verdict: str
    requests: Requests
    reference: "pd.DataFrame"
    shifts: tuple[Shift, ...]
    held: tuple[Held, ...]
    least: int

    @property
    def reasons(self) -> list[str]:
        """A line for each column that drifted and each expectation not met."""
        drifted = [
            f"{_named(shift)} has moved (stability index {shift.index:.2f})"
            for shift in self.shifts
            if shift.drifted
        ]
        unmet = [f"{h.says}: {h.seen}, expected {h.allows}" for h in self.held if not h.met]
        return drifted + unmet


def judge(reference: "pd.DataFrame", requests: Requests, settings: "Monitor") -> Judgement:
    """Compare; with fewer than ``requests_min`` requests nothing is judged."""
    least, table = settings.requests_min, requests.table
    if len(table) < least:
        return Judgement(FEW, requests, reference, (), (), least)
    moved = shifts(
        reference, table, index_max=settings.index_max, chance_max=settings.chance_max, least=least
    )
    held = expectations(
        table,
        moved,
        outside_share_max=settings.outside_share_max,
        refused_share_max=settings.refused_share_max,
    )
    drift = any(shift.drifted for shift in moved) or not all(each.met for each in held)
    return Judgement(
        DRIFT if drift else FINE, requests, reference, tuple(moved), tuple(held), least
    )


def write(judgement: Judgement, folder: Path, title: str) -> None:
    """Write ``monitor.html`` and ``monitor.json``, each whole or not at all."""
    from vertebra_ml.monitor.page import page

    replace_text(folder / PAGE, page(judgement, title))
    replace_text(folder / VERDICT, json.dumps(as_json(judgement), indent=1) + "\n")


def as_json(judgement: Judgement) -> dict[str, Any]:
    """Return the verdict as plain values."""
    table = judgement.requests.table
    times = [str(table["time"].iloc[i]) for i in (0, -1)] if len(table) else []
    return {
        "verdict": judgement.verdict,
        "drift": judgement.verdict == DRIFT,
        "requests": len(table),
        "refused": int(table["refused"].sum()),
        "unreadable_lines": judgement.requests.unreadable,
        "reference_scans": len(judgement.reference),
        "from": times[:1],
        "to": times[1:],
        "reasons": judgement.reasons,
        "columns": [_shift(shift) for shift in judgement.shifts],
        "expectations": [vars(held) for held in judgement.held],
    }


def _shift(shift: Shift) -> dict[str, Any]:
    import numpy as np

    entry: dict[str, Any] = {
        "column": shift.column,
        "form": shift.form,
        "requests": len(shift.now),
        "stability_index": round(shift.index, DIGITS),
        "chance": float(f"{shift.chance:.3g}"),
        "drifted": shift.drifted,
    }
    if shift.before.dtype.kind == "f":
        for name, values in (("reference", shift.before), ("now", shift.now)):
            entry[name] = [round(float(v), DIGITS) for v in np.quantile(values, QUANTILES)]
    return entry


def _named(shift: Shift) -> str:
    return f"{WORDED[shift.column]}{f' of {shift.form}' if shift.form else ''}"
