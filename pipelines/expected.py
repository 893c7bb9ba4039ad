"""Facts of scans like those that models are trained on: what `vertebra-ml monitor` compares with.

They are the scans of the data, and the test part's phantoms drawn from the training ranges: bodies
and scanners as trained on, people that no training saw, and answers where the evaluation has them.
"""

import os
from functools import partial
from typing import Any

from joblib import Parallel, delayed

from pipelines.cases import raw_cases
from pipelines.stage import PREPARED, projection_of, run, seeds_of, write_table
from vertebra_ml import phantom
from vertebra_ml.case import Case
from vertebra_ml.config import Params
from vertebra_ml.errors import VertebraError
from vertebra_ml.leash import end_with
from vertebra_ml.prepare import project
from vertebra_ml.served.facts import Facts, facts_of, facts_of_mips
from vertebra_ml.volume import Volume

EVERY = 2  # the evaluation draws from two populations in turn, see `pipelines.drawn`


def main(params: Params) -> None:
    """Write ``prepared/expected.csv``, a row a scan and form."""
    seeds = seeds_of(params, "test", EVERY * params.monitor.phantoms)[::EVERY]
    cases = raw_cases(params) + [_phantom(seed) for seed in seeds]
    work = (delayed(_rows)(case, projection_of(params)) for case in cases)
    leash = {"initializer": end_with, "initargs": (os.getpid(),)}
    found = Parallel(n_jobs=params.phantoms.workers, **leash)(work)
    write_table(PREPARED / "expected.csv", [row for rows in found for row in rows])


def _phantom(seed: int) -> Case:
    name = f"phantom-test-{seed}"
    return Case(name, name, PREPARED / name, "phantom", partial(_draw, seed))


def _draw(seed: int) -> Volume:
    return phantom.draw(seed, "training").volume


def _rows(case: Case, how: dict[str, Any]) -> list[Facts]:
    """Return the facts of a scan and of its MIPs; what cannot be read is the gate's to tell."""
    known: Facts = {"case": case.id}
    try:
        if case.open_mips is not None:
            return [known | facts_of_mips(*case.open_mips())]
        if case.open_volume is None:
            return []
        volume = case.open_volume()
        return [
            known | facts_of(volume),
            known | facts_of_mips(project(volume, **how), volume.origin),
        ]
    except VertebraError:
        return []


if __name__ == "__main__":
    run(main)
