"""Project every raw scan of the split to its pair of MIPs."""

from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipelines import facts
from pipelines.cases import cases_by_id
from pipelines.fingerprint import Digests
from pipelines.products import _place, _take_up, forget, item_key, make_all, product_key
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
from vertebra_ml.errors import DatasetError, GateError
from vertebra_ml.limits import MIP_RULES, SPLIT_RULES, bind, check_row, gate, row_count
from vertebra_ml.many.cluster import ClusterCrew
from vertebra_ml.many.projecting import project_afar
from vertebra_ml.many.sizes import fitting
from vertebra_ml.many.workers import free_bytes
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
    if params.project.scheduler:
        make_afar(params, keys, folder)
    workers = fitting(cases, at_most=params.phantoms.workers, free=free_bytes())
    try:
        make_all(tasks, folder=folder, keys=keys, workers=workers)
    except BrokenExecutor as error:
        raise DatasetError(
            folder, found="a process that ended at its work, killed perhaps for its memory",
            expected=f"{workers} that live until all scans are projected",
            fix="run it again, with fewer phantoms.workers: the finished scans are kept",
        ) from error  # fmt: skip
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


def make_afar(params: Params, keys: Mapping[str, str], folder: Path) -> None:
    """Have the workers of a cluster make what is missing, into the cache that ``make_all`` reads.

    The data's folder must lie there where it lies here. Raises DatasetError naming each scan that
    failed, CrewError where no worker is left; the finished ones are kept for the next run.
    """
    root = params.data.root.absolute()
    there = params.model_copy(update={"data": params.data.model_copy(update={"root": root})})
    cases = cases_by_id(there, [name.removesuffix(".npz") for name in keys])
    kept = {name: _place(folder, name, keys[name]) for name in keys}
    _take_up(folder, kept, keys)
    todo = {
        path: case for path, case in zip(kept.values(), cases, strict=True) if not path.exists()
    }
    if not todo:
        return
    with ClusterCrew(params.project.scheduler) as crew:
        done = project_afar(todo, projection_of(params), crew)
        told = tqdm(done, total=len(todo), desc=str(folder), mininterval=2)
        faults = [line for _, line in told if line]
    if faults:
        raise DatasetError(
            folder, found=f"{len(faults)} of {len(keys)} failed: {' | '.join(sorted(faults))}",
            expected="all of them made", fix="mend or drop these; the finished ones are kept",
        )  # fmt: skip


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
