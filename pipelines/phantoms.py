"""Draw the synthetic cohort and project it: whole trunks, and scans as they come."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.compact import coarse, repack
from pipelines.products import make_all, product_key
from pipelines.stage import (
    PREPARED,
    VALIDATION,
    projection_of,
    read_table,
    run,
    seeds_of,
    write_table,
    write_text,
)
from vertebra_ml import phantom
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
from vertebra_ml.phantom.cohort import Phantom, Population
from vertebra_ml.prepare import project

MADE_BY = ("vertebra_ml.phantom", "vertebra_ml.prepare", "vertebra_ml.archive", "pipelines.compact")
RANGES: dict[str, Population] = {"train": "training", "validation": "unlike"}
"""Those tuned on are drawn from other bodies and scanners than those trained on."""

COLUMNS = ("case", "patient", "group", "part", "kind", "seed", "levels", "labels", "fault")
"""What the table has at least, also where no phantom is asked for."""

SCANS_AFTER = 500_000
"""Seeds of scans lie this far above those of the trunks of their part."""

SCAN_VOXELS = 8_000_000
"""Bound on the voxels of a scan: thinner slices would cost more and project to the same MIP."""


@dataclass(frozen=True)
class Person:
    """One phantom to make."""

    part: str
    kind: str
    seed: int

    @property
    def name(self) -> str:
        """Its id, unique in the cohort."""
        kind = "" if self.kind == "trunks" else "scan-"
        return f"phantom-{kind}{self.part}-{self.seed}"

    def draw(self) -> Phantom:
        """Make its CT."""
        ranges = RANGES[self.part]
        if self.kind == "trunks":
            return phantom.trunk(self.seed, ranges)
        return phantom.draw(self.seed, ranges, voxels_max=SCAN_VOXELS)


def main(params: Params) -> None:
    """Write ``prepared/phantoms/`` and ``prepared/phantoms.csv``, and run the gate ``phantoms``."""
    projection = projection_of(params)
    people = {f"{person.name}.npz": person for person in people_of(params)}
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


def people_of(params: Params) -> list[Person]:
    """Return every phantom of the training and validation parts."""
    people = []
    for part in RANGES:
        cohort = getattr(params.phantoms, part)
        people += [Person(part, "trunks", seed) for seed in seeds_of(params, part, cohort.trunks)]
        seeds = seeds_of(params, part, cohort.scans)
        people += [Person(part, "scans", SCANS_AFTER + seed) for seed in seeds]
    return people


def write(person: Person, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of a phantom to ``path``."""
    made = person.draw()
    pair = coarse(project(made.volume, **projection))
    entry = Archive(person.name, person.name, "phantom", pair, made.volume.origin, made.truth)
    write_archive(path, entry)
    repack(path)


if __name__ == "__main__":
    run(main)
