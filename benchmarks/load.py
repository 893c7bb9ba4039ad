"""``make load``: a served model under 16 clients beside the same model called in this program.

The scans are those of data/plain, as small CTs and as their MIP archives. The server is `mlflow
models serve` with a worker a core, each with one thread, as `make serve` starts it. Requests are
prepared before, so that the clients take as little of the cores as they can. Figures go to the
terminal as a table; exit status 1 where a bound is missed.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from benchmarks.load_clients import Answers, load, prepared
from benchmarks.load_here import alone, together
from benchmarks.served import ROOT, Package, Served, published, started

NAME: Final = "vertebra-slice-spotter"
LATENCY_MAX, THROUGHPUT_MIN, GROWTH_MAX = 1.3, 0.85, 1.1
ONE_CLIENT_REQUESTS: Final = 200
JSON_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    p50: float
    p95: float
    p99: float
    rate: float
    errors: int

    @classmethod
    def of(cls, what: str, answers: Answers) -> "Line":
        """Summarise what clients measured."""
        p50, p95, p99 = (float(np.percentile(answers.seconds, q)) for q in (50, 95, 99))
        rate = len(answers.seconds) / answers.wall_s
        return cls(what, p50, p95, p99, rate, len(answers.errors))

    def __str__(self) -> str:
        times = " | ".join(f"{1000 * t:.0f}" for t in (self.p50, self.p95, self.p99))
        return f"| {self.what} | {times} | {self.rate:.1f} | {self.errors} |"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    given = _options(words)
    print(f"{given.workers} workers, {given.clients} clients, {given.seconds:g} s; load of the "
          f"machine before: {psutil.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        scans = prepared(ROOT / "data" / "plain", place / "bodies")
        package = published(given.model, NAME, place)
        here = alone(package, scans, ONE_CLIENT_REQUESTS)
        lines = [Line.of("in this program, one after the other", here)]
        whole = together(package, scans, given.workers, min(30.0, given.seconds))
        lines.append(Line.of(f"in {given.workers} programs at once", whole))
        memory = _served(package, scans, given, lines)
    print("| | p50 ms | p95 ms | p99 ms | a second | errors |\n|---|---|---|---|---|---|")
    print("\n".join(map(str, lines)))
    return _judged(lines, *memory)


def _served(
    package: Package, scans: dict[str, Path], given: argparse.Namespace, lines: list[Line]
) -> tuple[int, int]:
    """Measure the server; return its resident bytes after warming up and at the end."""
    threads = str(max(1, (psutil.cpu_count() or 1) // given.workers))
    settings = {
        "TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": threads, "VERTEBRA_ML_AT_ONCE": given.at_once,
    }  # fmt: skip
    with started(package, workers=given.workers, **settings) as served:
        _warm(served, scans, given.clients)
        one = load(served.url, scans, clients=1, requests=ONE_CLIENT_REQUESTS)
        lines.append(Line.of("served, 1 client, parquet", one))
        before = served.memory()
        many = load(served.url, scans, clients=given.clients, seconds=given.seconds)
        lines.append(Line.of(f"served, {given.clients} clients, parquet", many))
        after = served.memory()
        text = load(served.url, scans, clients=given.clients, seconds=JSON_SECONDS, kind="json")
        lines.append(Line.of(f"served, {given.clients} clients, JSON", text))
        for line in {*one.errors, *many.errors, *text.errors}:
            print(f"error: {line}", file=sys.stderr)
    return before, after


def _warm(served: Served, scans: dict[str, Path], clients: int) -> None:
    """Let every worker answer scans of every size, more than once."""
    start = time.perf_counter()
    while time.perf_counter() - start < 15:
        load(served.url, scans, clients=clients, requests=4 * clients)


def _judged(lines: list[Line], before: int, after: int) -> int:
    here, whole, one, many = lines[:4]
    bounds = [
        ("p95 of one client beside this program's", one.p95 / here.p95, LATENCY_MAX, False),
        ("throughput beside that of the cores", many.rate / whole.rate, THROUGHPUT_MIN, True),
        ("memory after beside before", after / before, GROWTH_MAX, False),
        ("errors", float(sum(line.errors for line in lines)), 0.0, False),
    ]
    missed = 0
    for what, found, bound, least in bounds:
        met = found >= bound if least else found <= bound
        missed += not met
        side = "at least" if least else "at most"
        print(f"{what}: {found:.2f}, {side} {bound:g}: {'met' if met else 'MISSED'}")
    print(f"memory of all processes: {before >> 20} MB, then {after >> 20} MB")
    return 1 if missed else 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=psutil.cpu_count() or 1)
    parser.add_argument("--at-once", default="1", help="requests that a worker works on at a time")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "slice_spotter")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
