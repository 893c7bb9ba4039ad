"""``python -m benchmarks.adding [COUNT ...]``: what one more scan costs beside those projected.

A project of its own is laid out in a temporary folder for each count, with small scans (64 x 64 x
60 voxels of 5 mm: one phantom with other noise for each patient), and brought up to date once. Then
one scan is added and the stages are run one by one; another is added and ``dvc repro project``
does it all. Seconds are of the wall clock, and in brackets of the processors, which what else the
machine does changes less.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vertebra_ml.landmarks import Truth
from vertebra_ml.phantom import draw
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import Volume

ROOT = Path(__file__).parents[1]
COUNTS = (10, 100, 1000)
SHAPE = (64, 64, 60)
SPACING_MM = (5.0, 5.0, 5.0)
SEED = 7_000_003
STAGES = ("index", "validate", "split", "project")
NOISE_HU = 5


@dataclass(frozen=True)
class Cost:
    """Seconds of the wall clock and of the processors."""

    wall_s: float
    busy_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:.1f} ({self.busy_s:.1f})"


def main(counts: list[int]) -> None:
    """Measure each count and print the table."""
    volume, truth = scan()
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="adding-") as scratch:
            rows.append(measure(Path(scratch), count, volume, truth))
            print(f"{count}: {rows[-1]}", file=sys.stderr)
    heads = list(rows[0])
    print(f"| scans before | {' | '.join(heads)} |")
    print(f"|{'---|' * (len(heads) + 1)}")
    for count, row in zip(counts, rows, strict=True):
        print(f"| {count:,} | {' | '.join(str(row[head]) for head in heads)} |")


def measure(project: Path, count: int, volume: Volume, truth: Truth) -> dict[str, object]:
    """Return what is measured for one count, by the heading of its column."""
    lay_out(project)
    for number in range(count):
        add(project, number, volume, truth)
    run(project, "dvc", "add", "-q", "data")
    first = run(project, "dvc", "repro", "-q", "project")
    nothing = run(project, "dvc", "repro", "-q", "project")
    before = made(project)
    add(project, count, volume, truth)
    each = {stage: run(project, sys.executable, "-m", f"pipelines.{stage}") for stage in STAGES}
    made_anew = [name for name, inode in made(project).items() if before.get(name) != inode]
    run(project, "dvc", "repro", "-q", "project")
    add(project, count + 1, volume, truth)
    whole = run(project, "dvc", "repro", "-q", "project")
    return {
        "all of them, `dvc repro project`": first,
        **{f"one more: {stage}": cost for stage, cost in each.items()},
        "projected": len(made_anew),
        "one more, `dvc repro project`": whole,
        "nothing new, `dvc repro project`": nothing,
        "one more / all": f"{whole.busy_s / first.busy_s:.3f}",
    }


def scan() -> tuple[Volume, Truth]:
    """Return the phantom that all scans are made of, cut to ``SHAPE`` around its lumbar spine."""
    person = draw(SEED, "unlike", voxels_max=2_000_000)
    volume = person.volume.reorient("RAS").resample(SPACING_MM)
    middle = np.round(volume.world_to_voxel(person.truth.landmarks["L1"])).astype(int)
    low = [
        int(np.clip(centre - wanted // 2, 0, n - wanted))
        for centre, wanted, n in zip(middle, SHAPE, volume.shape, strict=True)
    ]
    x, y, z = (start + wanted for start, wanted in zip(low, SHAPE, strict=True))
    volume = volume.crop((low[0], low[1], low[2]), (x, y, z))
    volume = Volume(volume.array, volume.affine)
    marks = person.truth.landmarks
    inside = [
        label
        for label, held in zip(marks.labels, volume.contains(marks.points_mm), strict=True)
        if held
    ]
    return volume, Truth(marks.select(inside), ())


def add(project: Path, number: int, volume: Volume, truth: Truth) -> None:
    """Write one more scan: the phantom with a noise of its own."""
    noise = np.random.default_rng(number).integers(-NOISE_HU, NOISE_HU + 1, volume.shape)
    other = Volume((volume.array + noise).astype(np.int16), volume.affine)
    write_case(project / "data" / "plain", f"scan-{number:04d}", other, truth, "plain")


def lay_out(project: Path) -> None:
    """Make a project with the code of this one and no data."""
    for name in ("vertebra_ml", "pipelines", "serving"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("    verse: verse\n", ""))
    (project / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", project / ".dvc" / "config")
    run(project, "git", "init", "-q")


def made(project: Path) -> dict[str, int]:
    """Return the kept archives and their inodes: another inode is another projection."""
    return {path.name: path.stat().st_ino for path in (project / ".cache" / "mips").iterdir()}


def run(project: Path, *words: str) -> Cost:
    """Run a command in the project and return what it cost; stop where it fails."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": programs, "DVC_SITE_CACHE_DIR": str(project / ".dvc" / "site"),
        "DVC_NO_ANALYTICS": "true",
    }  # fmt: skip
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(
        words, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        sys.exit(f"{' '.join(words)}: {result.stderr[-2000:]}")
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, busy)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or list(COUNTS))
