"""Five folds by patient: statistics fitted on four parts, names measured on the fifth."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vertebra_ml.chain.examples import Example
from vertebra_ml.chain.labelling import Labelling, label
from vertebra_ml.chain.statistics import Statistics
from vertebra_ml.errors import DatasetError

FOLDS: Final = 5


@dataclass
class Tally:
    """Counts over spines of the folds that were measured.

    Parameters
    ----------
    spines : spines, those whose vertebrae all have a candidate, and those of them all right.
    vertebrae, found, right : true vertebrae, those with a candidate within 20 mm (the nearest),
        and those of them whose candidate bears their name.
    sure_found, sure_right : the same where the labelling says that it can tell.
    seconds : what naming took, a spine each.
    why : for each kind of spine, how many there are, and in how many a name is wrong.
    """

    spines: int = 0
    complete: int = 0
    complete_right: int = 0
    vertebrae: int = 0
    found: int = 0
    right: int = 0
    sure_found: int = 0
    sure_right: int = 0
    seconds: list[float] = field(default_factory=list)
    why: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, example: Example, labelling: Labelling) -> None:
        """Count one spine."""
        named = [
            labelling.levels[candidate] == level
            for candidate, level in zip(example.nearest(), example.levels, strict=True)
            if candidate is not None
        ]
        self.spines += 1
        self.vertebrae += len(example.levels)
        self.found += len(named)
        self.right += sum(named)
        if labelling.can_tell:
            self.sure_found += len(named)
            self.sure_right += sum(named)
        if named and len(named) == len(example.levels):
            self.complete += 1
            self.complete_right += all(named)
        if named:
            kind = self.why[kind_of(example)]
            kind["spines"] += 1
            kind["wrong"] += not all(named)
            kind["vertebrae wrong"] += len(named) - sum(named)


def patients(scans: Path) -> dict[str, str]:
    """Return spine -> patient from ``scans.txt`` ("ID, path of the public scan" a line).

    Raises DatasetError where it cannot be read.
    """
    try:
        lines = [line.split(", ", 1) for line in scans.read_text(encoding="utf-8").splitlines()]
        return {spine: _patient(path) for spine, path in lines}
    except (OSError, ValueError) as error:
        raise DatasetError(
            scans,
            found=f"no list of scans ({error})",
            expected='lines "ID, path"',
            fix="name the folder of keypoints",
        ) from None


def _patient(path: str) -> str:
    """Return the folder or file name that names the patient in a public data set's path."""
    parts = path.split("/")
    if parts[0] == "COLONOG":
        return parts[2]
    named = [part for part in parts if part.startswith("sub-")]
    return named[0].split("_")[0] if named else parts[-1]


def fold_of(people: Mapping[str, str]) -> dict[str, int]:
    """Return spine -> fold; all spines of a patient in one, patients dealt in turn by name."""
    deal = {person: n % FOLDS for n, person in enumerate(sorted(set(people.values())))}
    return {spine: deal[person] for spine, person in people.items()}


def measure(
    examples: Sequence[Example],
    folds: Mapping[str, int],
    fit: Callable[[Sequence[Example]], dict[str, Any]],
) -> Tally:
    """Name each spine by statistics fitted without its fold."""
    tally = Tally()
    for fold in sorted(set(folds.values())):
        learnt = Statistics.of(fit([e for e in examples if folds[e.name] != fold]))
        for example in (e for e in examples if folds[e.name] == fold):
            start = time.perf_counter()
            labelling = label(example.found, learnt)
            tally.seconds.append(time.perf_counter() - start)
            tally.add(example, labelling)
    return tally


def kind_of(example: Example) -> str:
    """Say what is special about a spine, the most telling first."""
    levels, names = example.levels, example.names()
    if "L6" in levels:
        return "six lumbar vertebrae"
    if {"T11", "L1"} <= set(levels) and "T12" not in levels:
        return "T12 absent"
    if None in example.nearest():
        return "a vertebra without a candidate"
    if "L6" in names:
        return "a sixth lumbar candidate that the truth leaves unnamed"
    wrong = _ribs_misread(example, names)
    if wrong:
        return wrong
    if levels[-1] != "L5" and levels[-1][0] == "L":
        return f"ends at {levels[-1]}"
    if levels[0][0] == "L":
        return "lumbar vertebrae alone"
    if "" in names:
        return "a surplus candidate"
    return "nothing special"


def _ribs_misread(example: Example, names: Sequence[str]) -> str:
    """Say whether the network's segments part T12 from L1 in the wrong place."""
    assert example.found.segments is not None
    likeliest = {
        name: "CTL"[int(row.argmax())]
        for name, row in zip(names, example.found.segments, strict=True)
    }
    if likeliest.get("T12") == "L":
        return "network takes T12 for lumbar" + ("" if "L5" in names else ", no L5")
    if likeliest.get("L1") == "T":
        return "network takes L1 for thoracic"
    return ""
