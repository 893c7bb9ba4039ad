"""What a two-stage model learns from: samples for each of its networks."""

from functools import partial
from pathlib import Path

import pandas as pd

from pipelines.inputs import PARTS
from pipelines.sampled import STAGES, Tables, described, judged
from pipelines.stage import MODELS, PREPARED, VALIDATION, read_table
from pipelines.taught import Taught
from vertebra_ml.bounds import travelling
from vertebra_ml.config import Params
from vertebra_ml.errors import DatasetError
from vertebra_ml.limits import gate
from vertebra_ml.two_stage import carried, fitting

KIND = "two_stage"
ANCHOR = MODELS / "slice_spotter"
"""Carried along: its second opinion on the names is asked with every scan."""
TABLE = PREPARED / "samples.csv"
VERBS = {"train": "train", "validation": "tune"}

Samples = dict[str, dict[str, list[Path]]]


def taught(params: Params, folder: Path) -> Taught:
    """Run the gate ``inputs-two_stage`` over the samples and say how they are learnt.

    ``folder`` is the model's, to be written. Raises GateError, DatasetError, and ModelError where
    there is no slice spotter to carry.
    """
    del folder  # nothing is begun from another model
    table, section = sample_table(), params.models.two_stage
    check_samples(table, section.levels, section.architecture)
    samples = paths_of(table)
    settings = section.model_dump()
    groups = {f"{row['case']}.npz": row["group"] for row in table.to_dict("records")}
    counts = table["part"].value_counts()
    anchor = carried.facts(ANCHOR)
    return Taught(
        table=table,
        files=[path for parts in samples.values() for paths in parts.values() for path in paths],
        teach=partial(
            fitting.train,
            settings,
            samples,
            groups,
            seed=params.seed,
            anchor=ANCHOR,
            limits=travelling(params.limits.model_dump()),
        ),
        settings={"settings": settings, "anchor": anchor},
        said=", ".join(f"{counts.get(part, 0)} cases to {verb}" for part, verb in VERBS.items()),
    )


def sample_table() -> pd.DataFrame:
    """Return the table of samples trained or tuned on. Raises DatasetError where there is none."""
    try:
        table = read_table(TABLE)
    except FileNotFoundError:
        table = pd.DataFrame(columns=["part"])
    table = table[table["part"].isin(PARTS)].reset_index(drop=True)
    if table.empty:
        raise DatasetError(
            TABLE, found="no sample at all", expected="labelled CTs, phantoms or both",
            fix="add scans with landmarks in mm to data/, or samples.phantoms in params.yaml",
        )  # fmt: skip
    return table


def check_samples(table: pd.DataFrame, levels: tuple[str, ...], architecture: str) -> None:
    """Run the gate ``inputs-two_stage``: both samples of each row are there and what they were."""
    entries, tables = table.to_dict("records"), Tables()
    for stage in STAGES:
        tables |= judged(described(entries, stage, architecture), levels, stage.capitalize())
    gate(tables, name=f"inputs-{KIND}", folder=VALIDATION)


def paths_of(table: pd.DataFrame) -> Samples:
    """Return the files of each network by part, in the order of the table."""
    return {
        stage: {
            part: [
                PREPARED / stage / f"{case}.npz" for case in table["case"][table["part"] == part]
            ]
            for part in PARTS
        }
        for stage in STAGES
    }
