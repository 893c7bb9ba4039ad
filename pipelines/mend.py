"""What a killed ``dvc`` can leave that stops the next one, put right: run before ``dvc repro``.

DVC writes three small files in place. Killed in the middle of that, or before it has cleared what
it noted there, it leaves behind

- ``dvc.lock`` cut off: the next ``dvc`` says that it is corrupted. The stages that are whole in it
  stay, the rest comes from the last commit; what was made since is taken from DVC's run cache.
- ``.dvc/tmp/rwlock`` cut off, or naming a process that is no more: DVC clears that itself unless
  the number is in use again, or belongs to a zombie (in a container nobody may collect it).
- a half-written entry of the run cache, which would be taken for the newest.

Does nothing where nothing is wrong, and nothing to a ``dvc`` that runs.
"""

import contextlib
import fcntl
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from vertebra_ml.leash import alive

LOCK = Path("dvc.lock")
DVC = Path(".dvc")
RWLOCK = DVC / "tmp" / "rwlock"
RUNS = DVC / "cache" / "runs"
KEPT = DVC / "tmp" / "dvc.lock.torn"
"""Where a torn ``dvc.lock`` is kept, to look at."""

CONFLICT = "<<<<<<<"
HEAD = "schema: '2.0'\nstages:\n"
STAGE = re.compile(r"^  \S.*:$")  # two blanks, a name, a colon: the first line of a stage
WHOLE_RUN = re.compile(r"[0-9a-f]{64}")


def main() -> None:
    """Mend what is there and say what was mended, a line each; wait for no ``dvc`` that runs."""
    with contextlib.suppress(BlockingIOError), held(DVC / "tmp" / "lock"):
        for line in (*mend_lock(), *mend_runs()):
            print(line)
    with contextlib.suppress(BlockingIOError), held(DVC / "tmp" / "rwlock.lock"):
        for line in mend_rwlock():
            print(line)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file of DVC's, as DVC does. Raises BlockingIOError where a ``dvc`` has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def mend_lock() -> Iterator[str]:
    """Put a torn ``dvc.lock`` together again; one with a conflict of git's is a person's affair."""
    text = LOCK.read_text(encoding="utf-8", errors="replace") if LOCK.exists() else None
    if text is None or CONFLICT in text or is_whole(text):
        return
    whole = dict(list(entries(text).items())[:-1])  # nothing says that the last one is complete
    committed = _committed()
    known = (entries(committed) if is_whole(committed) else {}) | whole
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(text, encoding="utf-8")
    if known:
        part = LOCK.with_name(f".{LOCK.name}.part")
        part.write_text(HEAD + "".join(known.values()), encoding="utf-8", newline="\n")
        part.replace(LOCK)
    else:
        LOCK.unlink()
    yield f"{LOCK}: it was cut off; {len(whole)} stages kept, {len(known) - len(whole)} committed"


def is_whole(text: str) -> bool:
    """Return whether this is a lock file as DVC writes it, every entry with all it needs."""
    try:
        content = yaml.safe_load(text)
        return all(_is_whole(stage) for stage in content["stages"].values())
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        return False


def entries(text: str) -> dict[str, str]:
    """Return the lines of each stage of a lock file, in their order; the last may be cut off."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines(keepends=True):
        if STAGE.match(line):
            name = line
        if name:
            found[name] = found.get(name, "") + line
    return found


def mend_rwlock() -> Iterator[str]:
    """Clear what processes that are no more have noted; a file that is no JSON goes."""
    if not RWLOCK.exists():
        return
    try:
        noted = json.loads(RWLOCK.read_text(encoding="utf-8"))
        write = {path: info for path, info in noted.get("write", {}).items() if holds(info)}
        read = {path: [i for i in infos if holds(i)] for path, infos in noted["read"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        RWLOCK.unlink(missing_ok=True)
        yield f"{RWLOCK}: it was cut off; removed"
        return
    kept = {"read": {path: infos for path, infos in read.items() if infos}, "write": write}
    if kept != {"read": noted["read"], "write": noted.get("write", {})}:
        part = RWLOCK.with_name(f".{RWLOCK.name}.part")
        part.write_text(json.dumps(kept), encoding="utf-8")
        part.replace(RWLOCK)
        yield f"{RWLOCK}: cleared of a dvc that was killed"


def holds(info: Any) -> bool:
    """Return whether the process that an entry of the rwlock names is still that ``dvc``."""
    try:
        process = psutil.Process(int(info["pid"]))
        command = " ".join(process.cmdline())
    except psutil.AccessDenied:
        return True  # somebody else's: who knows
    except psutil.NoSuchProcess:
        return False
    noted = RWLOCK.stat().st_mtime
    return alive(process) and "dvc" in command and process.create_time() <= noted + 1


def mend_runs() -> Iterator[str]:
    """Remove half-written entries of the run cache."""
    for path in RUNS.glob("*/*/*"):
        if not WHOLE_RUN.fullmatch(path.name):
            path.unlink(missing_ok=True)
            yield f"{path}: it was cut off; removed"


def _is_whole(stage: Any) -> bool:
    """Return whether an entry says its command, and of each file where it is and its hash."""
    files = [*(stage.get("deps") or []), *(stage.get("outs") or [])]
    return bool(stage["cmd"]) and all(file["path"] and file["hash"] for file in files)


def _committed() -> str:
    """Return ``dvc.lock`` of the last commit; empty where there is none."""
    command = ["git", "show", f"HEAD:./{LOCK}"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return ""


if __name__ == "__main__":
    main()
