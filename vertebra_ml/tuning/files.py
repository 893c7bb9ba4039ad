"""Small files of a search: written whole, held by one process."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vertebra_ml.errors import ModelError


def write_json(path: Path, content: Any) -> None:
    """Write a file in one step: a kill leaves the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)


def read_json(path: Path) -> Any:
    """Read a file that ``write_json`` wrote; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(
            path, found=f"{type(error).__name__}: {error}", expected="what a search wrote there",
            fix="begin a new search with --again",
        ) from error  # fmt: skip


@contextmanager
def held(folder: Path, refused: str = "") -> Iterator[None]:
    """Hold a folder alone; a killed holder frees it.

    Waits for another that holds it, or raises ModelError saying ``refused``, where that is given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if refused else 0))
        except BlockingIOError as error:
            raise ModelError(
                folder, found=refused, expected="one at a time",
                fix="wait for it, or end it; the same command then goes on",
            ) from error  # fmt: skip
        yield
