"""Measure a registered model on the test cases at hand, for a comparison; no stage of DVC's.

Just as ``evaluate`` measures a model folder, but the model answers as it is served: by the library
packed with it. ``vertebra-ml promote NAME --rescore`` runs it.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from pipelines.cases import cases_by_id
from pipelines.drawn import DrawnAhead
from pipelines.evaluate import WANT_CTS
from pipelines.stage import PREPARED, read_table, run, seeds_of, write_text
from vertebra_ml import id_rates, metrics
from vertebra_ml.batch import Evaluation, evaluate_all
from vertebra_ml.config import Params
from vertebra_ml.errors import ModelError
from vertebra_ml.evaluation import SCANS, TABLE, TABLE_DIGITS
from vertebra_ml.tracking.packed import Packed


def main(params: Params, kind: str, folder: str, out: str) -> None:
    """Write ``table.csv`` and ``scans.csv`` of the packed model ``folder`` into ``out``.

    Raises ModelError where the evaluation of ``kind`` is not up to date: then the cases at hand are
    not those that it speaks of.
    """
    _check_up_to_date(kind)
    split = read_table(PREPARED / "split.csv")
    scans = cases_by_id(params, split["case"][split["part"] == "test"])
    if kind in WANT_CTS:
        scans = [case for case in scans if case.open_volume is not None]
    seeds = seeds_of(params, "test", params.evaluate.phantoms)
    with (
        Packed(Path(folder)) as localiser,
        DrawnAhead(seeds, params.phantoms.workers) as drawn,
        tqdm(total=len(scans) + len(seeds), desc=f"rescore {kind}", mininterval=2) as bar,
    ):
        found = evaluate_all(
            localiser, scans + drawn.cases, out=Path(out), worst=0, on_progress=bar.update
        )
    for line in found.failures:
        tqdm.write(line, file=sys.stderr)
    _write(Path(out), found)


def _write(out: Path, found: Evaluation) -> None:
    table = metrics.as_table(found.rows).round(TABLE_DIGITS)
    write_text(out / TABLE, table.to_csv(index=False))
    columns = id_rates.name_columns(found.scans)
    rows = [id_rates.scan_row(scan) for scan in found.scans] * columns
    scans = pd.DataFrame(rows, columns=list(id_rates.SCAN_COLUMNS))
    write_text(out / SCANS, scans.to_csv(index=False))


def _check_up_to_date(kind: str) -> None:
    stage = f"evaluate@{kind}"
    done = subprocess.run(
        [Path(sys.executable).parent / "dvc", "status", "--quiet", stage], check=False
    )
    if done.returncode:
        raise ModelError(
            stage,
            found="data, code or parameters that have changed since",
            expected="an evaluation that is up to date, so that both are measured on its cases",
            fix="run `dvc repro`, or go back to the challenger by `git checkout`, `dvc checkout`",
        )


if __name__ == "__main__":
    run(main, *sys.argv[1:])
