"""How the commands speak: one line an error, a bar for long work, settings from one file."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vertebra_ml.errors import VertebraError

if TYPE_CHECKING:
    from vertebra_ml.config import Params

PARAMS = Path("params.yaml")

Layout = Annotated[str, typer.Option(help="How the data lies on disk; docs/data.md shows each.")]
Settings = Annotated[Path, typer.Option(help="Settings file: limits, projection, tracking.")]


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the library's errors into one line on standard error and exit status 1."""

    @wraps(command)
    def told(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except VertebraError as error:
            _tell(error)
            raise typer.Exit(1) from None

    return told


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep what TensorFlow's native code says of itself at its start off standard error.

    It has no switch for all of it. Errors are raised in Python and are not lost.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    kept = os.dup(2)
    with TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def collected(failures: list[str]) -> Iterator[None]:
    """Keep the line of an error and go on with the next scan."""
    try:
        yield
    except VertebraError as error:
        failures.append(str(error))


def finish(failures: Sequence[str]) -> None:
    """Print each failure in a line of its own; exit status 1 where there is one."""
    for line in failures:
        _tell(line)
    if failures:
        raise typer.Exit(1)


def _tell(line: object) -> None:
    """Print an error's line; a file name that is not UTF-8 is spelt out."""
    typer.echo(f"error: {line}".encode(errors="backslashreplace").decode(), err=True)


def bar(total: int, what: str) -> Any:
    """Return a progress bar on standard error; silent where nobody watches."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="scan", disable=not sys.stderr.isatty())


def settings(path: Path) -> "Params":
    """Read the settings file. Raises ModelError naming what is wrong in it."""
    from vertebra_ml.config import load

    return load(path)
