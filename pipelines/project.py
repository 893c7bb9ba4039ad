"""Project every raw scan of the split to its pair of MIPs."""

from functools import partial
from pathlib import Path
from typing import Any

from pipelines.cases import cases_by_id
from pipelines.products import make_all, product_key
from pipelines.stage import (
    PREPARED,
    VALIDATION,
    projection_of,
    read_table,
    run,
    write_table,
)
from vertebra_ml.archive import write_archive
from vertebra_ml.case import Case
from vertebra_ml.config import Params
from vertebra_ml.limits import MIP_RULES, bind, describe_archive, gate, row_count
from vertebra_ml.projected import project_case

MADE_BY = ("vertebra_ml.prepare", "vertebra_ml.archive", "vertebra_ml.readers")


def main(params: Params) -> None:
    """Write ``prepared/mips/<case>.npz`` and ``prepared/mips.csv``, and run the gate ``mips``."""
    split = read_table(PREPARED / "split.csv").set_index("case")
    projection = projection_of(params)
    # The fingerprints stand for the scans: a changed one is projected again.
    scans = read_table(PREPARED / "scans.csv").to_csv()
    folder = PREPARED / "mips"
    tasks = {
        f"{case.id}.npz": partial(write, case, projection)
        for case in cases_by_id(params, split.index)
    }
    key = product_key(MADE_BY, projection | {"scans": scans})
    make_all(tasks, folder=folder, key=key, workers=params.phantoms.workers)
    rows = [describe_archive(folder / name, spacing_mm=projection["spacing_mm"]) for name in tasks]
    parts = split["part"].to_dict()
    table = write_table(
        PREPARED / "mips.csv", [row | {"part": parts[str(row["case"])]} for row in rows]
    )
    rules = (*bind(MIP_RULES, params.limits.model_dump()), row_count(len(tasks), len(tasks)))
    gate({"MIP archives": (table, rules)}, name="mips", folder=VALIDATION)


def write(case: Case, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of one raw case to ``path``. Raises VertebraError."""
    write_archive(path, project_case(case, projection))


if __name__ == "__main__":
    run(main)
