"""A search with toy trainings, killed with -9 again and again: real files, MLflow, gRPC, processes.

    python -m tests.tuning.kills FOLDER URI KILLS WORKERS...

Importing keras-tuner takes ten seconds, so that this process does it once and then forks whatever
is to be killed: the chief, and by it its workers. Prints a JSON of what came of it.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from tests.tuning import toys
from tests.tuning.toys import Toy
from vertebra_ml.leash import end_with
from vertebra_ml.tracking.trials import join_search_run, start_search_run
from vertebra_ml.tuning import search
from vertebra_ml.tuning.oracle import oracle_of
from vertebra_ml.tuning.progress import Progress
from vertebra_ml.tuning.trials import Task
from vertebra_ml.tuning.workers import Crew

EXPERIMENT, MARK, SEED = "killed", "0f1e", 7
SPACE = toys.space()
TOY = Toy(seconds=0.05, raises=0.3)


class Forked:
    """A child of this process: as much of ``Popen`` as a crew asks for."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.status: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            try:
                end_with(parent)
                work()
                os._exit(0)
            finally:  # never into what forked it
                traceback.print_exc()
                os._exit(1)

    @classmethod
    def ask(cls, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what ``work`` returns in a child: here, nothing is ever opened."""
        ours, theirs = os.pipe()
        child = cls(lambda: os.write(theirs, json.dumps(work()).encode()))
        assert child.wait(600) == 0
        told: dict[str, Any] = json.loads(os.read(ours, 1 << 16))
        return told

    def poll(self) -> int | None:
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if done else None
        return self.status

    def send_signal(self, sig: int) -> None:
        os.kill(self.pid, sig)

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.01)
        return status


class Spare(Forked):
    """A worker forked before its parent opened anything, waiting for its first order."""

    def __init__(self, folder: Path, where: Mapping[str, Any]) -> None:
        ours, self.order = os.pipe()

        def work() -> None:
            name, address = os.read(ours, 1000).decode().split()
            tracked = join_search_run(**where)
            task = Task(partial(mortal, folder), tracked.watch, folder / "trials")
            search.work(oracle_of(SPACE, SEED), task, address, name)

        super().__init__(work)


def lead(folder: Path, uri: str, workers: int) -> None:
    """Search to the end, in this process or by workers."""
    where = {"uri": uri, "experiment": EXPERIMENT, "search": folder.name, "mark": MARK}
    spares = [Spare(folder, where) for _ in range(2 * workers if workers > 1 else 0)]
    oracle = oracle_of(SPACE, SEED)
    with start_search_run(**where, values={"kind": "toy", "search": "random"}) as tracked:
        progress = Progress(oracle, tracked, workers)
        oracle.keep(folder / "oracle.json", SPACE.first(), progress.told)
        if workers == 1:
            search.alone(oracle, Task(TOY, tracked.watch, folder / "trials"))
        else:
            crew = Crew(workers, partial(hire, spares), folder / "logs")
            search.lead(oracle, "127.0.0.1:0", crew)


def hire(spares: list[Spare], name: str, address: str, log: Path) -> Forked:
    """Give a spare its order."""
    spare = spares.pop()
    os.write(spare.order, f"{name} {address}".encode())
    return spare


def mortal(folder: Path, values: Mapping[str, Any], place: Path, on_epoch: Any) -> None:
    """Train; once in a search the process dies of it."""
    dead = folder / "dead"
    if place.parent.name == "05" and not dead.exists():
        dead.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    TOY(values, place, on_epoch)


def main(folder: Path, uri: str, kills: int, workers: int) -> dict[str, Any]:
    """Kill ``kills`` times, each time at random after the first trial begun, then let it end."""
    chance, killed, state = random.Random(SEED + workers), 0, folder / "oracle.json"
    folder.mkdir(parents=True)
    while True:
        before = state.stat().st_mtime_ns if state.exists() else 0
        child = Forked(partial(lead, folder, uri, workers))
        while killed < kills and child.poll() is None:
            if state.exists() and state.stat().st_mtime_ns != before:
                time.sleep(chance.uniform(0, 0.6))
                child.send_signal(signal.SIGKILL)
                killed += 1
                break
            time.sleep(0.01)
        status = child.wait(600)
        if status != -signal.SIGKILL:
            break
    return {"status": status, "killed": killed} | Forked.ask(partial(outcome, folder, uri))


def outcome(folder: Path, uri: str) -> dict[str, Any]:
    """Return what the files and the store say."""
    tracked = join_search_run(uri=uri, experiment=EXPERIMENT, search=folder.name, mark=MARK)
    nested = tracked.client.search_runs(
        [tracked.place], f"tags.search = '{folder.name}' and tags.source = 'trial'"
    )
    trials = json.loads((folder / "oracle.json").read_text())["trials"]
    curves = [
        len(tracked.client.get_metric_history(run.info.run_id, "epoch/error")) for run in nested
    ]
    return {
        "trials": Counter(trial["status"] for trial in trials),
        "ids": sorted(trial["trial_id"] for trial in trials),
        "runs": Counter(run.info.status for run in nested),
        "of": sorted(run.data.tags["trial"] for run in nested),
        "parents": sorted({run.data.tags["mlflow.parentRunId"] == tracked.id for run in nested}),
        "search": tracked.client.get_run(tracked.id).info.status,
        "best": [run.data.tags["trial"] for run in nested if run.data.tags.get("best")],
        "least": min(trials, key=lambda t: t["score"] or float("inf"))["trial_id"],
        "failures": sorted({run.data.tags.get("failure", "") for run in nested}),
        "curves": Counter(curves),
        "died": (folder / "dead").exists(),
    }


if __name__ == "__main__":
    search.POLL_S = 0.02
    root, address, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for number in map(int, sys.argv[4:]):
        told = main(root / f"workers-{number}", address, times, number)
        sys.stdout.write(json.dumps({"workers": number} | told) + "\n")
