"""Scans on their way in: paths become cases of different ids, and are read one ahead."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError
from vertebra_ml.mip import MipPair
from vertebra_ml.notes import heard
from vertebra_ml.readers import open_cases
from vertebra_ml.volume import Source, Volume

logger = logging.getLogger(__name__)

PARENTS_MAX: Final = 4
"""Folders above a file that may help to tell two of one name apart."""

Image = Volume | tuple[MipPair, Source]
Notes = tuple[str, ...]
Opener = Callable[[], tuple[Image, Notes]]


def expand(scans: Sequence[Path | Case]) -> list[Case]:
    """Return the cases of the scans, each of its own id; nothing is read but headers.

    A path that holds several scans becomes several cases. What cannot be a case becomes one that
    raises its error when opened, so that each fault is told in its turn. A scan given twice is done
    once.
    """
    cases: dict[tuple[Path, str], Case] = {}
    for scan in scans:
        for case in [scan] if isinstance(scan, Case) else _opened(scan):
            cases.setdefault((case.source.absolute(), case.id), case)
    return _unique(list(cases.values()))


def _opened(path: Path) -> list[Case]:
    try:
        return open_cases([path])
    except Exception as error:  # whatever one scan does, the others are finished
        logger.debug("%s", path, exc_info=True)
        return [_failing(Case(safe_id(path.name), "unknown", path, "scan"), error)]


def _failing(case: Case, error: Exception) -> Case:
    """Return the case as one that raises ``error`` when opened."""
    return replace(case, open_volume=partial(_raise, error), open_mips=None)


def _raise(error: Exception) -> Volume:
    raise error


def _unique(cases: list[Case]) -> list[Case]:
    """Tell cases of one id apart by the folders around them; of what stays equal one is read."""
    for above in range(PARENTS_MAX):
        uses = Counter(case.id.casefold() for case in cases)  # some file systems ignore case
        cases = [_named(case, above) if uses[case.id.casefold()] > 1 else case for case in cases]
    first: dict[str, Case] = {}
    for place, case in enumerate(cases):
        other = first.setdefault(case.id.casefold(), case)
        if other is not case:
            error = DatasetError(
                case.source,
                found=f"the same id {case.id} as {other.source}",
                expected="an id of its own, since results are named after it",
                fix="rename one of the two",
            )
            cases[place] = _failing(case, error)
    return cases


def _named(case: Case, above: int) -> Case:
    """Return the case with the name of the folder ``above`` its own put before its id."""
    parents = [parent.name for parent in case.source.absolute().parents]
    if parents[0] == case.id:
        parents = parents[1:]  # a scan named ct already bears the name of its folder
    name = parents[above] if above < len(parents) else ""
    return replace(case, id=safe_id(f"{name}_{case.id}")) if name else case


def read_ahead(cases: Sequence[Case]) -> Iterator[tuple[Case, Opener]]:
    """Yield each case with what gives its image and what was said while it was read, or raises.

    The next one is read meanwhile in a thread, so at most two images are in memory.
    """
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = [reader.submit(_open, case) for case in cases[:1]]
        for place, case in enumerate(cases):
            image = ahead.pop().result
            ahead = [reader.submit(_open, following) for following in cases[place + 1 : place + 2]]
            yield case, image


def _open(case: Case) -> tuple[Image, Notes]:
    with heard(case.source) as notes:
        image = _image(case)
    return image, tuple(notes)


def _image(case: Case) -> Image:
    if case.open_mips:
        return case.open_mips()
    if case.open_volume:
        return case.open_volume()
    raise DatasetError(
        case.source, found="a case without image", expected="a CT or MIPs", fix="report its reader"
    )
