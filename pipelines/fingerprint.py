"""What a raw case is made of: a digest of all that its readers are given, files by their content.

A case holds plain functions with their arguments (see ``Case``). Every path among these stands for
the content behind it: a folder for all files below it, a file for itself and for those beside it
that differ in their ending alone (a ``.raw`` and its sidecar). A folder above the case is the root
that links may not leave, and stands for nothing. So no layout has to list its files.

Content is read once: digests are remembered in ``.cache/digests.json`` by path, as long as size,
mtime, ctime and inode of every file stay the same. Writing to a file sets its ctime, whatever is
done to its mtime afterwards, so a change that keeps size and mtime is still seen here.
"""

import hashlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any, Self

import numpy as np

from pipelines.products import CACHE, file_digest
from vertebra_ml.case import Case

NO_CONTENT = frozenset({"voxels_max"})
"""Arguments that say what is refused, not what is read."""

FRESH_S = 2.0
"""A file changed this shortly ago may change again within one tick of its clock: not remembered."""


class Digests:
    """Digests of content by path, remembered between runs; a context that writes them at its end.

    ``path`` is the file they are remembered in.
    """

    def __init__(self, path: Path = CACHE / "digests.json") -> None:
        self._path = path
        self._known = _read(path)
        self._used: dict[str, list[str]] = {}
        self._beside = cache(_by_stem)
        self._above: Sequence[Path] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_name(f".{os.getpid()}-{self._path.name}")
        kept = self._known | self._used if error else self._used  # what is gone goes
        try:
            part.write_text(json.dumps(kept), encoding="utf-8")
            part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)

    def of_case(self, case: Case) -> str:
        """Return the digest of a case: its names, what reads it, and the content it reads."""
        about = [case.id, case.patient, case.layout]
        openers = (case.open_volume, case.open_truth, case.open_mips)
        self._above = case.source.absolute().parents
        text = json.dumps([about, *(self._value(opener) for opener in openers)])
        return hashlib.sha256(text.encode()).hexdigest()

    def of_path(self, path: Path) -> str:
        """Return the digest of the content of a file and its sidecars, or of a folder."""
        name = os.path.abspath(path)  # noqa: PTH100  # links are followed when files are read
        if name not in self._used:
            files = self._files(path)
            stamps, newest = _stamps(files)
            known = self._known.get(name)
            digest = known[1] if known and known[0] == stamps else _content(files, path.parent)
            self._used[name] = [stamps if time.time() - newest > FRESH_S else "", digest]
        return self._used[name][1]

    def _files(self, path: Path) -> list[Path]:
        if path.is_dir():
            return sorted(each for each in path.rglob("*") if each.is_file())
        return self._beside(path.parent).get(_stem(path.name), [])

    def _value(self, value: Any) -> Any:
        """Return what stands for an argument: JSON that is the same for the same content."""
        if isinstance(value, Path) and value.absolute() in self._above:
            return "root"
        if isinstance(value, Path):
            return ["path", value.name, self.of_path(value)]
        if isinstance(value, partial):
            named = {k: v for k, v in value.keywords.items() if k not in NO_CONTENT}
            return [self._value(each) for each in (value.func, value.args, named)]
        if isinstance(value, FunctionType):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, np.ndarray | bytes):
            return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        if is_dataclass(value) and not isinstance(value, type):
            held = [self._value(getattr(value, field.name)) for field in fields(value)]
            return [type(value).__name__, *held]
        if isinstance(value, Mapping):
            return [[str(key), self._value(each)] for key, each in sorted(value.items(), key=str)]
        if isinstance(value, tuple | list):
            return [self._value(each) for each in value]
        return repr(value)


def _stem(name: str) -> str:
    short = name.removesuffix(".gz")
    return short.rpartition(".")[0] or short


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """Return the files of a folder by their names without one ending, and without two."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file():
            for stem in {_stem(path.name), _stem(_stem(path.name))}:
                found[stem].append(path)
    return found


def _stamps(files: Sequence[Path]) -> tuple[str, float]:
    """Return a digest of names, sizes, times and inodes, and the time of the latest change."""
    digest, newest = hashlib.sha256(), 0.0
    for path in files:
        stat = path.stat()
        newest = max(newest, stat.st_ctime)
        stamp = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
        digest.update(f"{path}\0{stamp}\0".encode())
    return digest.hexdigest(), newest


def _content(files: Sequence[Path], above: Path) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(above).as_posix()}\0{_of_file(path)}\0".encode())
    return digest.hexdigest()


def _of_file(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:  # the reader will say so
        return "unreadable"


def _read(path: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {name: [str(stamps), str(digest)] for name, (stamps, digest) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
