"""The facts and the rules of samples: looked at when they are cut, and before they are learnt."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pipelines import facts
from pipelines.inputs import PARTS, part_facts
from pipelines.split import with_parts
from pipelines.stage import PREPARED
from vertebra_ml.anatomy import VARIANTS
from vertebra_ml.limits import INPUT_PART_RULES, SAMPLE_RULES, Rule, row_count
from vertebra_ml.two_stage.compact.column import FAR_MM, NEAR_MM

STAGES = ("detection", "identification")
"""The two networks, and the folders of ``prepared/`` that hold what they learn from."""

ROW_MM = {("compact", "detection"): FAR_MM[2], ("compact", "identification"): NEAR_MM[2]}
"""Height of a row where an architecture keeps places; the published one keeps pieces of CTs."""

Row = dict[str, Any]
Tables = dict[str, tuple[pd.DataFrame, Sequence[Rule]]]


def described(entries: Sequence[Mapping[Any, Any]], stage: str, architecture: str) -> list[Row]:
    """Return the facts of the sample of each entry (case, patient, part) for a stage, in order.

    Samples with nothing to learn are left out.
    """
    paths = [PREPARED / stage / f"{entry['case']}.npz" for entry in entries]
    found = facts.of_samples(paths, row_mm=ROW_MM.get((architecture, stage)))
    return [
        row | {name: entry[name] for name in ("patient", "part")}
        for entry, row in zip(entries, found, strict=True)
        if row["fault"] or row["pieces"]
    ]


def judged(rows: Sequence[Row], levels: Sequence[str], heading: str) -> Tables:
    """Return what a gate wants: the samples and, where there are any, the parts, with their rules.

    ``levels`` are those to be answered for; each part must show each that most people have.
    """
    ruled = [name for rule in SAMPLE_RULES for name in (rule.column, rule.show) if name]
    columns = dict.fromkeys(["case", "patient", *ruled, *(name for row in rows for name in row)])
    columns.pop("parts_of_patient")
    table = with_parts(pd.DataFrame(rows, columns=list(columns)))
    tables: Tables = {heading: (table, (*SAMPLE_RULES, row_count(len(rows), len(rows))))}
    if rows:
        usual = [level for level in levels if level not in VARIANTS]
        parts = pd.DataFrame([part_facts(part, rows, usual) for part in PARTS])
        tables[f"Parts of {heading.lower()}"] = (parts, INPUT_PART_RULES)
    return tables
