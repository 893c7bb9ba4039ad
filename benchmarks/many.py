"""``python -m benchmarks.many [COUNT]``: many small scans by one process, by two, by a cluster.

Lays out COUNT scans (1,000; 64 x 64 x 60 voxels of 5 mm, one phantom with other noise each). A
fifth of them is located by one process, by two processes of this machine and by two workers of a
Dask cluster on the loopback; then all of them by the cluster, one of whose workers is killed when a
third is done. Each is the whole command ``vertebra-ml locate``, its start counted; the workers of
the cluster run before and load the model with their first scan.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.adding import NOISE_HU, scan
from vertebra_ml.many.journal import NAME
from vertebra_ml.readers.writers import write_nifti
from vertebra_ml.volume import Volume

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "slice_spotter"
COUNT = 1000
BIN = Path(sys.executable).parent
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

Process = subprocess.Popen[bytes]


def main(count: int) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory(prefix="many-") as scratch:
        folder = Path(scratch)
        write(folder / "scans", count)
        few = max(1, count // 5)
        print(
            "| who | scans | wall, s | scans a second | one process / this |\n|---|---|---|---|---|"
        )
        alone = told("one process", few, located(folder, "one", few, "--workers", "1"))
        told("two processes", few, located(folder, "two", few, "--workers", "2"), alone)
        with cluster(folder) as (address, workers):
            options = ("--scheduler", address)
            told("two workers of a cluster", few, located(folder, "dask", few, *options), alone)
            wall_s = located(folder, "all", count, *options, kill=workers[0])
            told("the same, one killed after a third", count, wall_s)
        print(f"\n{checked(folder / 'all', count)}")
        same = {(folder / name / "slices.csv").read_bytes() for name in ("one", "two", "dask")}
        print(f"slices.csv of the first three: {'equal' if len(same) == 1 else 'NOT EQUAL'}")


def write(folder: Path, count: int) -> None:
    """Write the scans."""
    volume, _ = scan()
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(-NOISE_HU, NOISE_HU + 1, volume.shape)
        other = Volume((volume.array + noise).astype(np.int16), volume.affine)
        write_nifti(folder / f"scan-{number:04d}.nii.gz", other)


def located(
    folder: Path, name: str, count: int, *options: str, kill: Process | None = None
) -> float:
    """Locate the first scans into ``folder/name``; return the seconds of the wall clock."""
    scans = sorted((folder / "scans").iterdir())[:count]
    start, out = time.perf_counter(), folder / name
    words = [str(BIN / "vertebra-ml"), "locate", *map(str, scans), "--model", str(MODEL)]
    running = subprocess.Popen([*words, "--out", str(out), *options], **QUIET, cwd=ROOT)
    while running.poll() is None:
        if kill and lines(out / NAME) >= count // 3:
            kill.kill()
            kill = None
        time.sleep(0.05)
    if running.returncode or kill:
        raise SystemExit(f"{name}: exit status {running.returncode}, a worker killed: {not kill}")
    return time.perf_counter() - start


def lines(path: Path) -> int:
    """Return how many scans a journal holds."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def told(who: str, count: int, wall_s: float, alone: float | None = None) -> float:
    """Print a row; return scans a second."""
    rate = count / wall_s
    ratio = f"{rate / alone:.2f}" if alone else ""
    print(f"| {who} | {count:,} | {wall_s:.1f} | {rate:.2f} | {ratio} |", flush=True)
    return rate


def checked(out: Path, count: int) -> str:
    """Say what the killed run has left."""
    with (out / "slices.csv").open(newline="") as file:
        cases = [row["case"] for row in csv.DictReader(file)]
    failures = json.loads((out / "slices.json").read_text())["failures"]
    once = len(cases) == 2 * len(set(cases))
    return (
        f"after the kill: {len(set(cases)):,} of {count:,} scans in slices.csv, "
        f"{'each once' if once else 'NOT EACH ONCE'} (T12 and L3), {len(failures)} failures"
    )


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[Process]]]:
    """Start a scheduler and two workers of one thread; yield its address and the workers."""
    file = folder / "scheduler.json"
    started = [dask("scheduler", "--port", "0", "--scheduler-file", str(file), folder=folder)]
    try:
        while not file.exists() or not file.read_text().endswith("}"):
            time.sleep(0.1)
        address = str(json.loads(file.read_text())["address"])
        words = ("worker", address, "--no-nanny", "--nthreads", "1", "--local-directory")
        workers = [dask(*words, str(folder), folder=folder) for _ in range(2)]
        started += workers
        time.sleep(10)  # both are there before the clock starts
        yield address, workers
    finally:
        for process in started:
            process.kill()
            process.wait()


def dask(what: str, *words: str, folder: Path) -> Process:
    """Start one program of the cluster on the loopback."""
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *words]
    threads = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--no-dashboard"], cwd=folder, **QUIET,
        env=os.environ | threads | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
