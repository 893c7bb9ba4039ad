"""Everything that an image of a served model is built from, in one folder.

    python -m serving.container FOLDER [--model models:/vertebra-slice-spotter@production]

`mlflow models generate-dockerfile` writes the Dockerfile and the model; what is added lets the
image run as an ordinary user, on a file system that is only read, without nginx. Then the folder is
looked through: nothing but what the image needs, pinned packages, no secret. No engine is needed
until `docker build FOLDER`.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

PRODUCTION: Final = "models:/vertebra-slice-spotter@production"
DOCKERFILE, MODEL = "Dockerfile", "model_dir"
USER, PORT = 10001, 8000
ADDED: Final = f"""# An ordinary user: so uvicorn itself, not nginx, is what is reached.
ENV DISABLE_NGINX=true UVICORN_HOST=0.0.0.0 HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \\
    MLFLOW_DISABLE_TELEMETRY=true TF_CPP_MIN_LOG_LEVEL=3 TF_NUM_INTRAOP_THREADS=1 \\
    TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 VERTEBRA_ML_AT_ONCE=1
EXPOSE {PORT}
USER {USER}:{USER}
"""
ENTRY: Final = "ENTRYPOINT "
SERVES: Final = (
    """["python", "-c", "from mlflow.models import container as C; C._serve('local')"]"""
)
PINNED: Final = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[A-Za-z0-9.+!-]+")
SECRET: Final = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}|(?i:password|passwd|secret|token)\s*[=:]\s*"
    rb"['\"]?[A-Za-z0-9/+_-]{8,}|postgresql(\+\w+)?://[^\s:@/]+:[^\s@]+@"
)
NEVER: Final = (".env", "mlflow.db", ".pgpass", "id_rsa", ".netrc", ".git")
TEXTS: Final = {".py", ".yaml", ".yml", ".json", ".txt", ".md", ".toml", ".cfg", "", ".env"}


def generate(folder: Path, model: str) -> None:
    """Write what an image of ``model`` is built from. Raises CalledProcessError."""
    program = [sys.executable, "-m", "mlflow", "models", "generate-dockerfile"]
    subprocess.run([*program, "-m", model, "-d", str(folder)], check=True)
    path = folder / DOCKERFILE
    before, entry, after = path.read_text().rpartition(ENTRY)
    path.write_text(f"{before}{ADDED}\n{entry}{after}")


def faults(folder: Path) -> Iterator[str]:
    """Yield a line for everything in ``folder`` that an image should not be built from."""
    lines = (folder / DOCKERFILE).read_text().splitlines()
    steps = [line for line in lines if line and not line.startswith("#")]
    if not steps[0].startswith("FROM python:"):
        yield f"{DOCKERFILE}: found {steps[0]!r}; expected FROM python:VERSION-slim"
    if steps[-1] != ENTRY + SERVES:
        yield f"{DOCKERFILE}: found {steps[-1]!r}; expected {ENTRY + SERVES}"
    if f"USER {USER}:{USER}" not in steps:
        yield f"{DOCKERFILE}: found no ordinary user; expected USER {USER}:{USER}"
    yield from (f"{p}: found beside the model" for p in folder.iterdir() if p.name not in _KNOWN)
    yield from _unpinned(folder / MODEL)
    yield from _secrets(folder)


_KNOWN: Final = (DOCKERFILE, MODEL)


def _unpinned(model: Path) -> Iterator[str]:
    found = list(model.rglob("requirements.txt"))
    if not found:
        yield f"{model}: found no requirements.txt; expected pinned packages"
    for path in found:
        for line in path.read_text().split():
            if not PINNED.fullmatch(line):
                yield f"{path}: found {line!r}; expected NAME==VERSION"


def _secrets(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.name in NEVER or path.is_symlink():
            yield f"{path}: found a file that no image is to hold"
        elif path.is_file() and path.suffix in TEXTS and SECRET.search(path.read_bytes()):
            yield f"{path}: found what looks like a secret"


def main(words: Sequence[str] | None = None) -> int:
    """Write the folder and look through it; 1 where something is wrong with it."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=PRODUCTION)
    given = parser.parse_args(words)
    try:
        generate(given.folder, given.model)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"error: {given.model}: mlflow ended with {error.returncode}\n")
        return 1
    wrong = list(faults(given.folder))
    for line in wrong:
        sys.stderr.write(f"error: {line}\n")
    if not wrong:
        sys.stdout.write(f"docker build -t vertebra-ml {given.folder}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
