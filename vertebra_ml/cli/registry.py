"""Commands on registered models: list, promote, roll back, audit. Promotion is a person's act."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vertebra_ml.cli.talk import PARAMS, Settings, note, one_line_errors, settings

if TYPE_CHECKING:
    from vertebra_ml.tracking import Weighing
    from vertebra_ml.tracking.comparison import Comparison

Name = Annotated[str, typer.Argument(help="Registered model, e.g. vertebra-slice-spotter.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the version for good.")]
DECISIVE = ("median_mm", "gross_rate", "presence_right")
SPLIT = Path("prepared/split.csv")


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
    reason: Annotated[str, typer.Option(help="Why; kept for good. Needed but in a dry run.")] = "",
    version: Annotated[
        str | None, typer.Option(help="Default: the newest that passed the gate.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also a worse one, or one that cannot be compared.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the comparison, change nothing.")
    ] = False,
    rescore: Annotated[
        bool,
        typer.Option(
            "--rescore",
            help="Score the version in production anew, on the test cases of this project, by its "
            "own packed code. Minutes; needed where its cases were others.",
        ),
    ] = False,
    only_first: Annotated[
        bool, typer.Option("--only-first", help="Do nothing where a version is in production.")
    ] = False,
    params: Settings = PARAMS,
) -> None:
    """Let a version that passed the gate answer as `production`; the one before can come back.

    It is held against the version in production, on the same test cases, and refused where it is
    worse: in gross errors, vertebrae identified, median error or presence. Significantly, by a
    paired bootstrap, or by more than the margins of `promotion` in params.yaml.
    """
    from vertebra_ml import tracking

    held = tracking.in_production(name, _uri(params))
    weighing = None
    if held and not only_first and params.is_file():
        weighing = _weighing(params, name, held if rescore else None)
    if dry_run:
        _try_out(name, version, weighing, params)
        return
    chosen = tracking.promote(
        name, reason=reason, version=version, uri=_uri(params), weighing=weighing, forced=force,
        only_first=only_first,
    )  # fmt: skip
    if chosen == held:
        typer.echo(f"{name}: version {held} is in production and stays")
    else:
        typer.echo(f"{name}: version {chosen} is in production (before: {held or 'none'})")


@one_line_errors
def rollback(name: Name, reason: Reason, params: Settings = PARAMS) -> None:
    """Let the version that was in production before answer again."""
    from vertebra_ml import tracking

    held = tracking.in_production(name, _uri(params))
    back = tracking.rollback(name, reason=reason, uri=_uri(params))
    if back == held:
        typer.echo(
            f"{name}: version {back} was brought back for this reason already, and stays; "
            "to undo that, roll back for another reason"
        )
    else:
        typer.echo(f"{name}: version {back} is in production again (before: {held or 'none'})")


@one_line_errors
def audit(
    name: Name,
    csv: Annotated[bool, typer.Option("--csv", help="Every column, as the artifact has it.")] = (
        False
    ),
    params: Settings = PARAMS,
) -> None:
    """Print who let which version answer, when, why and against what; checks that none changed."""
    from vertebra_ml import tracking
    from vertebra_ml.tracking.in_words import audit_in_words

    entries, text = tracking.audit_of(name, _uri(params))
    if csv:
        typer.echo(text, nl=False)
    elif not entries:
        typer.echo(f"{name}: nothing was promoted here yet")
    else:
        typer.echo(audit_in_words(entries))
        typer.echo(f"{len(entries)} rows, none changed; chain {entries[-1].chain}")


def _try_out(name: str, version: str | None, weighing: "Weighing | None", params: Path) -> None:
    from vertebra_ml import tracking

    chosen, found = tracking.weigh(name, weighing, version=version, uri=_uri(params))
    if found is None:
        typer.echo(f"{name}: version {chosen} has none in production to be compared with")
        return
    _tell(found)
    said = "be refused without --force" if found.worse else "be promoted"
    typer.echo(f"{name}: version {chosen} would {said}; nothing was changed")


def _weighing(params: Path, name: str, again: str | None) -> "Weighing":
    """Return how to compare, by the parameters; version ``again`` is scored anew for it."""
    from vertebra_ml.cli.rescoring import rescored
    from vertebra_ml.tracking import Weighing
    from vertebra_ml.tracking.comparison import Rule

    chosen = settings(params)
    section = chosen.promotion
    return Weighing(
        Rule(chosen.evaluate.gross_mm, section.bootstrap, chosen.seed, section.margin.model_dump()),
        patients=_patients(params.parent / SPLIT),
        rescored={again: rescored(chosen, name, again)} if again else {},
        tell=_tell,
    )


def _patients(split: Path) -> dict[str, str]:
    """Return the patient of each case of this project; none where it was never split."""
    if not split.is_file():
        note(f"no {split} here: each test case counts as a patient of its own")
        return {}
    import csv

    with split.open(newline="", encoding="utf-8") as file:
        return {row["case"]: row["patient"] for row in csv.DictReader(file)}


def _tell(comparison: "Comparison") -> None:
    from vertebra_ml.tracking.in_words import comparison_in_words

    typer.echo(comparison_in_words(comparison))


def _uri(params: Path = PARAMS) -> str | None:
    """Return the tracking store: the environment's, else that of params.yaml here, else none."""
    if os.environ.get("MLFLOW_TRACKING_URI") or not params.is_file():
        return None
    return settings(params).tracking.uri


def _line(row: dict[str, object]) -> str:
    metrics = row["metrics"] if isinstance(row["metrics"], dict) else {}
    numbers = " ".join(f"{name} {metrics[name]:.3g}" for name in DECISIVE if name in metrics)
    aliases = row["aliases"] if isinstance(row["aliases"], tuple) else ()
    since = f"  promoted {row['promoted']}" if row["promoted"] and "production" in aliases else ""
    return (
        f"{row['name']} version {row['version']}  {' '.join(map(str, aliases)) or '-'}  "
        f"gate {row['gate']}  {row['created']}  {numbers}{since}"
    )
