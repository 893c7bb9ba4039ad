"""Many scans, one after another: a scan that fails is one line, and the others are finished.

One volume is worked on at a time while the next is read ahead in a thread, so at most two are in
memory. Every answer is on disk when the next scan begins.
"""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from vertebra_ml import metrics, plots
from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.landmarks import Prediction, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.outputs import Results
from vertebra_ml.prepare import project
from vertebra_ml.readers import open_case
from vertebra_ml.volume import Source, Volume

if TYPE_CHECKING:
    from vertebra_ml.models import Localiser

logger = logging.getLogger(__name__)

PICTURE_MM, PICTURE_BODY_HU, PICTURE_SLAB_MM = 1.0, -300, 60.0
"""How a CT is projected to be looked at; what a model reads is set in its own folder."""
PARENTS_MAX: Final = 4
"""Folders above a file that may help to tell two of one name apart."""

Rows = list[dict[str, object]]
Image = Volume | tuple[MipPair, Source]
Opener = Callable[[], Image]
Result = TypeVar("Result")


def _nothing() -> None: ...


@dataclass(frozen=True, eq=False)
class Picture:
    """What an overlay is drawn from."""

    pair: MipPair
    prediction: Prediction
    truth: Truth | None

    def figure(self) -> plots.Figure:
        """Return the overlay."""
        return plots.overlay(self.pair, self.prediction, self.truth)

    def save(self, folder: Path) -> Path:
        """Draw it as ``folder/CASE.png``, all or nothing; return that path."""
        path = folder / f"{self.prediction.case}.png"
        plots.save_png(path, self.figure())
        return path


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model answered on a labelled data set.

    Parameters
    ----------
    rows : a row a case and level, see ``metrics.score``; none of cases without labels.
    predictions : one a case, also of those without labels.
    unlabelled : ids of the cases without labels.
    failures : one line each.
    pictures : the worst cases, worst first.
    """

    rows: Rows = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


def locate_all(
    localiser: "Localiser",
    scans: Sequence[Path | Case],
    *,
    out: Path,
    overlay: bool = False,
    on_progress: Callable[[], object] = _nothing,
) -> tuple[Rows, list[str]]:
    """Locate every scan; return the rows of ``slices.csv`` and a line for each scan that failed.

    Writes ``out/slices.csv`` and ``out/slices.json`` as it goes (see ``outputs``), and
    ``out/CASE.png`` where ``overlay`` is asked for. ``on_progress`` is called after each scan.

    Raises DatasetError where ``out`` cannot be written; no fault of a scan is raised.
    """
    cases, failures = _cases(scans)
    _skip(len(scans) - len(cases), on_progress)
    rows: Rows = []
    with Results(out) as results:
        for case, image in _read_ahead(cases):
            prediction = _attempt(case, failures, partial(_located, localiser, case, image))
            if prediction:
                results.add(prediction)
                rows += prediction.rows()
                if overlay:
                    _attempt(case, failures, partial(_draw, image, prediction, out))
            on_progress()
        results.finish(failures)
    return rows, failures


def evaluate_all(
    localiser: "Localiser",
    cases: Sequence[Case],
    *,
    out: Path,
    worst: int = 12,
    on_progress: Callable[[], object] = _nothing,
) -> Evaluation:
    """Locate every case as ``locate_all`` does, and hold the answers against the labels.

    The group of a case is its layout. The ``worst`` cases are kept for pictures: wrong presence
    first, then the largest errors. Writes ``out/slices.csv`` and ``out/slices.json``.

    Raises DatasetError where ``out`` cannot be written; no fault of a case is raised.
    """
    kept, failures = _cases(cases)
    _skip(len(cases) - len(kept), on_progress)
    found = Evaluation(failures=failures)
    ranks: list[float] = []
    with Results(out) as results:
        for case, image in _read_ahead(kept):
            judged = _attempt(case, failures, partial(_judged, localiser, case, image))
            if judged:
                prediction, truth, rows = judged
                results.add(prediction)
                found.rows.extend(rows)
                found.predictions.append(prediction)
                found.unlabelled.extend([] if truth else [case.id])
                place = bisect_right(ranks, -_badness(rows))
                if place < worst:
                    draw = partial(_picture, image, prediction, truth)
                    picture = _attempt(case, failures, draw)
                    if picture:
                        ranks.insert(place, -_badness(rows))
                        found.pictures.insert(place, picture)
                        del ranks[worst:], found.pictures[worst:]
            on_progress()
        results.finish(failures)
    return found


def _skip(count: int, on_progress: Callable[[], object]) -> None:
    for _ in range(count):
        on_progress()


def _located(localiser: "Localiser", case: Case, image: Opener) -> Prediction:
    content = image()
    if isinstance(content, Volume):
        return localiser.locate(content, case.id)
    return localiser.locate_mips(*content, case.id)


def _judged(
    localiser: "Localiser", case: Case, image: Opener
) -> tuple[Prediction, Truth | None, Rows]:
    prediction, truth, content = _located(localiser, case, image), case.truth(), image()
    if truth is None:
        return prediction, None, []
    source = content.origin if isinstance(content, Volume) else content[1]
    return prediction, truth, metrics.score(case.id, case.layout, truth, prediction, source)


def _badness(rows: Rows) -> float:
    """Return infinity where presence was wrong, else the largest error in mm; -1 where none is."""
    if any(row["present"] not in (row["found"], None) for row in rows):
        return float("inf")
    return max(
        (float(str(row["error_mm"])) for row in rows if row["error_mm"] is not None), default=-1.0
    )


def _picture(image: Opener, prediction: Prediction, truth: Truth | None) -> Picture:
    content = image()
    if not isinstance(content, Volume):
        return Picture(content[0], prediction, truth)
    pair = project(
        content,
        spacing_mm=PICTURE_MM,
        body_threshold_hu=PICTURE_BODY_HU,
        slab_mm=PICTURE_SLAB_MM,
    )
    return Picture(pair, prediction, truth)


def _draw(image: Opener, prediction: Prediction, out: Path) -> None:
    _picture(image, prediction, None).save(out)


def _read_ahead(cases: Sequence[Case]) -> Iterator[tuple[Case, Opener]]:
    """Yield each case with what gives its image (or raises), the next one being read meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = [reader.submit(_open, case) for case in cases[:1]]
        for place, case in enumerate(cases):
            image = ahead.pop().result
            ahead = [reader.submit(_open, following) for following in cases[place + 1 : place + 2]]
            yield case, image


