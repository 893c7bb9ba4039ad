"""Many scans, one after another: a scan that fails is one line, and the others are finished.

One volume is worked on at a time while the next is read ahead in a thread, so at most two are in
memory. Every answer is on disk when the next scan begins.
"""

import logging
import traceback
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vertebra_ml import metrics, plots
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.intake import Opener, expand, read_ahead
from vertebra_ml.landmarks import Prediction, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.outputs import DEFAULT, FORMATS, OVERLAY, Delivery, Results, replace_bytes
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.volume import Volume

if TYPE_CHECKING:
    from vertebra_ml.models import Localiser

logger = logging.getLogger(__name__)

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
            prediction = _attempt(case, failures, partial(_located, localiser, case, image))
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
    found = Evaluation()
    failures = found.failures
    ranks: list[float] = []
    with Results(out) as results:
        for case, image in read_ahead(expand(cases)):
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


def _located(localiser: "Localiser", case: Case, image: Opener) -> Prediction:
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
            _attempt(case, failures, partial(delivery.write, address, answer))


def _judged(
    localiser: "Localiser", case: Case, image: Opener
) -> tuple[Prediction, Truth | None, Rows]:
    prediction, truth, content = _located(localiser, case, image), case.truth(), image()[0]
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
    return Picture(Answer(prediction, image()[0]).pair, prediction, truth)


def _attempt(case: Case, failures: list[str], task: Callable[[], Result]) -> Result | None:
    try:
        return task()
    except Exception as error:  # whatever one scan does, the others are finished
        logger.debug("%s", case.source, exc_info=True)
        failures.append(_line(case.source, error))
        return None


def _line(where: Path, error: Exception) -> str:
    """Return in one line what went wrong with the scan ``where``, naming the file.

    Of an error that is not ours only its kind and place are told: its words may quote the scan's.
    A file name that is not UTF-8 is spelt out, so that the line can be written anywhere.
    """
    if isinstance(error, VertebraError):
        text, shown = str(error), " ".join(str(where).split())
        text = text if shown in text else f"{shown}: {text}"
    else:
        found, fix = _kind_and_place(error), "open it in a viewer to see what is wrong"
        if isinstance(error, MemoryError):
            found, fix = "more than the memory of this machine", "crop it, or use a larger machine"
        expected = "a CT that can be read"
        text = str(DatasetError(where, found=found, expected=expected, fix=fix))
    return text.encode(errors="backslashreplace").decode()


def _kind_and_place(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__} ({error.strerror})"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
