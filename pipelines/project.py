"""Project every raw scan of the split to its pair of MIPs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipelines import facts
from pipelines.cases import cases_by_id
from pipelines.fingerprint import Digests
from pipelines.products import forget, item_key, make_all, product_key
from pipelines.split import with_parts
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
from vertebra_ml.limits import MIP_RULES, SPLIT_RULES, bind, check_row, gate, row_count
from vertebra_ml.projected import project_case

MADE_BY = (
    "vertebra_ml.projected", "vertebra_ml.prepare", "vertebra_ml.archive", "vertebra_ml.readers",
)  # fmt: skip


def main(params: Params) -> None:
    """Write ``prepared/mips/<case>.npz`` and ``prepared/mips.csv``, and run the gate ``mips``."""
    split = read_table(PREPARED / "split.csv")
    projection = projection_of(params)
    folder = PREPARED / "mips"
    cases = cases_by_id(params, split["case"])
    tasks = {f"{case.id}.npz": partial(write, case, projection) for case in cases}
    key = product_key(MADE_BY, projection)
    with Digests() as digests:
        keys = {f"{case.id}.npz": item_key(key, digests.of_case(case)) for case in cases}
    make_all(tasks, folder=folder, keys=keys, workers=params.phantoms.workers)
    rows = described(folder, list(split["case"]), projection["spacing_mm"])
    parts = dict(zip(split["case"], split["part"], strict=True))
    table = write_table(PREPARED / "mips.csv", [row | {"part": parts[row["case"]]} for row in rows])
    rules = (*bind(MIP_RULES, params.limits.model_dump()), row_count(len(tasks), len(tasks)))
    tables = {"MIP archives": (table, rules), "Split": (with_parts(split), SPLIT_RULES)}
    try:
        gate(tables, name="mips", folder=VALIDATION)
    except GateError:  # what was found wanting is not taken up again
        forget(folder, [f"{row['case']}.npz" for row in rows if check_row(row, rules)])
        raise


def described(folder: Path, cases: Sequence[str], spacing_mm: float) -> list[facts.Row]:
    """Return the facts of each case's archive; one that is another's is at fault."""
    cases = list(dict.fromkeys(cases))
    paths = [folder / f"{case}.npz" for case in cases]
    rows = facts.of_archives(paths, spacing_mm=spacing_mm)
    return [
        row if row["case"] == case else {"case": case, "fault": f"found that of {row['case']}"}
        for case, row in zip(cases, rows, strict=True)
    ]


def write(case: Case, projection: dict[str, Any], path: Path) -> None:
    """Write the MIP archive of one raw case to ``path``. Raises VertebraError."""
    write_archive(path, project_case(case, projection))


if __name__ == "__main__":
    run(main)
