"""Many scans, one after another: a scan that fails is one line, and the others are finished.

One volume is worked on at a time while the next is read ahead in a thread, so at most two are in
memory. Every answer is on disk when the next scan begins.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vertebra_ml import id_rates, metrics, plots
from vertebra_ml.case import Case
from vertebra_ml.faults import attempt
from vertebra_ml.intake import Opener, expand, read_ahead
from vertebra_ml.landmarks import Prediction, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.outputs import DEFAULT, FORMATS, OVERLAY, Delivery, Results, replace_bytes
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.volume import Volume

if TYPE_CHECKING:
    from vertebra_ml.models import Localiser

Rows = list[dict[str, object]]
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
        replace_bytes(path, plots.png(self.figure()))
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
    scans : one a case with labels: the labels and the answer.
    """

    rows: Rows = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    unlabelled: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    scans: list[id_rates.Scan] = field(default_factory=list)


def locate_all(
    localiser: "Localiser",
    scans: Sequence[Path | Case],
    *,
    out: Path,
    formats: Sequence[str] = DEFAULT,
    overlay: bool = False,
    on_progress: Callable[[], object] = _nothing,
) -> tuple[Rows, list[str]]:
    """Locate every scan; return the rows of ``slices.csv`` and a line for each scan that failed.

    Writes into ``out``, as it goes, what ``formats`` (keys of ``outputs.FORMATS``) ask for, and
    ``CASE.png`` where ``overlay`` is asked for. A file of one case that cannot be made is a line
    too, and the rest is written. ``on_progress`` is called after each case, see ``expand``.

    Raises DatasetError where ``out`` cannot be written; no fault of a scan is raised.
    """
    cases, failures, rows = expand(scans), list[str](), Rows()
    addresses = [FORMATS[name] for name in formats]
    delivery = Delivery(out, [*addresses, OVERLAY] if overlay else addresses)
    with Results(out, formats) as results:
        for case, image in read_ahead(cases):
            prediction = attempt(case, failures, partial(located, localiser, case, image))
            if prediction:
                results.add(prediction)
                rows += prediction.rows()
                _deliver(delivery, case, image, prediction, failures)
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
    return compare_all({out: localiser}, cases, worst=worst, on_progress=on_progress)[out]


def compare_all(
    localisers: "Mapping[Path, Localiser]",
    cases: Sequence[Case],
    *,
    worst: int = 12,
    on_progress: Callable[[], object] = _nothing,
) -> dict[Path, Evaluation]:
    """Do what ``evaluate_all`` does with several models, each with a folder of its own.

    Every scan and its labels are read once. A case that one model fails on is a line of that model,
    and the others answer it.
    """
    judges = [_Judge(localiser, worst) for localiser in localisers.values()]
    with ExitStack() as stack:
        results = [stack.enter_context(Results(out)) for out in localisers]
        for case, image in read_ahead(expand(cases)):
            read = _Read(case, image)
            for judge, files in zip(judges, results, strict=True):
                judge.take(read, files)
            on_progress()
        for judge, files in zip(judges, results, strict=True):
            files.finish(judge.found.failures)
    return {out: judge.found for out, judge in zip(localisers, judges, strict=True)}


class _Read:
    """A case whose image, labels and projections are each made once, whoever asks."""

    def __init__(self, case: Case, image: Opener) -> None:
        self.case, self.image, self.truth = case, image, _once(case.truth)
        self._pair: MipPair | None = None

    def picture(self, prediction: Prediction, truth: Truth | None) -> Picture:
        """Return what an overlay of this answer is drawn from."""
        self._pair = self._pair or Answer(prediction, self.image()[0]).pair
        return Picture(self._pair, prediction, truth)


class _Judge:
    """What one model has answered so far; ``_ranks`` are minus the badness of ``pictures``."""

    def __init__(self, localiser: "Localiser", worst: int) -> None:
        self.localiser, self.found = localiser, Evaluation()
        self._worst, self._ranks = worst, list[float]()

    def take(self, read: _Read, files: Results) -> None:
        """Answer a case and hold it against its labels; a fault is a line."""
        found, case = self.found, read.case
        judged = attempt(case, found.failures, partial(_judged, self.localiser, read))
        if judged is None:
            return
        prediction, truth, rows = judged
        files.add(prediction)
        found.rows.extend(rows)
        found.predictions.append(prediction)
        if truth:
            found.scans.append(id_rates.Scan(case.id, case.layout, truth, prediction))
        else:
            found.unlabelled.append(case.id)
        self._keep(read, prediction, truth, _badness(rows))

    def _keep(
        self, read: _Read, prediction: Prediction, truth: Truth | None, badness: float
    ) -> None:
        """Keep the case for a picture if it is among the worst."""
        place, pictures = bisect_right(self._ranks, -badness), self.found.pictures
        if place >= self._worst:
            return
        draw = partial(read.picture, prediction, truth)
        picture = attempt(read.case, self.found.failures, draw)
        if picture:
            self._ranks.insert(place, -badness)
            pictures.insert(place, picture)
            del self._ranks[self._worst :], pictures[self._worst :]


def _once(task: Callable[[], Result]) -> Callable[[], Result]:
    """Return a function that does the task when first asked, and ever after says the same."""
    future: Future[Result] = Future()

    def ask() -> Result:
        if not future.done():
            try:
                future.set_result(task())
            except Exception as error:  # noqa: BLE001 - raised again for each who asks
                future.set_exception(error)
        return future.result()

    return ask


def located(localiser: "Localiser", case: Case, image: Opener) -> Prediction:
    content, notes = image()
    if isinstance(content, Volume):
        prediction = localiser.locate(content, case.id)
    else:
        prediction = localiser.locate_mips(*content, case.id)
    return replace(prediction, warnings=(*notes, *prediction.warnings))


def _deliver(
    delivery: Delivery, case: Case, image: Opener, prediction: Prediction, failures: list[str]
) -> None:
    if delivery.addresses:
        answer = Answer(prediction, image()[0])
        for address in delivery.addresses:
            attempt(case, failures, partial(delivery.write, address, answer))


def _judged(localiser: "Localiser", read: _Read) -> tuple[Prediction, Truth | None, Rows]:
    case = read.case
    prediction, truth = located(localiser, case, read.image), read.truth()
    content = read.image()[0]
    if truth is None:
        return prediction, None, []
    source = content.origin if isinstance(content, Volume) else content[1]
    return prediction, truth, metrics.score(case.id, case.layout, truth, prediction, source)


def _badness(rows: Rows) -> float:
    """Return infinity where presence was wrong, else the largest error in mm; -1 where none is."""
    said = [(row["present"], row["found"] is not False) for row in rows]  # None: there, not told
    if any(present not in (claimed, None) for present, claimed in said):
        return float("inf")
    return max(
        (float(str(row["error_mm"])) for row in rows if row["error_mm"] is not None), default=-1.0
    )
