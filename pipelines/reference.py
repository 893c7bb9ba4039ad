"""The reference of a model: facts of scans like those trained on, beside its answers for them."""

import sys

from pipelines.stage import PREPARED, REPORTS, read_table, run, write_table
from vertebra_ml.config import Params
from vertebra_ml.monitor.reference import reference_rows


def main(params: Params, kind: str) -> None:
    """Write ``reports/<kind>/reference.csv``, which travels with the model's run."""
    facts = read_table(PREPARED / "expected.csv").to_dict(orient="records")
    answers = read_table(REPORTS / kind / "slices.csv").to_dict(orient="records")
    write_table(REPORTS / kind / "reference.csv", reference_rows(facts, answers))


if __name__ == "__main__":
    run(main, *sys.argv[1:])
