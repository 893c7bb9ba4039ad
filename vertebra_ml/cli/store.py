"""Command on the tracking store: made ready once, looked at ever after."""

import os

import typer

from vertebra_ml.cli.talk import PARAMS, Settings, one_line_errors, settings


@one_line_errors
def store(params: Settings = PARAMS) -> None:
    """Make the tracking store of params.yaml ready, and say where it keeps what.

    On PostgreSQL once by the role that owns the database (docs/group.md); done again by anybody
    it changes nothing, and shows whether that person can read, write and lock there.
    """
    from vertebra_ml.tracking.ready import make_ready

    section = settings(params).tracking
    uri = os.environ.get("MLFLOW_TRACKING_URI") or section.uri
    about = make_ready(uri, experiment=section.experiment, artifacts=section.artifacts)
    typer.echo(f"store: {about.address}")
    typer.echo(f"artifacts: {about.artifacts}")
    typer.echo(f"lock: {about.locked_by}")
