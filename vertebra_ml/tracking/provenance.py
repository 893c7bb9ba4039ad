"""Where a number comes from: code, data and weights, as short strings for tags."""

import getpass
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vertebra_ml.errors import ModelError

WEIGHTS = "model.weights.h5"
CONTRACT = "model.json"
ANSWERS = "slices.csv"
UNKNOWN = "unknown"
READ_AT_ONCE = 1 << 20  # bytes

SERVING_PACKAGES = (
    "mlflow", "keras", "tensorflow-cpu", "tensorflow", "numpy", "pandas", "pyarrow", "scipy",
    "nibabel", "isal", "pydicom", "pydantic", "pyyaml", "psutil", "uvloop",
)  # fmt: skip
"""What the served model imports, directly or through the packed library."""


def md5(path: Path) -> str:
    """Return the MD5 of a file, the hash that DVC writes too; ``unknown`` where it is missing."""
    if not path.is_file():
        return UNKNOWN
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(READ_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()


def weights_md5(folder: Path) -> str:
    """Return the MD5 by which the weights of a model folder are known.

    That of its one file, or, where it carries another model below it, one over the files of both:
    the same networks with another companion answer differently, and are another version.
    """
    carried = sorted(folder.glob(f"*/{WEIGHTS}"))
    own = md5(folder / WEIGHTS)
    if not carried:
        return own
    lines = [f"{path.relative_to(folder).as_posix()} {md5(path)}" for path in carried]
    return hashlib.md5("\n".join([own, *lines]).encode(), usedforsecurity=False).hexdigest()


def answers_md5(folder: Path, reports: Path) -> str:
    """Return the MD5 by which what a model answers is known.

    Of its weights, of each ``model.json`` (what it was set to, its thresholds), and of its answers
    to the test part: the same weights under other code answer differently.
    """
    contracts = [md5(path) for path in sorted(folder.rglob(CONTRACT))]
    lines = "\n".join([weights_md5(folder), *contracts, md5(reports / ANSWERS)])
    return hashlib.md5(lines.encode(), usedforsecurity=False).hexdigest()


def folder_md5(folder: Path) -> str:
    """Return one MD5 over the names and contents of every file below ``folder``."""
    digest = hashlib.md5(usedforsecurity=False)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()} {md5(path)}\n".encode())
    return digest.hexdigest()


def code_tags(project: Path) -> dict[str, str]:
    """Return ``git_commit``, ``git_state`` (clean or changed) and ``dvc_lock_md5`` of a project.

    And who did it with which program, under MLflow's own names: columns of its pages.
    """
    changed = _git(project, "status", "--porcelain", "--untracked-files=no")
    state = UNKNOWN if changed is None else ("changed" if changed else "clean")
    return {
        "git_commit": _git(project, "rev-parse", "HEAD") or UNKNOWN,
        "git_state": state,
        "dvc_lock_md5": md5(project / "dvc.lock"),
        "mlflow.user": user(),
        "mlflow.source.name": Path(sys.argv[0]).name,
    }


def user() -> str:
    """Return the login name; ``unknown`` where a container's user id has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return UNKNOWN


def _git(project: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=project, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def read_contract(folder: Path) -> dict[str, Any]:
    """Read ``model.json`` of a model folder that also holds its weights.

    Raises ModelError where one of the two is missing or unreadable.
    """
    for name in (CONTRACT, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(
                folder,
                found=f"no {name}",
                expected=f"a model folder with {CONTRACT} and {WEIGHTS}",
                fix="train the model with `dvc repro`, or fetch it with `dvc pull`",
            )
    contract: dict[str, Any] = read_json(folder / CONTRACT)
    return contract


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ModelError where it is missing or broken."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        found = type(error).__name__
    else:
        if isinstance(content, dict):
            return content
        found = type(content).__name__
    raise ModelError(
        path, found=found, expected="a JSON object", fix="make it again with `dvc repro`"
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested settings: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``; lists become text.

    The keys of ``settings`` keep their own short names, so that columns read ``loss``, not
    ``settings.loss``.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            result |= flat(value, "" if name == "settings" else f"{name}.")
        elif isinstance(value, list | tuple):
            result[name] = " ".join(map(str, value))
        else:
            result[name] = value
    return result


def requirements() -> list[str]:
    """Return ``name==version`` of the installed packages that the served model needs."""
    found = []
    for name in SERVING_PACKAGES:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # one of tensorflow and tensorflow-cpu
            continue
    return found
