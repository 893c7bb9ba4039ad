"""By what a result is known again: its scan, the code and the model that made it."""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vertebra_ml.case import Case

PACKAGE = Path(__file__).parents[1]


def digest(*parts: object) -> str:
    """Return a short digest of plain values, in their order."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def scan_mark(case: Case) -> str:
    """Return what tells this scan from another and from itself after a change.

    That is its id, its absolute path, and the size and time of change of each file of it: no image
    is read. A scan that is not there has a mark too.
    """
    place = os.fsencode(os.path.abspath(case.source)).hex()  # noqa: PTH100 - without links resolved
    return digest(case.id, place, list(_files(case.source)))


def _files(source: Path) -> Iterator[tuple[str, int, int]]:
    for path in _parts(source):
        try:
            state = path.stat()
        except OSError:
            continue
        yield os.fsencode(path.name).hex(), state.st_size, state.st_mtime_ns


def _parts(source: Path) -> list[Path]:
    """Return every file of a folder, a ``.raw`` with its sidecars, or the one file."""
    try:
        if source.is_dir():
            return sorted(path for path in source.rglob("*") if not path.is_dir())
        if source.suffix.lower() == ".raw":
            stem = source.name[: -len(source.suffix)]
            return sorted(p for p in source.parent.iterdir() if p.name.split(".")[0] == stem)
    except OSError:
        return []
    return [source]


@cache
def code_mark() -> str:
    """Return a digest of this library's own code, by which answers of other code are told apart."""
    content = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        content.update(f"{path.relative_to(PACKAGE).as_posix()}\0".encode() + path.read_bytes())
    return content.hexdigest()[:32]
