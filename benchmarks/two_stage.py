"""``python -m benchmarks.two_stage [FOLDER]``: a CT in memory to named centroids, ours and theirs.

FOLDER is a two-stage model (default ``models/two_stage``); where there is none, the compact
networks are timed with weights at random, whose names mean nothing. Theirs are the published
networks with weights at random: a whole run takes half an hour, so a few of its tiles and slices
are timed and multiplied by how many there are (see ``published``). Exit status 1 where a bound is
missed.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import two_stage_scan
from benchmarks.timing import Figure, extra_memory
from benchmarks.two_stage_scan import Scan
from vertebra_ml import models
from vertebra_ml.config import load
from vertebra_ml.discs import Column
from vertebra_ml.landmarks import Prediction
from vertebra_ml.models.contract import CONTRACT
from vertebra_ml.phantom import trunk
from vertebra_ml.two_stage.fitting import untrained
from vertebra_ml.two_stage.readers.spinefinder import BONE_HU, BONE_SHARE, STEP, tiles
from vertebra_ml.two_stage.spinefinder import networks
from vertebra_ml.two_stage.spinefinder.cutting import MIDDLE, PATCH, SLICES
from vertebra_ml.two_stage.spinefinder.grid import Grid, scaled

ROOT = Path(__file__).parents[1]
SEED = 512
SLICE_COUNTS = (200, 400, 1000, 2000)
MIDDLE_COUNT = 400
ROUNDS = 3
SECONDS_MAX, MEMORY_MAX_GB, RATIO_MIN = 5.0, 2.0, 300.0
LINEAR = 1.3
"""A slice of the largest scan may cost this many times a slice of the middle one."""

TIMED_TILES, TIMED_SLICES = 8, 3
NEAR_MM = 20.0


@dataclass(frozen=True)
class Cost:
    """One scan read by ours: median seconds, extra memory, and how many centres were right."""

    slices: int
    seconds: float
    memory_gb: float
    named: str


def main(folder: Path) -> int:
    """Measure everything on one phantom and print the tables."""
    print(f"drawing a trunk from seed {SEED} ...", flush=True)
    phantom = trunk(SEED)
    with tempfile.TemporaryDirectory() as scratch:
        localiser = compact(folder, Path(scratch) / "untrained")
        costs: list[Cost] = []
        theirs, lines = 0.0, list[str]()
        for count in SLICE_COUNTS:
            scan = two_stage_scan.draw(phantom, count, SEED)
            costs.append(measure(localiser, scan))
            print(_line(costs[-1]), flush=True)
            if count == MIDDLE_COUNT:
                theirs, lines = published(scan)
                print("\n".join(lines), flush=True)
            del scan
    found = figures({cost.slices: cost for cost in costs}, theirs)
    for figure in found:
        verdict = "met" if figure.met else "MISSED"
        print(f"{figure.name}: {figure.ours} against {figure.baseline}, ratio {figure.ratio:.2f}, "
              f"bound {figure.bound}: {verdict}")  # fmt: skip
    return 0 if all(figure.met for figure in found) else 1


def compact(folder: Path, scratch: Path) -> models.Localiser:
    """Load the model in ``folder``, or write and load one with weights at random."""
    if not (folder / CONTRACT).is_file():
        print(f"no model in {folder}: networks with weights at random, names mean nothing")
        section = load(ROOT / "params.yaml").models.two_stage.model_dump()
        untrained(section | {"architecture": "compact"}, scratch, SEED)
        folder = scratch
    return models.load_model(folder)


def measure(localiser: models.Localiser, scan: Scan) -> Cost:
    """Read a scan once, weighing it (the peak of a process never falls), then time it."""
    first: list[Prediction] = []
    extra = extra_memory(lambda: first.append(localiser.locate(scan.volume, "scan")))
    marks = first[0].landmarks
    right = sum(
        name in marks and float(np.linalg.norm(marks[name] - scan.truth[name])) <= NEAR_MM
        for name in scan.truth.labels
    )
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        localiser.locate(scan.volume, "scan")
        seconds.append(time.perf_counter() - start)
    named = f"{right} of {len(scan.truth)} right, {len(marks)} named"
    return Cost(scan.volume.shape[2], statistics.median(seconds), extra / 1e9, named)


def published(scan: Scan) -> tuple[float, list[str]]:
    """Return the seconds of the published way on a scan, and how they come about.

    Its detection looks at every tile of 64 x 64 x 80 mm, 32 x 32 x 40 mm apart; its identification
    at the whole sagittal plane of every millimetre between the leftmost and the rightmost voxel
    detected, here of the true spine. TIMED_TILES tiles and TIMED_SLICES slices, spread over the
    scan, are sampled and looked at one by one, as there; medians times counts are the answer.
    """
    grid = Grid.over(scan.volume)
    starts = [start for start, _ in tiles(grid)]
    detection, identification = networks.detection(), networks.identification()
    for network in (detection, identification):
        network.jit_compile = False

    def tile(start: tuple[int, int, int]) -> None:
        values = scaled(grid.sample(scan.volume, start, PATCH))
        detection.predict_on_batch(values[None, ..., None]).argmax(axis=-1)

    y, z = (-(-n // 2**networks.DEPTH) * 2**networks.DEPTH for n in grid.shape[1:])

    def plane(x: int) -> None:
        hu = grid.sample(scan.volume, (x - MIDDLE, 0, 0), (SLICES, y, z))
        identification.predict_on_batch(scaled(np.moveaxis(hu, 0, -1)[None]))

    column = Column.through(scan.truth)
    across = grid.voxels(column.places_mm)[:, 0]
    radius = column.radii_mm.max()
    planes = np.arange(int(across.min() - radius), int(across.max() + radius) + 1)
    each_tile = _median(tile, [starts[i] for i in _spread(len(starts), TIMED_TILES)])
    each_plane = _median(plane, [int(planes[i]) for i in _spread(len(planes), TIMED_SLICES)])
    total = len(starts) * each_tile + len(planes) * each_plane
    bony = _bony(grid, scan)
    lines = [
        f"published: {len(starts)} tiles x {each_tile:.3f} s + {len(planes)} slices of {y} x {z} x "
        f"{each_plane:.2f} s = {total:.0f} s",
        f"  (our reader of it skips tiles without bone: about {bony:.0%} of them are looked at)",
    ]
    return total, lines


def figures(costs: dict[int, Cost], theirs: float) -> list[Figure]:
    """Hold what was measured against the bounds."""
    ours, largest = costs[MIDDLE_COUNT], costs[max(costs)]
    ratio = theirs / ours.seconds
    per_slice = {n: cost.seconds / n for n, cost in costs.items()}
    growth = per_slice[max(costs)] / per_slice[MIDDLE_COUNT]
    texts = {n: f"{1000 * value:.2f} ms a slice" for n, value in per_slice.items()}
    return [
        Figure("512x512x400 in memory to named centroids", f"{SECONDS_MAX:.0f} s",
               f"{ours.seconds:.2f} s", ours.seconds / SECONDS_MAX, "at most 1",
               ours.seconds <= SECONDS_MAX),
        Figure("memory above the volume", f"{MEMORY_MAX_GB:.0f} GB", f"{ours.memory_gb:.2f} GB",
               ours.memory_gb / MEMORY_MAX_GB, "at most 1", ours.memory_gb <= MEMORY_MAX_GB),
        Figure("the same by the published networks", f"{theirs:.0f} s", f"{ours.seconds:.2f} s",
               ratio, f"at least {RATIO_MIN:.0f}", ratio >= RATIO_MIN),
        Figure(f"{largest.slices} slices", texts[MIDDLE_COUNT], texts[max(costs)], growth,
               f"at most {LINEAR}", growth <= LINEAR),
    ]  # fmt: skip


def _bony(grid: Grid, scan: Scan) -> float:
    """Estimate from 64 tiles which part of them our reader looks at."""
    starts = [start for start, _ in tiles(grid)]
    border = (np.array(PATCH) - STEP) // 2
    chosen = [np.array(starts[i]) + border for i in _spread(len(starts), 64)]
    shape = (int(STEP[0]), int(STEP[1]), int(STEP[2]))
    bone = [
        (grid.sample(scan.volume, (int(x), int(y), int(z)), shape) > BONE_HU).mean() >= BONE_SHARE
        for x, y, z in chosen
    ]
    return float(np.mean(bone))


def _median(action: Callable[[Any], None], things: Sequence[Any]) -> float:
    """Return the median seconds of ``action`` on each thing; it is done once before, untimed."""
    action(things[0])
    seconds = []
    for thing in things:
        start = time.perf_counter()
        action(thing)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _spread(count: int, wanted: int) -> list[int]:
    return [int(i) for i in np.linspace(0, count - 1, min(count, wanted) + 2)[1:-1]]


def _line(cost: Cost) -> str:
    return (
        f"compact, {cost.slices} slices: {cost.seconds:.2f} s, {cost.memory_gb:.2f} GB above the "
        f"volume, {cost.named}"
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "models" / "two_stage"))
