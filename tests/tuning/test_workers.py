"""The crew: started again where one dies, given up where that is vain, ended by number."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vertebra_ml.errors import ModelError
from vertebra_ml.tuning.workers import DEATHS_MAX, HALTED, Crew

ENDS = "import sys; print('out of memory', file=sys.stderr); sys.exit({})"
SLEEPS = "import time; time.sleep(600)"
Started = list["subprocess.Popen[bytes]"]


@pytest.fixture
def started() -> Iterator[Started]:
    """Give a list of what a test starts; it is ended by its number."""
    found: Started = []
    yield found
    for process in found:
        process.kill()
        process.wait(10)


def launching(started: Started, code: str) -> Callable[..., "subprocess.Popen[bytes]"]:
    def launch(name: str, address: str, log: Path) -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            started.append(subprocess.Popen([sys.executable, "-c", code], stderr=output))
        return started[-1]

    return launch


def look_until(crew: Crew, count: int, started: Started, ended: int = 0) -> None:
    end = time.monotonic() + 60
    while len(started) < count and time.monotonic() < end:
        crew.look(ended)
        time.sleep(0.01)


def test_a_dead_worker_is_started_again(tmp_path: Path, started: Started) -> None:
    crew = Crew(2, launching(started, SLEEPS), tmp_path)
    crew.begin("127.0.0.1:1")
    started[0].kill()
    started[0].wait(10)
    look_until(crew, 3, started)
    assert len(started) == 3
    assert sorted(crew.at_work) == ["worker-1", "worker-2"]
    crew.stop()
    assert all(process.poll() is not None for process in started)


def test_one_that_was_sent_home_is_not(tmp_path: Path, started: Started) -> None:
    crew = Crew(1, launching(started, ENDS.format(0)), tmp_path)
    crew.begin("127.0.0.1:1")
    started[0].wait(30)
    crew.look(0)
    assert (len(started), crew.at_work) == (1, {})
    crew.leave()


def test_deaths_in_vain_end_the_search(tmp_path: Path, started: Started) -> None:
    crew = Crew(1, launching(started, ENDS.format(9)), tmp_path)
    crew.begin("127.0.0.1:1")
    with pytest.raises(ModelError, match=r"worker-1: found out of memory"):
        look_until(crew, 99, started)
    assert len(started) == DEATHS_MAX


def test_deaths_between_trials_that_end_are_borne(tmp_path: Path, started: Started) -> None:
    crew = Crew(1, launching(started, ENDS.format(9)), tmp_path)
    crew.begin("127.0.0.1:1")
    for ended in range(DEATHS_MAX + 2):
        look_until(crew, ended + 2, started, ended + 1)
    assert len(started) > DEATHS_MAX


def test_a_worker_that_cannot_go_on_ends_the_search(tmp_path: Path, started: Started) -> None:
    crew = Crew(1, launching(started, ENDS.format(HALTED)), tmp_path)
    crew.begin("127.0.0.1:1")
    with pytest.raises(ModelError, match="found out of memory"):
        look_until(crew, 2, started)
    assert len(started) == 1
