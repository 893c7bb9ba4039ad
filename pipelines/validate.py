"""Look at every raw scan and its labels; stop where one is not what a scan may be."""

from tqdm import tqdm

from pipelines.cases import raw_cases
from pipelines.stage import PREPARED, VALIDATION, read_table, run, write_table
from vertebra_ml.config import Params
from vertebra_ml.limits import RAW_RULES, bind, describe_case, gate, row_count


def main(params: Params) -> None:
    """Write ``prepared/scans.csv``, a row a scan of the index, and run the gate ``raw``."""
    index = read_table(PREPARED / "index.csv")
    cases = raw_cases(params)
    rows = [
        {str(name): value for name, value in entry.items()} | describe_case(case)
        for entry, case in tqdm(
            zip(index.to_dict("records"), cases, strict=True), "scans", len(index)
        )
    ]
    table = write_table(PREPARED / "scans.csv", rows)
    rules = (*bind(RAW_RULES, params.limits.model_dump()), row_count(1))
    gate({"Raw scans": (table, rules)}, name="raw", folder=VALIDATION)


if __name__ == "__main__":
    run(main)
