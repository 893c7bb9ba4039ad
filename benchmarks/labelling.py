"""``python -m benchmarks.labelling [KEYPOINTS_FOLDER]``: five folds by patient, as a table.

Without a folder ``../shared/real/keypoints``; says so and ends well where that is absent. With
``--write`` the tables replace those in ``docs/labelling.md``.
"""

import sys
from pathlib import Path

from vertebra_ml.chain.examples import read_examples
from vertebra_ml.chain.fit import fit
from vertebra_ml.chain.folds import Tally, fold_of, measure, patients

ROOT = Path(__file__).parents[1]
KEYPOINTS = ROOT.parent / "shared" / "real" / "keypoints"
PAGE = ROOT / "docs" / "labelling.md"
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")
BOUNDS = {"vertebrae named right": 0.98, "spines all right": 0.95}
MILLISECONDS_MAX = 10.0
WHY = {
    "network takes T12 for lumbar, no L5": "no sacrum, and the last rib a level too high: "
    "nothing contradicts a whole shift",
    "network takes T12 for lumbar": "last rib a level too high; six lumbar look as likely",
    "network takes L1 for thoracic": "last rib a level too low",
    "six lumbar vertebrae": "L1 bears a rib for the network, or the column is counted from "
    "the sacrum as usual",
    "a sixth lumbar candidate that the truth leaves unnamed": "a transitional vertebra: "
    "named L5 and the rest a level up",
    "T12 absent": "eleven ribs: a shift upward fits as well",
    "ends at L4": "four lumbar vertebrae above the sacrum, or five with one unnamed",
    "ends at L3": "no sacrum in sight",
    "ends at L2": "no sacrum in sight",
    "lumbar vertebrae alone": "no rib in sight",
    "nothing special": "fractures, scoliosis, few vertebrae",
}


def main(arguments: list[str]) -> int:
    """Measure and print; exit status 1 where a bound is missed."""
    folders = [Path(word) for word in arguments if not word.startswith("--")]
    folder = folders[0] if folders else KEYPOINTS
    if not folder.is_dir():
        print(f"{folder} is not here: nothing measured")
        return 0
    tally = measure(read_examples(folder), fold_of(patients(folder / "scans.txt")), fit)
    table = "\n".join([*_shares(tally), "", *_kinds(tally)]) + "\n"
    print(table)
    if "--write" in arguments:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}{table}{MARKS[1]}{after}", encoding="utf-8")
    return 0 if _met(tally) else 1


def _rates(tally: Tally) -> dict[str, tuple[int, int]]:
    return {
        "vertebrae named right": (tally.right, tally.found),
        "spines all right": (tally.complete_right, tally.complete),
        "vertebrae named right where it can tell": (tally.sure_right, tally.sure_found),
    }


def _met(tally: Tally) -> bool:
    rates = _rates(tally)
    right = all(rates[name][0] >= bound * rates[name][1] for name, bound in BOUNDS.items())
    return right and sum(tally.seconds) * 1e3 <= MILLISECONDS_MAX * len(tally.seconds)


def _shares(tally: Tally) -> list[str]:
    lines = ["| measured | right | of | share | wanted |", "|---|---:|---:|---:|---:|"]
    for name, (good, every) in _rates(tally).items():
        wanted = f"{BOUNDS[name]:.0%}" if name in BOUNDS else ""
        lines.append(f"| {name} | {good} | {every} | {good / every:.2%} | {wanted} |")
    seconds = sorted(tally.seconds)
    mean, late = sum(seconds) / len(seconds) * 1e3, seconds[int(0.99 * len(seconds))] * 1e3
    return [*lines, "", f"Milliseconds a spine: mean {mean:.1f}, 99 % below {late:.1f}."]


def _kinds(tally: Tally) -> list[str]:
    lines = [
        "| what they are | spines | wrong | vertebrae wrong | why |",
        "|---|---:|---:|---:|---|",
    ]
    for kind, count in sorted(tally.why.items(), key=lambda row: -row[1]["vertebrae wrong"]):
        numbers = " | ".join(str(count[name]) for name in ("spines", "wrong", "vertebrae wrong"))
        lines.append(f"| {kind} | {numbers} | {WHY.get(kind, '')} |")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
