"""Project every raw scan of the split to its pair of MIPs."""

from functools import partial
from pathlib import Path
from typing import Any

from pipelines import facts
from pipelines.cases import cases_by_id
from pipelines.fingerprint import Digests
from pipelines.products import forget, item_key, make_all, product_key
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
from vertebra_ml.errors import GateError
from vertebra_ml.limits import MIP_RULES, bind, check_row, gate, row_count
from vertebra_ml.projected import project_case

MADE_BY = (
    "vertebra_ml.projected", "vertebra_ml.prepare", "vertebra_ml.archive", "vertebra_ml.readers",
)  # fmt: skip


def main(params: Params) -> None:
    """Write ``prepared/mips/<case>.npz`` and ``prepared/mips.csv``, and run the gate ``mips``."""
    split = read_table(PREPARED / "split.csv").set_index("case")
    projection = projection_of(params)
    folder = PREPARED / "mips"
    cases = cases_by_id(params, split.index)
    tasks = {f"{case.id}.npz": partial(write, case, projection) for case in cases}
    key = product_key(MADE_BY, projection)
    with Digests() as digests:
        keys = {f"{case.id}.npz": item_key(key, digests.of_case(case)) for case in cases}
    make_all(tasks, folder=folder, keys=keys, workers=params.phantoms.workers)
    paths = [folder / name for name in tasks]
    rows = facts.of_archives(paths, spacing_mm=projection["spacing_mm"])
    parts = split["part"].to_dict()
    table = write_table(
        PREPARED / "mips.csv", [row | {"part": parts[str(row["case"])]} for row in rows]
    )
    rules = (*bind(MIP_RULES, params.limits.model_dump()), row_count(len(tasks), len(tasks)))
    try:
        gate({"MIP archives": (table, rules)}, name="mips", folder=VALIDATION)
    except GateError:  # what was found wanting is not taken up again
        forget(folder, [f"{row['case']}.npz" for row in rows if check_row(row, rules)])
        raise


def write(case: Case, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of one raw case to ``path``. Raises VertebraError."""
    write_archive(path, project_case(case, projection))


if __name__ == "__main__":
    run(main)
