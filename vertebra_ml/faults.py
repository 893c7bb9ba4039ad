"""What one scan's fault is on the command line: one line, whatever was raised."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, VertebraError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


def attempt(case: Case, failures: list[str], task: Callable[[], Result]) -> Result | None:
    """Return what ``task`` returns, or None, with a line in ``failures``, where it raised."""
    try:
        return task()
    except Exception as error:  # whatever one scan does, the others are finished
        logger.debug("%s", case.source, exc_info=True)
        failures.append(as_line(case.source, error))
        return None


def as_line(where: Path, error: Exception) -> str:
    """Return in one line what went wrong with the scan ``where``, naming the file.

    Of an error that is not ours only its kind and place are told: its words may quote the scan's.
    A file name that is not UTF-8 is spelt out, so that the line can be written anywhere.
    """
    if isinstance(error, VertebraError):
        text, shown = str(error), " ".join(str(where).split())
        text = text if shown in text else f"{shown}: {text}"
    else:
        found, fix = kind_and_place(error), "open it in a viewer to see what is wrong"
        if isinstance(error, MemoryError):
            found, fix = "more than the memory of this machine", "crop it, or use a larger machine"
        expected = "a CT that can be read"
        text = str(DatasetError(where, found=found, expected=expected, fix=fix))
    return text.encode(errors="backslashreplace").decode()


def kind_and_place(error: Exception) -> str:
    """Return of an error that is not ours its kind and where it was raised, never its words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__} ({error.strerror})"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
