"""Deal the patients into training, validation and test; who has a part already keeps it."""

import json

import pandas as pd

from pipelines.stage import PREPARED, VALIDATION, read_table, run, write_table, write_text
from vertebra_ml.config import Params
from vertebra_ml.limits import PART_RULES, SPLIT_RULES, gate
from vertebra_ml.split import PARTS, leaks, split_patients

MADE = PREPARED / "split.made.json"
"""The parts dealt, and by which settings: other settings deal anew."""


def main(params: Params) -> None:
    """Write ``prepared/split.csv``, a row a scan, and run the gate ``split``.

    ``prepared/split.made.json`` remembers every patient's part for the next run.
    """
    scans = read_table(PREPARED / "scans.csv")
    scans["labels"] = scans["labels"].fillna("")
    levels_of = {
        str(patient): set(" ".join(group["labels"]).split())
        for patient, group in scans.groupby("patient")
    }
    shares = {part: getattr(params.split, part) for part in PARTS}
    levels = params.split.levels
    settings = {"seed": params.seed, "shares": shares, "levels": list(levels)}
    part_of = split_patients(levels_of, shares, levels, params.seed, earlier(settings))
    rows = scans[["case", "patient", "layout", "labels", "fingerprint"]]
    rows = rows.assign(part=rows["patient"].map(part_of))
    write_table(PREPARED / "split.csv", rows.to_dict("records"))
    check(rows, shares, levels)
    made = {"settings": settings, "parts": part_of}
    write_text(MADE, json.dumps(made, indent=0, sort_keys=True))


def earlier(settings: dict[str, object]) -> dict[str, str]:
    """Return patient -> part of the split dealt before by these settings; empty if there is none.

    One that a gate stopped is not remembered.
    """
    try:
        made = json.loads(MADE.read_text(encoding="utf-8"))
        same = made["settings"] == settings
        return {str(p): part for p, part in made["parts"].items() if same and part in PARTS}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def check(split: pd.DataFrame, shares: dict[str, float], levels: tuple[str, ...]) -> None:
    """Run the gate ``split`` on a table case, patient, part, labels. Raises GateError."""
    split = with_parts(split)
    patients = split["patient"].nunique()
    parts = []
    for part in PARTS:
        members = split[split["part"] == part]
        missing = sorted(set(levels) - set(" ".join(members["labels"]).split()))
        share = members["patient"].nunique() / patients
        parts.append(
            {
                "case": part,
                "patients": members["patient"].nunique(),
                "scans": len(members),
                "share": f"{share:.2f} for {shares[part]:.2f}",
                "share_off": round(share - shares[part], 4),
                "levels_missing": len(missing),
                "missing": " ".join(missing),
            }
        )
    tables = {"Scans": (split, SPLIT_RULES), "Parts": (pd.DataFrame(parts), PART_RULES)}
    gate(tables, name="split", folder=VALIDATION)


def with_parts(split: pd.DataFrame) -> pd.DataFrame:
    """Return a table patient, part with the column ``parts_of_patient``: 1 where none is torn."""
    torn = leaks(list(zip(split["patient"], split["part"], strict=True)))
    return split.assign(parts_of_patient=[len(torn.get(p, "1")) for p in split["patient"]])


if __name__ == "__main__":
    run(main)
