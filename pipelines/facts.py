"""Rows of facts, each found once: kept in ``.cache/facts`` by what is described and by which code.

An unreadable scan or archive is looked at anew each time.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.closure import code_hash
from pipelines.fingerprint import Digests
from pipelines.products import CACHE, file_digest, item_key, make_missing
from vertebra_ml.case import Case
from vertebra_ml.limits import describe_archive, describe_case, describe_sample

FACTS = CACHE / "facts"
MADE_BY = ("vertebra_ml.limits.facts", "vertebra_ml.readers")
NOT_FACTS = tuple(f"vertebra_ml.limits.{name}" for name in ("gate", "page", "rules", "tables"))
"""What judges facts does not change them."""

Row = dict[str, Any]
Describe = Callable[[], Mapping[str, object]]


def of_cases(cases: Sequence[Case], *, workers: int) -> list[Row]:
    """Return the facts of raw cases, in their order; those not known yet, ``workers`` at a time."""
    code = code_hash(MADE_BY, without=NOT_FACTS)
    with Digests() as digests:
        keys = [
            item_key(code, f"{case.source.as_posix()} {digests.of_case(case)}") for case in cases
        ]
    describe = {key: partial(describe_case, case) for key, case in zip(keys, cases, strict=True)}
    return _rows(keys, describe, folder=FACTS / "raw", workers=workers)


def of_archives(paths: Iterable[Path], *, spacing_mm: float) -> list[Row]:
    """Return the facts of MIP archives, in their order."""
    code = f"{code_hash(MADE_BY, without=NOT_FACTS)} {spacing_mm}"
    named = {path: item_key(code, f"{path.stem} {file_digest(path)}") for path in paths}
    describe = {
        key: partial(describe_archive, path, spacing_mm=spacing_mm) for path, key in named.items()
    }
    return _rows(list(named.values()), describe, folder=FACTS / "mips", workers=1)


def of_samples(paths: Sequence[Path], *, row_mm: float | None) -> list[Row]:
    """Return the facts of samples of one folder, in their order; see ``describe_sample``."""
    code = f"{code_hash(('vertebra_ml.limits.samples',), without=NOT_FACTS)} {row_mm}"
    named = {path: item_key(code, f"{path.stem} {_digest(path)}") for path in paths}
    describe = {key: partial(describe_sample, path, row_mm=row_mm) for path, key in named.items()}
    folder = FACTS / (paths[0].parent.name if paths else "samples")
    return _rows(list(named.values()), describe, folder=folder, workers=1)


def _digest(path: Path) -> str:
    return file_digest(path) if path.is_file() else "absent"


def _rows(
    keys: Sequence[str], describe: Mapping[str, Describe], *, folder: Path, workers: int
) -> list[Row]:
    paths = {key: folder / f"{key}.json" for key in describe}
    tasks = {paths[key]: partial(_write, one) for key, one in describe.items()}
    make_missing(tasks, workers=workers, title="facts")
    rows = {key: json.loads(path.read_text(encoding="utf-8")) for key, path in paths.items()}
    known = {paths[key] for key, row in rows.items() if not row["fault"]}
    for other in set(folder.glob("*")) - known:
        other.unlink()
    return [dict(rows[key]) for key in keys]


def _write(describe: Describe, path: Path) -> None:
    path.write_text(json.dumps(describe()), encoding="utf-8")
