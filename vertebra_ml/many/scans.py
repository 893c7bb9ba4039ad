"""A folder of scans located: what is missing is done, one after another or by several processes."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.faults import as_line, attempt
from vertebra_ml.intake import read_ahead
from vertebra_ml.many.asked import Recipe
from vertebra_ml.many.crew import Crew, CrewError, Job, Lost, work_off
from vertebra_ml.many.journal import Journal, Place
from vertebra_ml.many.marks import code_mark, digest, scan_mark
from vertebra_ml.many.outcome import Outcome
from vertebra_ml.many.rows import prediction_of
from vertebra_ml.many.sizes import memory_bytes
from vertebra_ml.many.work import answer, answered
from vertebra_ml.models import Localiser
from vertebra_ml.outputs import FORMATS, OVERLAY, Delivery, Results, replace_bytes

log = logging.getLogger(__name__)

Todo = Mapping[int, Case]
Engine = Callable[[Todo, Sequence[str]], Iterator[tuple[int, Outcome]]]
"""What does the scans that are missing, with the addresses of their files, in any order."""


@dataclass(frozen=True)
class Wanted:
    """What is to be written where.

    Parameters
    ----------
    out : folder of the results.
    formats : keys of ``outputs.FORMATS``.
    overlay : whether ``CASE.png`` is drawn.
    mark : of the model and what it is asked; see ``Recipe``.
    again : whether to do again what is done.
    """

    out: Path
    formats: Sequence[str]
    overlay: bool
    mark: str
    again: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the files of a scan are made; those of the whole batch are not among them."""
        addresses = [FORMATS[name] for name in self.formats]
        return tuple(filter(None, [*addresses, OVERLAY] if self.overlay else addresses))

    def key(self, case: Case) -> str:
        """Return by what the answer for this scan is known."""
        return digest(scan_mark(case), self.mark, code_mark())


def locate_many(
    cases: Sequence[Case],
    wanted: Wanted,
    engine: Engine,
    *,
    on_progress: Callable[[int], object] = lambda done: None,
    on_resume: Callable[[int], object] = lambda done: None,
) -> tuple[int, list[str]]:
    """Locate every scan that is not done yet; return how many are located, and the failures.

    Writes what ``batch.locate_all`` writes, the rows in the order of ``cases``, whatever order they
    were done in; and ``journal.NAME``, from which the same call goes on after a kill. A scan that
    failed is tried again then. ``on_resume`` is told how many are done already, ``on_progress``
    after each other one.

    Raises DatasetError where the folder cannot be written, ModelError for a model that cannot be
    loaded, CrewError where no process is left to go on.
    """
    with Journal(wanted.out, anew=wanted.again) as journal:
        keys = [wanted.key(case) for case in cases]
        found = [journal.place(key, wanted.addresses) for key in keys]
        places: dict[int, Place] = {n: place for n, place in enumerate(found) if place}
        todo = {n: case for n, case in enumerate(cases) if n not in places}
        on_resume(len(places))
        delivery = _Delivery(wanted)
        for number, place in places.items():
            delivery.reserve(journal.read(place)["files"], cases[number].id)
        faults: dict[int, tuple[str, ...]] = {}
        for number, outcome in engine(todo, wanted.addresses) if todo else ():
            case = cases[number]
            written, lines = delivery.deliver(case, outcome)
            faults[number] = (*outcome.faults, *lines)
            if outcome.entry is not None:
                places[number] = journal.add(
                    keys[number], outcome.entry, files=written, formats=wanted.addresses,
                    whole=not faults[number],
                )  # fmt: skip
            on_progress(1)
        failures = [line for number in sorted(faults) for line in faults[number]]
        _write(cases, wanted, journal, places, failures)
    return len(places), failures


def in_turn(build: Callable[[], Localiser]) -> Engine:
    """Return what does scans in this process, the next one read ahead meanwhile."""

    def engine(todo: Todo, addresses: Sequence[str]) -> Iterator[tuple[int, Outcome]]:
        localiser = build()
        ahead = read_ahead(list(todo.values()))
        for number, (case, image) in zip(todo, ahead, strict=True):
            yield number, answered(localiser, case, image, addresses)

    return engine


def by_crew(
    recipe: Recipe, started: Callable[[Sequence[Job]], AbstractContextManager[Crew]]
) -> Engine:
    """Return what has scans done by other processes; ``started`` makes the crew for its jobs."""

    def engine(todo: Todo, addresses: Sequence[str]) -> Iterator[tuple[int, Outcome]]:
        jobs = [
            Job(number, answer, (case, tuple(addresses)), recipe, memory_bytes(case))
            for number, case in todo.items()
        ]
        with started(jobs) as crew:
            for job, result in work_off(jobs, crew):
                yield job.number, _outcome(todo[job.number], result)

    return engine


def _outcome(case: Case, result: str | Exception) -> Outcome:
    """Return what became of a scan elsewhere; its notes are said here. Raises ModelError."""
    if isinstance(result, Lost):
        return Outcome(None, (str(_killer(case)),))
    if isinstance(result, ImportError | AttributeError):
        raise CrewError(
            "a worker",
            found=f"code that cannot be run there ({result})",
            expected="the same version of vertebra-ml as here",
            fix="install it for the workers, and start them again",
        ) from result
    if isinstance(result, Exception):
        return Outcome(None, (as_line(case.source, result),))
    try:
        outcome = Outcome.of_text(result, case.id)
        if outcome.entry is not None:
            prediction_of(outcome.entry, case.id)
    except DatasetError as error:
        return Outcome(None, (as_line(case.source, error),))
    for line in outcome.notes:
        log.warning("%s", line)
    return outcome


def _killer(case: Case) -> VertebraError:
    return DatasetError(
        case.source,
        found="a scan during which two processes ended, each at work on it",
        expected="one that fits into the memory of a process",
        fix="crop it, or give each process more memory: fewer workers, a larger machine",
    )


class _Delivery(Delivery):
    """The files of the scans, of which some may lie there from before."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted.out, wanted.addresses)

    def reserve(self, names: Sequence[str], case: str) -> None:
        """Let no other scan take the names of the files of this one."""
        for name in names:
            self._take(self._folder / name, case)

    def deliver(self, case: Case, outcome: Outcome) -> tuple[list[str], list[str]]:
        """Write the files of a scan; return their names, and a line for each that failed."""
        written, faults = list[str](), list[str]()
        for name, content in outcome.files.items():
            if attempt(case, faults, partial(self._put, name, content, case.id)):
                written.append(name)
        return written, faults

    def _put(self, name: str, content: bytes | None, case: str) -> bool:
        """Write or remove a file; tell whether it is there now."""
        path = self._folder / name
        if content is None:
            if self._taken.get(path.name.casefold(), case) == case:
                path.unlink(missing_ok=True)
            return False
        self._take(path, case)
        replace_bytes(path, content)
        return True


def _write(
    cases: Sequence[Case],
    wanted: Wanted,
    journal: Journal,
    places: Mapping[int, Place],
    failures: Sequence[str],
) -> None:
    """Write the files of the whole batch, in the order of its cases."""
    with Results(wanted.out, wanted.formats) as results:
        for number in sorted(places):
            entry = journal.read(places[number])["entry"]
            results.add(prediction_of(entry, cases[number].id))
        results.finish(failures)
