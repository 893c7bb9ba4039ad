"""``python -m benchmarks.labelling [KEYPOINTS_FOLDER]``: five folds by patient, as tables.

The chain's sums alone, and with their rivals weighed by networks; statistics, networks and both
thresholds are of the other four folds. About ten minutes of two cores. Without a folder
``../shared/real/keypoints``; says so and ends well where that is absent. With ``--write`` the
tables replace those in ``docs/labelling.md``.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from joblib import cpu_count
from tqdm import tqdm

from benchmarks.siblings import KEYPOINTS, contradicted
from vertebra_ml.chain import Labelling
from vertebra_ml.chain import label as chain_label
from vertebra_ml.chain.examples import Example, read_examples
from vertebra_ml.chain.folds import FOLDS, Tally, fold_of, patients
from vertebra_ml.rivals import label
from vertebra_ml.rivals.fit import statistics_without
from vertebra_ml.rivals.learning import learn

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "labelling.md"
MARKS = ("<!-- measured -->\n", "<!-- end of measured -->\n")
BOUNDS = {"vertebrae named right": 0.98, "spines all right": 0.95}
MILLISECONDS_MAX = 10.0
TO = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Bounds of the rows in which probabilities are held against what is right."""
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


@dataclass
class Measured:
    """What one way to name was found to do: counts, and by row of ``TO`` names and right ones.

    ``sound`` counts the spines whose truth no other scan of the patient contradicts.
    """

    tally: Tally = field(default_factory=Tally)
    sound: Tally = field(default_factory=Tally)
    said: Counter[int] = field(default_factory=Counter)
    held: Counter[int] = field(default_factory=Counter)

    def add(self, example: Example, labelling: Labelling, seconds: float, sound: bool) -> None:
        """Count one spine; of its probabilities those of candidates that are named vertebrae."""
        self.tally.seconds.append(seconds)
        self.tally.add(example, labelling)
        if sound:
            self.sound.add(example, labelling)
        for candidate, level in zip(example.nearest(), example.levels, strict=True):
            if candidate is not None and labelling.levels[candidate]:
                row = sum(labelling.probabilities[candidate] >= bound for bound in TO)
                self.said[row] += 1
                self.held[row] += labelling.levels[candidate] == level


def main(arguments: list[str]) -> int:
    """Measure and print; exit status 1 where a bound is missed."""
    folders = [Path(word) for word in arguments if not word.startswith("--")]
    folder = folders[0] if folders else KEYPOINTS
    if not folder.is_dir():
        print(f"{folder} is not here: nothing measured")
        return 0
    alone, rivals = measured(read_examples(folder), patients(folder / "scans.txt"))
    parts = [_shares(alone, rivals), _held(alone, rivals), _kinds(alone.tally, rivals.tally)]
    table = "\n\n".join("\n".join(part) for part in parts) + "\n"
    print(table)
    if "--write" in arguments:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}{table}{MARKS[1]}{after}", encoding="utf-8")
    return 0 if _met(rivals.tally) else 1


def measured(examples: Sequence[Example], people: Mapping[str, str]) -> tuple[Measured, Measured]:
    """Name each spine without its fold: by the chain alone, and with its rivals weighed."""
    alone, rivals = Measured(), Measured()
    against = contradicted(examples, people)
    for example, answers in _answers(examples, fold_of(people)):
        for way, (labelling, seconds) in zip((alone, rivals), answers, strict=True):
            way.add(example, labelling, seconds, example.name not in against)
    return alone, rivals


def _answers(
    examples: Sequence[Example], folds: Mapping[str, int]
) -> Iterator[tuple[Example, list[tuple[Labelling, float]]]]:
    """Yield each spine with both labellings and the processor time of each, s."""
    known = statistics_without(examples, folds)
    for fold in range(FOLDS):
        out = frozenset({fold})
        others = [example for example in examples if folds[example.name] != fold]
        networks = learn(
            others,
            folds,
            lambda without, out=out: known(without | out),
            watch=lambda each, total, fold=fold: tqdm(each, f"fold {fold}", total),
            jobs=cpu_count(only_physical_cores=True),
        )
        statistics = known(out)
        for example in (e for e in examples if folds[e.name] == fold):
            begun = time.process_time()
            first = chain_label(example.found, statistics)
            between = time.process_time()
            second = label(example.found, statistics, networks)
            ended = time.process_time()
            yield example, [(first, between - begun), (second, ended - between)]


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


def _shares(alone: Measured, rivals: Measured) -> list[str]:
    lines = [
        "| measured | the sums alone | with rivals weighed | wanted |",
        "|---|---:|---:|---:|",
    ]
    for name in _rates(alone.tally):
        told = _told(name, alone.tally, rivals.tally)
        wanted = f"{BOUNDS[name]:.0%}" if name in BOUNDS else ""
        lines.append(f"| {name} | {told} | {wanted} |")
    apart = alone.tally.spines - alone.sound.spines
    for name in BOUNDS:
        told = _told(name, alone.sound, rivals.sound)
        lines.append(f"| {name}, without {apart} spines whose truth is contradicted | {told} | |")
    times = " | ".join(_milliseconds(way.tally.seconds) for way in (alone, rivals))
    return [
        *lines,
        f"| processor ms a spine: mean, 99 % below | {times} | {MILLISECONDS_MAX:.0f} |",
    ]


def _told(name: str, *tallies: Tally) -> str:
    rates = [_rates(tally)[name] for tally in tallies]
    return " | ".join(f"{good} of {every}: {good / every:.2%}" for good, every in rates)


def _milliseconds(seconds: Iterable[float]) -> str:
    ordered = sorted(1e3 * each for each in seconds)
    return f"{sum(ordered) / len(ordered):.1f}, {ordered[int(0.99 * len(ordered))]:.1f}"


def _held(alone: Measured, rivals: Measured) -> list[str]:
    lines = [
        "| probability of a name | the sums alone: names | right | with rivals: names | right |",
        "|---|---:|---:|---:|---:|",
    ]
    names = [f"below {TO[0]}", *(f"from {bound}" for bound in TO)]
    for row, name in enumerate(names):
        cells = [
            f"{way.said[row]} | "
            + (f"{way.held[row] / way.said[row]:.1%}" if way.said[row] else "")
            for way in (alone, rivals)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _kinds(alone: Tally, tally: Tally) -> list[str]:
    lines = [
        "| what they are | spines | wrong | vertebrae wrong | by the sums alone | why |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for kind, count in sorted(tally.why.items(), key=lambda row: -row[1]["vertebrae wrong"]):
        numbers = " | ".join(str(count[name]) for name in ("spines", "wrong", "vertebrae wrong"))
        before = alone.why[kind]["vertebrae wrong"]
        lines.append(f"| {kind} | {numbers} | {before} | {WHY.get(kind, '')} |")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
