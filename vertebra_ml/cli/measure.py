"""The command that measures models on a labelled data set."""

from pathlib import Path
from typing import Annotated

import typer

from vertebra_ml.cli.scans import PRODUCTION, Model, localiser_of
from vertebra_ml.cli.talk import PARAMS, Layout, Settings, bar, finish, one_line_errors, settings
from vertebra_ml.outputs import check_folder


@one_line_errors
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of the labelled data set.")],
    layout: Layout = "plain",
    model: Model = PRODUCTION,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("evaluated"),
    params: Settings = PARAMS,
) -> None:
    """Measure a model on a labelled data set: table, numbers with intervals, one HTML report.

    Every scan is answered just as `locate` and the server answer it.
    """
    from vertebra_ml.batch import evaluate_all
    from vertebra_ml.evaluation import Measures, in_words, write_evaluation
    from vertebra_ml.readers import find

    check_folder(out)
    cases = find(data, layout)
    chosen = settings(params)
    localiser = localiser_of(model)
    with bar(len(cases), "evaluate") as progress:
        found = evaluate_all(localiser, cases, out=out, on_progress=progress.update)
    measures = Measures(chosen.evaluate.gross_mm, chosen.evaluate.bootstrap, chosen.seed)
    facts = {"data": data, "layout": layout, "asked for as": model}
    summary = write_evaluation(out, found, measures, title=f"{model} on {data}", facts=facts)
    typer.echo(in_words(found, summary))
    typer.echo(f"Report: {out / 'report.html'}")
    finish(found.failures)