def _open(case: Case) -> Image:
    if case.open_mips:
        return case.open_mips()
    if case.open_volume:
        return case.open_volume()
    raise DatasetError(
        case.source, found="a case without image", expected="a CT or MIPs", fix="report its reader"
    )


def _attempt(case: Case, failures: list[str], task: Callable[[], Result]) -> Result | None:
    try:
        return task()
    except Exception as error:  # whatever one scan does, the others are finished
        logger.debug("%s", case.source, exc_info=True)
        failures.append(_line(case.source, error))
        return None


def _line(where: Path, error: Exception) -> str:
    """Return in one line what went wrong with the scan ``where``, naming the file."""
    if isinstance(error, VertebraError):
        text = str(error)
        return text if str(where) in text else f"{where}: {text}"
    found, fix = f"{type(error).__name__} ({error})", "open it in a viewer to see what is wrong"
    if isinstance(error, MemoryError):
        found, fix = "more than the memory of this machine", "crop it, or use a larger machine"
    return str(DatasetError(where, found=found, expected="a CT that can be read", fix=fix))


def _cases(scans: Sequence[Path | Case]) -> tuple[list[Case], list[str]]:
    """Return cases of different ids, and a line for each scan that cannot be one."""
    failures: list[str] = []
    cases: dict[tuple[Path, str], Case] = {}
    for scan in scans:
        try:
            case = scan if isinstance(scan, Case) else open_case(scan)
        except (VertebraError, OSError) as error:
            failures.append(_line(scan if isinstance(scan, Path) else scan.source, error))
        else:
            cases[case.source.absolute(), case.id] = case  # a scan given twice is done once
    return _unique(list(cases.values()), failures), failures


def _unique(cases: list[Case], failures: list[str]) -> list[Case]:
    """Tell cases of one id apart by the folders around them; what stays equal becomes a line."""
    for above in range(PARENTS_MAX):
        uses = Counter(case.id.casefold() for case in cases)  # some file systems ignore case
        cases = [_named(case, above) if uses[case.id.casefold()] > 1 else case for case in cases]
    kept: dict[str, Case] = {}
    for case in cases:
        first = kept.setdefault(case.id.casefold(), case)
        if first is not case:
            error = DatasetError(
                case.source,
                found=f"the same id {case.id} as {first.source}",
                expected="an id of its own, since results are named after it",
                fix="rename one of the two",
            )
            failures.append(str(error))
    return list(kept.values())


def _named(case: Case, above: int) -> Case:
    """Return the case with the name of the folder ``above`` its own put before its id."""
    parents = [parent.name for parent in case.source.absolute().parents]
    if parents[0] == case.id:
        parents = parents[1:]  # a scan named ct already bears the name of its folder
    name = parents[above] if above < len(parents) else ""
    return replace(case, id=safe_id(f"{name}_{case.id}")) if name else case
