"""Jobs and lanes: a lost lane's jobs are done elsewhere, a job that loses two is at fault."""

from collections.abc import Hashable, Sequence
from concurrent.futures import Future

import pytest

from vertebra_ml.many.crew import CrewError, Job, Lost, work_off


class Lanes:
    """Lanes that do a job at once, when asked who is there next; ``killers`` take theirs down."""

    pulse_s = 0.0
    refusing, refusals, refused = "", 5, 0

    def __init__(
        self, names: str, *, killers: Sequence[int] = (), depth: int = 1, budget: float = 1e9
    ) -> None:
        self.names, self.killers, self.depth, self.budget = list(names), killers, depth, budget
        self.held: dict[Hashable, list[tuple[Job, Future[str]]]] = {}
        self.log: list[tuple[Hashable, int]] = []
        self.most = 0

    def lanes(self) -> Sequence[Hashable]:
        if not self.names:
            raise CrewError("lanes", found="none", expected="one", fix="start it")
        for lane in list(self.held):
            self._do(lane)
        return list(self.names)

    def send(self, lane: Hashable, job: Job) -> "Future[str]":
        if lane in self.refusing:
            self.refused += 1
            if self.refused >= self.refusals:
                self.refusing = ""
            raise Lost("gone before")
        future: Future[str] = Future()
        self.held.setdefault(lane, []).append((job, future))
        assert len(self.held[lane]) <= self.depth
        at_work = [each for held in self.held.values() for each, _ in held]
        self.most = max(self.most, sum(each.size for each in at_work))
        return future

    def lose(self, lane: Hashable) -> None:
        assert lane not in self.names or self.refused

    def _do(self, lane: Hashable) -> None:
        """Do the first job of a lane; a killer takes down those behind it too."""
        held = self.held[lane]
        job, future = held.pop(0)
        self.log.append((lane, job.number))
        if job.number in self.killers:
            self.names.remove(str(lane))
            for _, other in [(job, future), *held]:
                other.set_exception(Lost("gone"))
            held.clear()
        else:
            future.set_result(f"done {job.number}")
        if not held:
            del self.held[lane]


def jobs(count: int, size: int = 0) -> list[Job]:
    return [Job(number, str, (), size=size) for number in range(count)]


def results(crew: Lanes, todo: list[Job]) -> dict[int, str]:
    found = [(job.number, str(result)) for job, result in work_off(todo, crew)]
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.mark.parametrize("depth", [1, 2])
def test_every_job_is_done_once(depth: int) -> None:
    crew = Lanes("AB", depth=depth)
    assert results(crew, jobs(7)) == {n: f"done {n}" for n in range(7)}
    assert len(crew.log) == 7
    assert {lane for lane, _ in crew.log} == {"A", "B"}


@pytest.mark.parametrize("depth", [1, 2])
def test_a_job_that_takes_two_lanes_down_is_at_fault_and_no_other(depth: int) -> None:
    crew = Lanes("ABCD", killers=[2], depth=depth)
    found = results(crew, jobs(9))
    assert found.pop(2) == ""  # Lost
    assert found == {n: f"done {n}" for n in range(9) if n != 2}
    assert [number for _, number in crew.log].count(2) == 2
    assert len(crew.names) == 2


def test_the_second_try_is_on_a_lane_of_its_own() -> None:
    """Else two jobs that happen to lie behind a killer twice would be blamed for it."""
    crew = Lanes("ABCDEF", killers=[0, 1], depth=3)
    found = results(crew, jobs(8))
    assert {number for number, result in found.items() if not result} == {0, 1}
    assert len(crew.names) == 2


def test_what_waits_behind_a_killer_is_done_before_it_is_tried_again() -> None:
    """With as many lanes as it takes down, all else must be done: none is left afterwards."""
    crew = Lanes("AB", killers=[0], depth=3)
    found = results(crew, jobs(7))
    assert found.pop(0) == ""
    assert found == {n: f"done {n}" for n in range(1, 7)}
    assert not crew.names


def test_a_job_that_was_lost_comes_last() -> None:
    crew = Lanes("ABC", killers=[0])
    assert [job.number for job, _ in work_off(jobs(5), crew)][-1] == 0
    assert len(crew.names) == 1


def test_no_lane_left_is_an_error_and_what_is_done_was_told() -> None:
    crew = Lanes("AB", killers=[1, 2])
    working = work_off(jobs(9), crew)
    first, _ = next(working)
    assert first.number == 0
    with pytest.raises(CrewError, match="found none"):
        list(working)


def test_memory_is_bounded_and_what_is_too_large_runs_alone() -> None:
    crew = Lanes("ABCD", budget=10)
    assert len(results(crew, jobs(9, size=4))) == 9
    assert crew.most == 8
    crew = Lanes("ABCD", budget=10)
    assert len(results(crew, jobs(3, size=50))) == 3
    assert crew.most == 50


def test_a_lane_that_takes_no_work_is_no_fault_of_the_job() -> None:
    crew = Lanes("AB")
    crew.refusing = "B"
    assert results(crew, jobs(9)) == {n: f"done {n}" for n in range(9)}
    assert crew.refused == 5


def test_lanes_that_never_take_work_are_an_error() -> None:
    crew = Lanes("AB")
    crew.refusing, crew.refusals = "AB", 1000
    with pytest.raises(CrewError, match="10 times one that takes no work"):
        list(work_off(jobs(3), crew))


def test_nothing_to_do_asks_nobody() -> None:
    assert results(Lanes(""), []) == {}
