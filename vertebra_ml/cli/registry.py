"""Commands on registered models: list, promote, roll back. Promotion is a person's act."""

import os
from typing import Annotated

import typer

from vertebra_ml.cli.talk import PARAMS, one_line_errors, settings

Name = Annotated[str, typer.Argument(help="Registered model, e.g. vertebra-slice-spotter.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the version for good.")]
DECISIVE = ("median_mm", "gross_rate", "presence_right")


@one_line_errors
def list_models() -> None:
    """List registered models: versions, aliases, whether the gate was passed, numbers."""
    from vertebra_ml import tracking

    rows = tracking.models(_uri())
    if not rows:
        typer.echo("no registered model here; `dvc repro` publishes one")
    for row in rows:
        typer.echo(_line(row))


@one_line_errors
def promote(
    name: Name,
    reason: Reason,
    version: Annotated[
        str | None, typer.Option(help="Default: the newest that passed the gate.")
    ] = None,
    only_first: Annotated[
        bool, typer.Option("--only-first", help="Do nothing where a version is in production.")
    ] = False,
) -> None:
    """Let a version that passed the gate answer as `production`; the one before can come back."""
    from vertebra_ml import tracking

    held = _in_production(name)
    if only_first and held:
        typer.echo(f"{name}: version {held} is in production and stays")
        return
    chosen = tracking.promote(name, reason=reason, version=version, uri=_uri())
    typer.echo(f"{name}: version {chosen} is in production (before: {held or 'none'})")


@one_line_errors
def rollback(name: Name, reason: Reason) -> None:
    """Let the version that was in production before answer again."""
    from vertebra_ml import tracking

    held = _in_production(name)
    back = tracking.rollback(name, reason=reason, uri=_uri())
    typer.echo(f"{name}: version {back} is in production again (before: {held or 'none'})")


def _uri() -> str | None:
    """Return the tracking store: the environment's, else that of params.yaml here, else none."""
    if os.environ.get("MLFLOW_TRACKING_URI") or not PARAMS.is_file():
        return None
    return settings(PARAMS).tracking.uri


def _in_production(name: str) -> str | None:
    from vertebra_ml import tracking

    rows = tracking.models(_uri())
    held = [row for row in rows if row["name"] == name and "production" in _aliases(row)]
    return str(held[0]["version"]) if held else None


def _aliases(row: dict[str, object]) -> tuple[str, ...]:
    aliases = row["aliases"]
    return tuple(map(str, aliases)) if isinstance(aliases, tuple) else ()


def _line(row: dict[str, object]) -> str:
    metrics = row["metrics"] if isinstance(row["metrics"], dict) else {}
    numbers = " ".join(f"{name} {metrics[name]:.3g}" for name in DECISIVE if name in metrics)
    aliases = " ".join(_aliases(row)) or "-"
    return (
        f"{row['name']} version {row['version']}  {aliases}  gate {row['gate']}  "
        f"{row['created']}  {numbers}"
    )
