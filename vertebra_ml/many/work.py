"""What is done with one scan, in this process or in another that has loaded the model."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module

from vertebra_ml.batch import located
from vertebra_ml.case import Case
from vertebra_ml.errors import VertebraError
from vertebra_ml.faults import attempt, kind_and_place
from vertebra_ml.intake import Opener, read_ahead
from vertebra_ml.many.asked import Recipe
from vertebra_ml.many.outcome import Outcome, refusal
from vertebra_ml.models import Localiser
from vertebra_ml.outputs import entry
from vertebra_ml.outputs.answer import Answer
from vertebra_ml.outputs.formats import Files

_turn = threading.Lock()
_held: dict[str, Localiser] = {}


def answered(localiser: Localiser, case: Case, image: Opener, addresses: Sequence[str]) -> Outcome:
    """Locate one scan and make its own files; a fault of either is a line, and none is raised.

    ``addresses`` are values of ``outputs.FORMATS``, or ``OVERLAY``; empty ones are passed over.
    """
    faults: list[str] = []
    prediction = attempt(case, faults, partial(located, localiser, case, image))
    if prediction is None:
        return Outcome(None, tuple(faults))
    files: dict[str, bytes | None] = {}
    for address in filter(None, addresses):
        answer = Answer(prediction, image()[0])
        files |= attempt(case, faults, partial(_made, address, answer)) or {}
    return Outcome(entry(prediction), tuple(faults), (), files)


def answer(recipe: Recipe, case: Case, addresses: Sequence[str]) -> str:
    """Do one scan in a worker, whose model is loaded with its first; return the outcome as text.

    One scan is done at a time, however many threads the worker has. Nothing is raised.
    """
    with _turn, _overheard() as notes:
        try:
            localiser = _localiser(recipe)
        except VertebraError as error:
            return refusal(vars(error))
        except Exception as error:  # noqa: BLE001 - whatever a broken model does
            return refusal({
                "where": "the model", "found": kind_and_place(error),
                "expected": "one that loads in a worker", "fix": "train or fetch it again",
            })  # fmt: skip
        ((each, image),) = read_ahead([case])
        outcome = answered(localiser, each, image, addresses)
    return Outcome(outcome.entry, outcome.faults, tuple(notes), outcome.files).text()


def _made(address: str, answer: Answer) -> Files:
    module, _, name = address.partition(":")
    files: Files = getattr(import_module(module), name)(answer)
    return files


def _localiser(recipe: Recipe) -> Localiser:
    """Return the model of this recipe, loaded once; that of another is forgotten."""
    if recipe.mark not in _held:
        _held.clear()
        _held[recipe.mark] = recipe.build()
    return _held[recipe.mark]


class _Notes(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(" ".join(record.getMessage().split()))


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Collect the library's warnings, for whoever asked for the work to say them."""
    handler, logger = _Notes(), logging.getLogger("vertebra_ml")
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
