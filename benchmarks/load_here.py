"""The same scans answered by the model in this program's own processes: no HTTP, no table."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.load_clients import Answers
from benchmarks.served import Package

STARTS_S: Final = 240.0
ROUNDS_BEFORE: Final = 2


def alone(package: Package, scans: dict[str, Path], requests: int) -> Answers:
    """Answer ``requests`` scans one after the other, with one thread, as a worker has."""
    return _workers(package, scans, 1, requests=requests)


def together(package: Package, scans: dict[str, Path], workers: int, seconds: float) -> Answers:
    """Answer for ``seconds`` in a process a core."""
    return _workers(package, scans, workers, seconds=seconds)


def _workers(
    package: Package,
    scans: dict[str, Path],
    workers: int,
    *,
    requests: int = 1 << 62,
    seconds: float = 1e9,
) -> Answers:
    task = {
        "folder": str(package.folder), "scans": {n: str(p) for n, p in scans.items()},
        "requests": requests, "seconds": seconds, "workers": workers,
        "gate": str(package.place / f"gate-{workers}"),
    }  # fmt: skip
    threads = "1"
    environment = os.environ | {
        "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load_here", json.dumps({**task, "number": n})],
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for n in range(workers)
    ]
    found = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    return Answers(
        [s for each in found for s in each["seconds"]], [], max(each["wall_s"] for each in found)
    )


def _work(task: dict[str, object]) -> None:
    """Be one process: warm up, wait for the others, answer, print what it took."""
    from vertebra_ml.models import load_model, locate
    from vertebra_ml.readers import open_contents

    model = load_model(Path(str(task["folder"])))
    names = dict(task["scans"])  # type: ignore[call-overload]
    scans = [(name, Path(path).read_bytes()) for name, path in names.items()]

    def answer(number: int) -> float:
        name, data = scans[number % len(scans)]
        began = time.perf_counter()
        for case in open_contents(data, name):
            locate(model, case).rows()
        return time.perf_counter() - began

    for number in range(ROUNDS_BEFORE * len(scans)):
        answer(number)
    _together(Path(str(task["gate"])), int(str(task["number"])), int(str(task["workers"])))
    start, seconds = time.perf_counter(), []
    limit, most = float(str(task["seconds"])), int(str(task["requests"]))
    while len(seconds) < most and time.perf_counter() - start < limit:
        seconds.append(answer(len(seconds)))
    print(json.dumps({"seconds": seconds, "wall_s": time.perf_counter() - start}))


def _together(gate: Path, number: int, workers: int) -> None:
    """Wait until every process is warm."""
    gate.mkdir(exist_ok=True)
    (gate / str(number)).touch()
    end = time.monotonic() + STARTS_S
    while len(list(gate.iterdir())) < workers and time.monotonic() < end:
        time.sleep(0.01)


if __name__ == "__main__":
    _work(json.loads(sys.argv[1]))
