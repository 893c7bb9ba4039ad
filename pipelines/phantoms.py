"""Draw the synthetic cohort and project it: whole trunks, and scans as they come."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.compact import coarse, repack
from pipelines.people import Person, people_of
from pipelines.products import make_all, product_key
from pipelines.stage import (
    PREPARED,
    VALIDATION,
    projection_of,
    read_table,
    run,
    write_table,
    write_text,
)
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.config import Params
from vertebra_ml.limits import (
    MIP_RULES,
    PHANTOM_RULES,
    bind,
    describe_archive,
    gate,
    row_count,
)
from vertebra_ml.phantom.cohort import Phantom
from vertebra_ml.prepare import project

MADE_BY = ("vertebra_ml.phantom", "vertebra_ml.prepare", "vertebra_ml.archive", "pipelines.compact")
COLUMNS = ("case", "patient", "group", "part", "kind", "seed", "levels", "labels", "fault")
"""What the table has at least, also where no phantom is asked for."""


def main(params: Params) -> None:
    """Write ``prepared/phantoms/`` and ``prepared/phantoms.csv``, and run the gate ``phantoms``."""
    projection = projection_of(params)
    people = {f"{person.name}.npz": person for person in people_of(params, params.phantoms)}
    tasks = {name: partial(write, person, projection) for name, person in people.items()}
    folder = PREPARED / "phantoms"
    key = product_key(MADE_BY, projection | {"seed": params.seed})
    keys = dict.fromkeys(tasks, key)  # a phantom's name holds its seed
    make_all(tasks, folder=folder, keys=keys, workers=params.phantoms.workers)
    rows = [
        describe_archive(folder / name, spacing_mm=projection["spacing_mm"])
        | {"part": person.part, "kind": person.kind, "seed": person.seed}
        for name, person in people.items()
    ]
    table = write_rows(PREPARED / "phantoms.csv", rows)
    limits = params.limits.model_dump()
    trunks, scans = (table[table["kind"] == kind] for kind in ("trunks", "scans"))
    tables = {
        "Whole trunks": (trunks, bind(PHANTOM_RULES, limits)),
        "Scans": (scans, bind(MIP_RULES, limits)),
        "Cohort": (table, (row_count(len(tasks), len(tasks)),)),
    }
    gate(tables, name="phantoms", folder=VALIDATION)


def write_rows(path: Path, rows: list[dict[str, object]]) -> pd.DataFrame:
    """Write the table as ``write_table`` does; without phantoms it has its columns alone."""
    if rows:
        return write_table(path, rows)
    write_text(path, ",".join(COLUMNS))
    return read_table(path)


def write(person: Person, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of a phantom to ``path``."""
    write_drawn(person, person.draw(), projection, path)


def write_drawn(person: Person, made: Phantom, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of a phantom that is drawn already."""
    pair = coarse(project(made.volume, **projection))
    entry = Archive(person.name, person.name, "phantom", pair, made.volume.origin, made.truth)
    write_archive(path, entry)
    repack(path)


if __name__ == "__main__":
    run(main)
