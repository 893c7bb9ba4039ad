"""What every stage does: read the parameters, write tables, fail in one line."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from vertebra_ml.config import Params, load
from vertebra_ml.errors import VertebraError
from vertebra_ml.leash import end_with_dvc
from vertebra_ml.refused import in_words

PARAMS = Path("params.yaml")
PREPARED = Path("prepared")
MODELS = Path("models")
REPORTS = Path("reports")
VALIDATION = REPORTS / "validation"

FIRST_SEED = {"train": 0, "validation": 1_000_000, "test": 2_000_000}
"""First seed of the phantoms of each part, counted from the seed of the parameters."""


def run(main: Callable[..., None], *arguments: str) -> None:
    """Call a stage's ``main`` with the parameters; an expected error ends in one line, status 1.

    What the disk refuses is one, and a worker that was killed. The stage ends with its ``dvc``.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("vertebra_ml").setLevel(logging.INFO)
    end_with_dvc()
    try:
        main(load(PARAMS), *arguments)
    except VertebraError as error:
        sys.exit(str(error))
    except OSError as error:
        logging.getLogger(__name__).debug("", exc_info=True)
        sys.exit(in_words(error))
    except BrokenExecutor:
        sys.exit(
            "a worker process: found that it was killed, for want of memory as a rule; expected "
            "room for each of phantoms.workers; set fewer of them, then run this again: what is "
            "finished is kept"
        )


def seeds_of(params: Params, part: str, count: int) -> list[int]:
    """Return the seeds of the phantoms of a part; no two parts share one."""
    first = params.seed + FIRST_SEED[part]
    return list(range(first, first + count))


def projection_of(params: Params) -> dict[str, Any]:
    """Return what ``prepare.project`` wants of the parameters."""
    section = params.projection
    return {
        "spacing_mm": section.spacing_mm,
        "body_threshold_hu": section.body_threshold_hu,
        "slab_mm": section.sagittal_slab_mm,
    }


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of ours; ids stay text, empty cells of text columns stay empty."""
    text = ("case", "patient", "part", "levels", "labels", "fingerprint", "fault")
    return pd.read_csv(path, dtype=dict.fromkeys(text, "str"))


def write_table(path: Path, rows: Iterable[Mapping[Any, object]]) -> pd.DataFrame:
    """Write rows as CSV, whole or not at all, and return them as read back."""
    write_text(path, pd.DataFrame(list(rows)).to_csv(index=False))
    return read_table(path)


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # a full disk leaves half of it
