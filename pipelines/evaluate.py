"""Measure a trained model the way it is served: on raw scans of the test part, and on phantoms."""

import sys

import pandas as pd
from tqdm import tqdm

from pipelines.cases import cases_by_id
from pipelines.drawn import DrawnAhead
from pipelines.quality import judge, write_numbers, write_plots
from pipelines.stage import (
    MODELS,
    PREPARED,
    REPORTS,
    read_table,
    run,
    seeds_of,
    write_text,
)
from vertebra_ml import metrics, models
from vertebra_ml.batch import evaluate_all
from vertebra_ml.config import Params
from vertebra_ml.evaluation import SCANS, Measures, in_words, write_evaluation
from vertebra_ml.id_rates import SCAN_COLUMNS

WANT_CTS = ("two_stage",)
"""Kinds that cannot answer for a case of MIPs alone: they are not judged by it."""


def main(params: Params, kind: str) -> None:
    """Write ``reports/<kind>`` and run the gate ``metrics-<kind>``."""
    folder, section = REPORTS / kind, params.evaluate
    (folder / "worst").mkdir(parents=True, exist_ok=True)
    localiser = models.load_model(MODELS / kind)
    split = read_table(PREPARED / "split.csv")
    scans = cases_by_id(params, split["case"][split["part"] == "test"])
    if kind in WANT_CTS:
        scans = [case for case in scans if case.open_volume is not None]
    seeds = seeds_of(params, "test", section.phantoms)
    with (
        DrawnAhead(seeds, params.phantoms.workers) as drawn,
        tqdm(total=len(scans) + len(seeds), desc=str(folder), mininterval=2) as bar,
    ):
        found = evaluate_all(localiser, scans + drawn.cases, out=folder, on_progress=bar.update)
    summary = write_evaluation(
        folder,
        found,
        Measures(section.gross_mm, section.bootstrap, params.seed),
        title=f"{kind}: {', '.join(localiser.levels)}",
        facts={"seed": params.seed, "scans": len(scans), "phantom seeds": f"{seeds[:1]} and on"},
        history=pd.read_csv(MODELS / kind / "history.csv"),
    )
    if not (folder / SCANS).exists():  # heights alone name no column; every kind has the same files
        write_text(folder / SCANS, ",".join(SCAN_COLUMNS))
    print(in_words(found, summary))
    for line in found.failures:
        print(line)
    write_numbers(folder, summary)
    write_plots(folder, metrics.as_table(found.rows), section.gross_mm)
    judge(folder, summary, found.failures, params.gate.model_dump())


if __name__ == "__main__":
    run(main, *sys.argv[1:])
