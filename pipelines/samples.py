"""Cut what both networks of a two-stage model learn from, out of phantoms and labelled scans.

Each CT is opened, or drawn, once for both: the worker that writes the sample for detection leaves
that for identification where the second round looks for what is finished.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.compact import repack
from pipelines.learnable import Learnable, learnables
from pipelines.products import CACHE, forget, make_all
from pipelines.sampled import STAGES, Row, described, judged
from pipelines.stage import PREPARED, VALIDATION, read_table, run, write_table, write_text
from vertebra_ml.config import Params
from vertebra_ml.errors import GateError
from vertebra_ml.limits import SAMPLE_RULES, check_row, gate
from vertebra_ml.two_stage.architectures import architecture, function
from vertebra_ml.two_stage.cuts import Cut

ABOUT = ("case", "patient", "group", "part", "kind", "seed")
COLUMNS = (*ABOUT, "levels", *STAGES)
"""What the table has, also where there is nothing to learn from; a stage's column is its grid."""


def main(params: Params) -> None:
    """Write ``prepared/detection/``, ``prepared/identification/`` and ``prepared/samples.csv``.

    Runs the gates ``detection`` and ``identification``. A CT without a landmark that has x, y and
    z keeps a file without pictures, so that it is not opened again, and has no row.
    """
    settings = params.models.two_stage
    address = architecture(settings.architecture).cut
    items = learnables(params, read_table(PREPARED / "split.csv"), address.partition(":")[0])
    make(items, address, workers=params.phantoms.workers)
    entries = [{name: getattr(item, name) for name in ABOUT} for item in items]
    rows = {stage: described(entries, stage, settings.architecture) for stage in STAGES}
    write_samples(entries, rows)
    for stage in STAGES:
        check(rows[stage], settings.levels, stage)


def make(items: Sequence[Learnable], address: str, *, workers: int) -> None:
    """Fill both folders; ``address`` names the function that cuts. Raises DatasetError."""
    first, second = (PREPARED / stage for stage in STAGES)
    named = {f"{item.case}.npz": item for item in items}
    keys = {name: item.key for name, item in named.items()}
    both = {
        name: partial(write_both, item, address, CACHE / second.name / f"{item.key}-{name}")
        for name, item in named.items()
    }
    make_all(both, folder=first, keys=keys, workers=workers)
    lost = {name: partial(_second, item, address) for name, item in named.items()}
    make_all(lost, folder=second, keys=keys, workers=workers)


def write_samples(entries: Sequence[Mapping[str, Any]], rows: Mapping[str, Sequence[Row]]) -> None:
    """Write ``prepared/samples.csv``, a row a case that has both samples."""
    found = [{row["case"]: row for row in rows[stage]} for stage in STAGES]
    kept = [entry for entry in entries if all(entry["case"] in each for each in found)]
    table = [
        {**entry, "levels": found[1][entry["case"]].get("labels")}
        | {
            stage: each[entry["case"]].get("shape")
            for stage, each in zip(STAGES, found, strict=True)
        }
        for entry in kept
    ]
    bare = len(entries) - len(kept)
    print(f"{len(kept)} to learn from" + (f"; {bare} without a landmark in mm" if bare else ""))
    if table:
        write_table(PREPARED / "samples.csv", table)
    else:
        write_text(PREPARED / "samples.csv", ",".join(COLUMNS))


def check(rows: Sequence[Row], levels: Sequence[str], stage: str) -> None:
    """Run the gate named as the stage; what it finds wanting is made anew by the next run."""
    try:
        gate(judged(rows, levels, "Samples"), name=stage, folder=VALIDATION)
    except GateError:
        wanting = [f"{row['case']}.npz" for row in rows if check_row(row, SAMPLE_RULES)]
        forget(PREPARED / stage, wanting)
        raise


def write_both(item: Learnable, address: str, other: Path, path: Path) -> None:
    """Write the sample for detection to ``path``, that for identification to ``other``."""
    kept, about = _cut(item, address)
    other.parent.mkdir(parents=True, exist_ok=True)
    part = other.with_name(f".{os.getpid()}-{other.name}")
    _write(part, about | kept.identification)
    part.replace(other)
    _write(path, about | kept.detection)


def _second(item: Learnable, address: str, path: Path) -> None:
    """Write the sample for identification alone: that of the first round is gone."""
    kept, about = _cut(item, address)
    _write(path, about | kept.identification)


def _cut(item: Learnable, address: str) -> tuple[Cut, Row]:
    """Return what is cut of a CT, and what both samples say of whose it is."""
    volume, marks = item.open()
    about = {name: np.array(getattr(item, name)) for name in ("case", "patient", "group")}
    about |= {"labels": np.array(marks.labels, dtype="U3"), "points_mm": marks.points_mm}
    if not len(marks):
        return Cut({}, {}), about
    cut: Cut = function(address)(volume, marks, item.seed)
    return cut, about


def _write(path: Path, arrays: Row) -> None:
    np.savez(path, allow_pickle=False, **arrays)
    repack(path)


if __name__ == "__main__":
    run(main)
