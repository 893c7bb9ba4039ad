"""Two fresh clones, each trained anew in a reduced pipeline: are their metrics.json equal?

    python -m benchmarks.twice [--folder EMPTY]

Clones the last commit twice, sets few phantoms and two epochs, fetches the raw scans alone and runs
every stage by ``dvc repro --force``. Compares what was measured, letter by letter, and the weights.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

from tests.kills.killing import attempt
from tests.pipelines.conftest import CHANGES, ROOT, change_params

KINDS = ("slice_spotter", "two_stage")
COMPARED = tuple(
    path
    for kind in KINDS
    for path in (f"reports/{kind}/metrics.json", f"reports/{kind}/table.csv",
                 f"models/{kind}/*.weights.h5")
)  # fmt: skip
TWO_EPOCHS = {
    "models.slice_spotter.epochs": 2, "models.two_stage.detection.epochs": 2,
    "models.two_stage.identification.epochs": 2, "evaluate.phantoms": 2,
}  # fmt: skip


def main() -> int:
    """Make both and compare them; return the exit status: 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path)
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp(prefix="twice-"))
    found = [trained(folder / name) for name in ("one", "two")]
    print("\n| file | first | second | |\n|---|---|---|---|")
    names = sorted({*found[0], *found[1]})
    for name in names:
        one, two = (each.get(name, "-") for each in found)
        print(f"| {name} | {one} | {two} | {'equal' if one == two else 'DIFFERENT'} |")
    return int(found[0] != found[1] or not names)


def trained(clone: Path) -> dict[str, str]:
    """Clone, train anew, and return a digest of each file compared."""
    clone.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    step(clone.parent, "git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone))
    change_params(clone, CHANGES | TWO_EPOCHS)
    step(clone, "dvc", "pull", "--quiet", "data.dvc")
    step(clone, "dvc", "repro", "--force")
    print(f"{clone.name}: {time.monotonic() - start:.0f} s", flush=True)
    return {
        path.relative_to(clone).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for pattern in COMPARED
        for path in clone.glob(pattern)
    }


def step(folder: Path, *words: str) -> None:
    """Run a command in a folder. Exits with what it said where it failed."""
    result = attempt(words, folder)
    if result.status != 0:
        sys.exit(f"{' '.join(words)}: exit status {result.status}\n{result.said[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
