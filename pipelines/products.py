"""Files made one by one, in parallel, kept as they finish: a kill loses those in the making only.

A product is known by its key: a digest of the code and the settings that make it and, where it is
made of a scan, of that scan's content. Finished products wait in ``.cache/<stage>/<key>-<name>``.
The stage's folder gets hard links once all are there, and ``<folder>.made.json`` beside it says by
which key each was made, so that a folder fetched by ``dvc pull`` is taken up where it stands.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pipelines.closure import code_hash
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.leash import end_with

CACHE = Path(".cache")

Task = Callable[[Path], None]


def product_key(modules: tuple[str, ...], settings: Mapping[str, object]) -> str:
    """Return a short digest of the code of ``modules`` and of the settings."""
    text = code_hash(modules) + json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def item_key(key: str, content: str) -> str:
    """Return the key of one product: that of its kind and a digest of what it is made of."""
    return hashlib.sha256(f"{key} {content}".encode()).hexdigest()[:16]


def make_all(
    tasks: Mapping[str, Task], *, folder: Path, keys: Mapping[str, str], workers: int
) -> None:
    """Run every task that is not done yet, ``workers`` at a time, then fill ``folder``.

    ``tasks`` maps a file name to what writes that file to the path given; it must be picklable.
    ``keys`` gives the key of each. What ``folder`` holds of the same key and untouched is kept;
    what no task names goes.

    Raises DatasetError naming every file that failed; the others are kept for the next run.
    """
    kept = {name: _place(folder, name, keys[name]) for name in tasks}
    _take_up(folder, kept, keys)
    todo = {path: tasks[name] for name, path in kept.items() if not path.exists()}
    if len(todo) < len(tasks):
        print(f"{folder}: {len(tasks) - len(todo)} of {len(tasks)} are there already")
    faults = make_missing(todo, workers=workers, title=str(folder))
    if faults:
        raise DatasetError(
            folder,
            found=f"{len(faults)} of {len(tasks)} failed: {' | '.join(sorted(faults.values()))}",
            expected="all of them made", fix="mend or drop these; the finished ones are kept",
        )  # fmt: skip
    _fill(folder, kept)
    _write_made(folder, keys)
    for other in set(_cache(folder).iterdir()) - set(kept.values()):
        shutil.rmtree(other) if other.is_dir() else other.unlink()


def make_missing(tasks: Mapping[Path, Task], *, workers: int, title: str) -> dict[Path, str]:
    """Run tasks, ``workers`` at a time, each file whole or not at all; return a line a failure.

    A path that is there already is not made again.
    """
    from joblib import Parallel, delayed, parallel_config
    from tqdm import tqdm

    todo = {path: task for path, task in tasks.items() if not path.exists()}
    for folder in {path.parent for path in todo}:
        folder.mkdir(parents=True, exist_ok=True)
        for part in folder.glob(".*"):  # what a killed worker leaves
            part.unlink(missing_ok=True)
    leash = {"initializer": end_with, "initargs": (os.getpid(),)}
    with parallel_config(backend="loky", inner_max_num_threads=1, **leash):
        running = Parallel(n_jobs=min(workers, len(todo)) or 1, return_as="generator_unordered")(
            delayed(_make)(task, path) for path, task in todo.items()
        )
        told = tqdm(running, total=len(todo), desc=title, mininterval=2, disable=not todo)
        return {path: fault for path, fault in told if fault}


def forget(folder: Path, names: Iterable[str]) -> None:
    """Let these products be made anew by the next run: a gate found them wanting."""
    wanting = {name for name in names if (folder / name).exists()}
    made = _made(folder)
    for name in wanting & made.keys():
        _place(folder, name, made.pop(name)["key"]).unlink(missing_ok=True)
    _write(_made_file(folder), made)


def file_digest(path: Path) -> str:
    """Return a digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cache(folder: Path) -> Path:
    return CACHE / folder.name


def _place(folder: Path, name: str, key: str) -> Path:
    return _cache(folder) / f"{key}-{name}"


def _made_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.made.json")


def _made(folder: Path) -> dict[str, dict[str, str]]:
    """Return name -> key and digest of what the folder held when it was last filled."""
    try:
        made = json.loads(_made_file(folder).read_text(encoding="utf-8"))
        return {name: {"key": e["key"], "sha256": e["sha256"]} for name, e in made.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _take_up(folder: Path, kept: Mapping[str, Path], keys: Mapping[str, str]) -> None:
    """Bring into the cache what the folder holds of these keys, byte for byte as it was made."""
    _cache(folder).mkdir(parents=True, exist_ok=True)
    made = _made(folder)
    for name, path in kept.items():
        entry, there = made.get(name), folder / name
        if path.exists() or not entry or entry["key"] != keys[name] or not there.is_file():
            continue
        if file_digest(there) == entry["sha256"]:
            _link(there, path)
        else:
            print(f"{there}: changed since it was made; it is made again")


def _fill(folder: Path, kept: Mapping[str, Path]) -> None:
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, path in kept.items():
        _link(path, part / name)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def _write_made(folder: Path, keys: Mapping[str, str]) -> None:
    made = {name: {"key": key, "sha256": file_digest(folder / name)} for name, key in keys.items()}
    _write(_made_file(folder), made)


def _write(path: Path, content: Mapping[str, object]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(content, indent=0, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _make(task: Task, path: Path) -> tuple[Path, str]:
    part = path.with_name(f".{os.getpid()}-{path.name}")  # keeps the suffix that writers look at
    try:
        task(part)
        part.replace(path)
    except VertebraError as error:
        return path, f"{path.stem.partition('-')[2]}: {error}"
    finally:
        part.unlink(missing_ok=True)
    return path, ""


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        part = target.with_name(f".{os.getpid()}-{target.name}")
        shutil.copyfile(source, part)
        part.replace(target)
