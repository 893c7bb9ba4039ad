"""The command line: thin, and slow imports only inside the command that needs them.

Exit status: 0 all done; 1 some case failed or a check did not pass; 2 wrong usage.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vertebra_ml.errors import VertebraError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Finds vertebrae in CT: the slice of L3 and T12. Research use; no medical device.",
)

PRODUCTION = "models:/vertebra-slice-spotter@production"

Scans = Annotated[
    list[Path],
    typer.Argument(
        help="NIfTI files, DICOM folders or zips, MIP archives.", show_default=False, metavar="CT..."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the results; made where it is missing.")]
Model = Annotated[
    str, typer.Option(help="models:/NAME@ALIAS, models:/NAME/VERSION, or a model folder.")
]
Layout = Annotated[str, typer.Option(help="How the data set is laid out: plain, verse (docs/data.md).")]
Name = Annotated[str, typer.Argument(help="Registered model, e.g. vertebra-slice-spotter.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the version for good.")]


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn the library's errors into one line on standard error and exit status 1."""
    try:
        yield
    except VertebraError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _finish(failures: Iterable[str]) -> None:
    lines = list(failures)
    for line in lines:
        typer.echo(f"error: {line}", err=True)
    if lines:
        raise typer.Exit(1)


def _bar(total: int, what: str) -> Any:
    """Return a progress bar on standard error; silent where nobody watches."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="scan", disable=not sys.stderr.isatty())


@app.command()
def locate(
    scans: Scans,
    out: Out = Path("located"),
    model: Model = PRODUCTION,
    overlay: Annotated[bool, typer.Option(help="Also write a picture a scan.")] = False,
) -> None:
    """Find levels in scans: a row per scan and level in OUT/slices.csv and OUT/slices.json.

    A level outside the scan is found = false with empty coordinates, never a guess.
    """
    with _one_line_errors():
        from vertebra_ml.batch import locate_all

        localiser = _localiser(model)
        with _bar(len(scans), "locate") as bar:
            _, failures = locate_all(
                localiser, scans, out=out, overlay=overlay, on_progress=lambda: bar.update()
            )
        typer.echo(f"{len(scans) - len(failures)} of {len(scans)} scans located: {out}/slices.csv")
        _finish(failures)


def _localiser(model: str) -> Any:
    """Load a model by registry name or folder."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # the runtime greets on standard error
    from vertebra_ml.models import load_model

    if not model.startswith("models:/"):
        return load_model(Path(model))
    from vertebra_ml.tracking import fetch

    return load_model(*fetch(model))


if __name__ == "__main__":
    app()
