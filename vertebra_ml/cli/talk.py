"""How the commands speak: one line an error, a bar for long work, settings from one file."""

import logging
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
from vertebra_ml.readers import LAYOUTS
from vertebra_ml.refused import in_words

if TYPE_CHECKING:
    from vertebra_ml.config import Params

PARAMS = Path("params.yaml")
LIBRARY = "vertebra_ml"

Layout = Annotated[
    str, typer.Option(help=f"How the data lies on disk: {', '.join(LAYOUTS)}; see docs/data.md.")
]
Settings = Annotated[Path, typer.Option(help="Settings file: limits, projection, tracking.")]


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn the library's errors into one line on standard error and exit status 1."""

    @wraps(command)
    def told(*arguments: Any, **options: Any) -> None:
        try:
            with noted():
                command(*arguments, **options)
        except VertebraError as error:
            _tell(error)
            raise typer.Exit(1) from None
        except OSError as error:  # a disk that is full, a folder that may not be written
            _tell(in_words(error))
            raise typer.Exit(1) from None

    return told


class _Notes(logging.Handler):
    """Says each warning of the library once, in a line of its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if line not in self._said:
            self._said.add(line)
            _tell(line, "note")


@contextmanager
def noted() -> Iterator[None]:
    """Print the library's warnings on standard error as ``note: ...`` while a command runs.

    Whatever else the process has set of them: each logger of the library is listened to itself, so
    that one which does not pass on, was disabled or had its level raised is heard all the same.
    """
    top, handler = logging.getLogger(LIBRARY), _Notes()
    loggers = [top, *_loggers_below(LIBRARY)]
    kept = [(each, each.disabled, each.level) for each in loggers]
    passed_on = top.propagate
    top.propagate = False  # a package that sets up logging would say everything twice
    for logger in loggers:
        logger.addHandler(handler)  # which says a line once, however often it is told
        logger.disabled = False
        if logger.getEffectiveLevel() > logging.WARNING:
            logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        top.propagate = passed_on
        for logger, disabled, level in kept:
            logger.removeHandler(handler)
            logger.disabled = disabled
            logger.setLevel(level)


def _loggers_below(name: str) -> list[logging.Logger]:
    """Return the loggers below ``name`` that there are; one made later passes on to these."""
    known = list(logging.Logger.manager.loggerDict.items())
    return [
        logger
        for key, logger in known
        if key.startswith(f"{name}.") and isinstance(logger, logging.Logger)
    ]


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
def collected(failures: list[str], where: Path) -> Iterator[None]:
    """Keep the line of an error and go on with the scan after ``where``."""
    try:
        yield
    except VertebraError as error:
        text, name = str(error), " ".join(str(where).split())
        failures.append(text if name in text else f"{name}: {text}")
    except OSError as error:
        failures.append(in_words(error, where))


def finish(failures: Sequence[str]) -> None:
    """Print each failure in a line of its own, once; exit status 1 where there is one."""
    for line in dict.fromkeys(failures):  # a broken archive fails each of its entries alike
        _tell(line)
    if failures:
        raise typer.Exit(1)


def note(line: object) -> None:
    """Print one line that is worth knowing and no error."""
    _tell(line, "note")


def _tell(line: object, kind: str = "error") -> None:
    """Print one line, above a bar that runs; a file name that is not UTF-8 is spelt out."""
    text = f"{kind}: {line}".encode(errors="backslashreplace").decode()
    if "tqdm" in sys.modules and sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        typer.echo(text, err=True)


def bar(total: int, what: str) -> Any:
    """Return a progress bar on standard error; silent where nobody watches."""
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit="scan", disable=not sys.stderr.isatty())


def settings(path: Path) -> "Params":
    """Read the settings file. Raises ModelError naming what is wrong in it."""
    from vertebra_ml.config import load

    return load(path)
