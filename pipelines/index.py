"""Find every scan of the data: id, patient, layout and where it lies."""

from pipelines.cases import raw_cases
from pipelines.stage import PREPARED, run, write_table
from vertebra_ml.config import Params
from vertebra_ml.errors import DatasetError


def main(params: Params) -> None:
    """Write ``prepared/index.csv``, a row a scan."""
    rows = [
        {
            "case": case.id,
            "patient": case.patient,
            "layout": case.layout,
            "source": case.source.as_posix(),
        }
        for case in raw_cases(params)
    ]
    if not rows:
        raise DatasetError(
            params.data.root, found="no scan", expected=f"scans in {dict(params.data.sources)}",
            fix="fetch the data with `dvc pull`, or correct data.sources in params.yaml",
        )  # fmt: skip
    table = write_table(PREPARED / "index.csv", rows)
    print(f"{len(table)} scans of {table['patient'].nunique()} patients")


if __name__ == "__main__":
    run(main)
