"""``python -m benchmarks``: the table of ratios; exit status 1 where one misses its bound."""

import sys
import tempfile
from pathlib import Path

from benchmarks import locate, mips, network, reading, scan
from benchmarks.timing import Figure
from vertebra_ml.config import load
from vertebra_ml.prepare import project

ROUNDS = 3
SEED = 512


def main() -> int:
    """Measure everything on one CT and print the table."""
    root = Path(__file__).parents[1]
    params = load(root / "params.yaml")
    how = params.projection
    print(f"drawing a CT of {' x '.join(map(str, scan.SHAPE))} voxels from seed {SEED} ...")
    volume = scan.draw(SEED)
    figures = mips.measure(volume, how, ROUNDS)
    pair = project(
        volume,
        spacing_mm=how.spacing_mm,
        body_threshold_hu=how.body_threshold_hu,
        slab_mm=how.sagittal_slab_mm,
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "scan.nii.gz"
        locate.write(volume, path)
        figures += reading.measure(volume, path, Path(scratch), ROUNDS)
        del volume
        section = params.models.slice_spotter
        heads = len({*section.levels, *section.auxiliary_levels})
        figures += network.measure(pair, heads, 4 * ROUNDS)
        trained = root / "models" / locate.KIND
        localiser = locate.localiser(params, trained, Path(scratch) / "untrained")
        figures += locate.measure(path, localiser, ROUNDS)
    print("\n".join(_table(figures)))
    return 0 if all(figure.met for figure in figures) else 1


def _table(figures: list[Figure]) -> list[str]:
    head = ("what", "baseline", "ours", "ratio", "bound", "")
    rows = [
        (f.name, f.baseline, f.ours, f"{f.ratio:.2f}", f.bound, "met" if f.met else "MISSED")
        for f in figures
    ]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]


if __name__ == "__main__":
    sys.exit(main())
