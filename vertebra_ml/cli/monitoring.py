"""The command that watches a served model: are the scans still like those it was made for?"""

from pathlib import Path
from typing import Annotated

import typer

from vertebra_ml.cli.scans import PRODUCTION
from vertebra_ml.cli.talk import PARAMS, Settings, one_line_errors, settings
from vertebra_ml.outputs import check_folder


@one_line_errors
def monitor(
    log: Annotated[Path, typer.Option(help="Folder that VERTEBRA_ML_LOG names to the server.")],
    last: Annotated[
        int | None, typer.Option(min=1, help="How many requests; default: monitor.last.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="A reference.csv; default: that of --model.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="models:/NAME@ALIAS or models:/NAME/VERSION, for its reference.")
    ] = PRODUCTION,
    version: Annotated[
        str | None, typer.Option(help="Only requests that this version of the model answered.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("monitored"),
    params: Settings = PARAMS,
) -> None:
    """Compare the last requests with scans like those a model was trained on.

    Writes OUT/monitor.html and OUT/monitor.json. Exit status: 0 fine, or too few requests to tell;
    1 they have drifted.
    """
    from vertebra_ml.monitor.judge import DRIFT, judge, write
    from vertebra_ml.monitor.reference import read_reference
    from vertebra_ml.monitor.requests import read_requests

    section = settings(params).monitor
    check_folder(out)
    requests = read_requests(log, last or section.last, version)
    known = read_reference(reference or _of_model(model, params))
    judgement = judge(known, requests, section)
    write(judgement, out, "Requests beside the reference")
    for reason in judgement.reasons:
        typer.echo(reason)
    typer.echo(f"{judgement.verdict}: {len(requests.table)} requests. Report: {out}/monitor.html")
    if judgement.verdict == DRIFT:
        raise typer.Exit(1)


def _of_model(model: str, params: Path) -> Path:
    """Return the reference that was kept with the run of a registered model."""
    import os

    from vertebra_ml.tracking.reference import reference_of

    uri = None if os.environ.get("MLFLOW_TRACKING_URI") else settings(params).tracking.uri
    return reference_of(model, uri)
