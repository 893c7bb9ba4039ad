"""Look at every raw scan and its labels; stop where one is not what a scan may be."""

from pipelines import facts
from pipelines.cases import raw_cases
from pipelines.stage import PREPARED, VALIDATION, read_table, run, write_table
from vertebra_ml.config import Params
from vertebra_ml.limits import RAW_RULES, bind, gate, row_count


def main(params: Params) -> None:
    """Write ``prepared/scans.csv``, a row a scan of the index, and run the gate ``raw``."""
    index = read_table(PREPARED / "index.csv")
    found = facts.of_cases(raw_cases(params), workers=params.phantoms.workers)
    rows = [
        {str(name): value for name, value in entry.items()} | row
        for entry, row in zip(index.to_dict("records"), found, strict=True)
    ]
    table = write_table(PREPARED / "scans.csv", rows)
    rules = (*bind(RAW_RULES, params.limits.model_dump()), row_count(1))
    gate({"Raw scans": (table, rules)}, name="raw", folder=VALIDATION)


if __name__ == "__main__":
    run(main)
