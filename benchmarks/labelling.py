"""``python -m benchmarks.labelling [KEYPOINTS_FOLDER]``: five folds by patient, as a table.

Without a folder ``../shared/real/keypoints``; says so and ends well where that is absent.
"""

import sys
from pathlib import Path

from vertebra_ml.chain.examples import read_examples
from vertebra_ml.chain.fit import fit
from vertebra_ml.chain.folds import Tally, fold_of, measure, patients

KEYPOINTS = Path(__file__).parents[2] / "shared" / "real" / "keypoints"
BOUNDS = {"vertebrae named right": 0.98, "spines all right": 0.95}
MILLISECONDS_MAX = 10.0


def main(arguments: list[str]) -> int:
    """Measure and print; exit status 1 where a bound is missed."""
    folder = Path(arguments[0]) if arguments else KEYPOINTS
    if not folder.is_dir():
        print(f"{folder} is not here: nothing measured")
        return 0
    tally = measure(read_examples(folder), fold_of(patients(folder / "scans.txt")), fit)
    shares = {
        "vertebrae named right": (tally.right, tally.found),
        "spines all right": (tally.complete_right, tally.complete),
        "vertebrae named right where it can tell": (tally.sure_right, tally.sure_found),
    }
    met = True
    for name, (good, every) in shares.items():
        bound = BOUNDS.get(name)
        met &= bound is None or good >= bound * every
        said = "" if bound is None else f"  (wanted: {bound:.0%})"
        print(f"{name:42} {good:6} of {every:6}  {good / every:.2%}{said}")
    seconds = sorted(tally.seconds)
    mean, late = sum(seconds) / len(seconds) * 1e3, seconds[int(0.99 * len(seconds))] * 1e3
    print(f"{'milliseconds a spine':42} mean {mean:.1f}, 99 % below {late:.1f}")
    _print_why(tally)
    return 0 if met and mean <= MILLISECONDS_MAX else 1


def _print_why(tally: Tally) -> None:
    print(f"\n{'spines':>7} {'wrong':>6} {'vertebrae':>10}  what they are")
    rows = sorted(tally.why.items(), key=lambda row: -row[1]["vertebrae wrong"])
    for kind, count in rows:
        print(f"{count['spines']:7} {count['wrong']:6} {count['vertebrae wrong']:10}  {kind}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
