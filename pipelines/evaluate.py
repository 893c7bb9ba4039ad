"""Measure a trained model the way it is served: on raw scans of the test part, and on phantoms."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd
from tqdm import tqdm

from pipelines.cases import cases_by_id
from pipelines.drawn import DrawnAhead
from pipelines.stage import (
    MODELS,
    PREPARED,
    REPORTS,
    VALIDATION,
    read_table,
    run,
    seeds_of,
    write_table,
)
from vertebra_ml import metrics, models
from vertebra_ml.batch import Evaluation, evaluate_all
from vertebra_ml.config import Params
from vertebra_ml.evaluation import Measures, in_words, write_evaluation
from vertebra_ml.limits import METRIC_RULES, bind, check_row, gate
from vertebra_ml.report import RELIABILITY_BINS

QUALITY = ("cases", "n", "median_mm", "mean_mm", "p90_mm", "median_slices", "gross_rate",
           "off_by_one_rate", "presence_right")  # fmt: skip


def main(params: Params, kind: str) -> None:
    """Write ``reports/<kind>`` and run the gate ``metrics-<kind>``."""
    folder, section = REPORTS / kind, params.evaluate
    localiser = models.load_model(MODELS / kind)
    split = read_table(PREPARED / "split.csv")
    scans = cases_by_id(params, split["case"][split["part"] == "test"])
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
    print(in_words(found, summary))
    write_numbers(params, kind, found, summary)


def write_numbers(params: Params, kind: str, found: Evaluation, summary: Mapping[str, Any]) -> None:
    """Write what ``dvc metrics`` and ``dvc plots`` show and the verdict, then run the gate."""
    folder = REPORTS / kind
    entries = {"all": summary["overall"], **summary["levels"]}
    rows = [
        {"case": name, "failed": len(found.failures) if name == "all" else None}
        | {number: entry[number] for number in QUALITY}
        for name, entry in entries.items()
    ]
    quality = {row["case"]: {number: row[number] for number in QUALITY} for row in rows}
    (folder / "quality.json").write_text(json.dumps(quality, indent=1) + "\n")
    table = metrics.as_table(found.rows)
    errors = table.dropna(subset="error_mm").sort_values("error_mm")
    errors["share"] = errors.groupby("level").cumcount() / errors.groupby("level")[
        "case"
    ].transform("size")
    write_table(
        folder / "errors.csv", errors[["level", "share", "error_mm", "case"]].to_dict("records")
    )
    bins = metrics.reliability(table, RELIABILITY_BINS, right_mm=params.evaluate.gross_mm)
    write_table(folder / "reliability.csv", bins.dropna().to_dict("records"))
    rules = bind(METRIC_RULES, params.gate.model_dump())
    failures = [f"{f.case}: {f.line}" for row in rows for f in check_row(row, rules)]
    verdict = {"passed": not failures, "failures": failures}
    (folder / "verdict.json").write_text(json.dumps(verdict, indent=1) + "\n")
    for line in found.failures:
        print(line)
    gate({"Quality": (pd.DataFrame(rows), rules)}, name=f"metrics-{kind}", folder=VALIDATION)


if __name__ == "__main__":
    run(main, *sys.argv[1:])
