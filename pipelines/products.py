"""Files made one by one, in parallel, kept as they finish: a kill loses those in the making only.

Finished files wait in ``.cache/<stage>/<key>``; the key is the code and the settings that make
them; a changed key starts afresh. The stage's folder gets hard links once all are there.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.closure import code_hash
from vertebra_ml.errors import DatasetError, VertebraError

CACHE = Path(".cache")


def product_key(modules: tuple[str, ...], settings: Mapping[str, object]) -> str:
    """Return a short digest of the code of ``modules`` and of the settings."""
    text = code_hash(modules) + json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_all(
    tasks: Mapping[str, Callable[[Path], None]], *, folder: Path, key: str, workers: int
) -> None:
    """Run every task that is not done yet, ``workers`` at a time, then fill ``folder``.

    ``tasks`` maps a file name to what writes that file to the path given; it must be picklable.

    Raises DatasetError naming every file that failed; the others are kept for the next run.
    """
    from joblib import Parallel, delayed, parallel_config
    from tqdm import tqdm

    kept = CACHE / folder.name / key
    _drop_others(kept)
    todo = {name: task for name, task in tasks.items() if not (kept / name).exists()}
    if len(todo) < len(tasks):
        print(f"{folder}: {len(tasks) - len(todo)} of {len(tasks)} are there already")
    with parallel_config(backend="loky", inner_max_num_threads=1):
        running = Parallel(n_jobs=workers, return_as="generator_unordered")(
            delayed(_make)(task, kept / name) for name, task in todo.items()
        )
        faults = [f for f in tqdm(running, total=len(todo), desc=str(folder), mininterval=2) if f]
    if faults:
        raise DatasetError(
            folder, found=f"{len(faults)} of {len(tasks)} failed: {' | '.join(sorted(faults))}",
            expected="all of them made", fix="mend or drop these; the finished ones are kept",
        )  # fmt: skip
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in tasks:
        _link(kept / name, folder / name)


def _make(task: Callable[[Path], None], path: Path) -> str:
    part = path.with_name(f".{os.getpid()}-{path.name}")  # keeps the suffix that writers look at
    try:
        task(part)
    except VertebraError as error:
        return f"{path.stem}: {error}"
    part.replace(path)
    return ""


def _drop_others(kept: Path) -> None:
    """Make the folder of this key and remove those of older code, settings or killed workers."""
    kept.mkdir(parents=True, exist_ok=True)
    for other in kept.parent.iterdir():
        if other != kept:
            shutil.rmtree(other)
    for part in kept.glob(".*"):
        part.unlink()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
