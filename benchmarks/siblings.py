"""Hold the truths of a patient's scans against each other: ``python -m benchmarks.siblings``.

Most patients of the keypoints were scanned twice, on the back and on the belly. The same bones have
the same steps between bodies and widths between pedicles; where two truths agree far better when
one is moved by a level, they cannot both be right, and no labeller that names both scans alike can
be right on both.
"""

import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.chain.candidates import Floats, shapes
from vertebra_ml.chain.examples import Example, read_examples
from vertebra_ml.chain.folds import patients

KEYPOINTS: Final = Path(__file__).parents[2] / "shared" / "real" / "keypoints"
SD_MM: Final = np.array([1.0, 1.5])
"""How far a step and a width differ between scans of one person (detections of whole voxels)."""
FARTHEST: Final = 9.0
"""A squared difference counts at most this much, so that one bad detection decides nothing."""
MEASURES_MIN: Final = 6
CLEARLY: Final = 0.5
UNLIKE: Final = 2.0
"""Truths contradict each other where a move leaves less than ``CLEARLY`` of a mean squared
difference above ``UNLIKE``; medians are 0.9 as named and 3.7 moved."""


@dataclass(frozen=True)
class Pair:
    """Two scans of a patient: mean squared differences as named, and with one moved by a level.

    Parameters
    ----------
    names : of both spines.
    as_named, moved : in SDs, squared; ``moved`` is the less of up and down.
    """

    names: tuple[str, str]
    as_named: float
    moved: float

    @property
    def contradicts(self) -> bool:
        """Whether both truths cannot be right."""
        return self.as_named > UNLIKE and self.moved < CLEARLY * self.as_named


def pairs(examples: Sequence[Example], people: Mapping[str, str]) -> Iterator[Pair]:
    """Yield each two scans of a patient with enough in common; ``people``: spine -> patient."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[people[example.name]].append(example)
    for group in groups.values():
        for one, other in itertools.combinations(group, 2):
            up, as_named, down = (_apart(one, other, move) for move in (-1, 0, 1))
            if np.isfinite(as_named):
                yield Pair((one.name, other.name), as_named, float(np.fmin(up, down)))


def contradicted(examples: Sequence[Example], people: Mapping[str, str]) -> frozenset[str]:
    """Return the spines whose truth that of another scan of the patient contradicts."""
    found = (pair.names for pair in pairs(examples, people) if pair.contradicts)
    return frozenset(itertools.chain.from_iterable(found))


def main(arguments: list[str]) -> int:
    """Print the pairs that contradict each other, and how many agree."""
    folder = Path(arguments[0]) if arguments else KEYPOINTS
    if not folder.is_dir():
        print(f"{folder} is not here: nothing measured")
        return 0
    every = list(pairs(read_examples(folder), patients(folder / "scans.txt")))
    against = [pair for pair in every if pair.contradicts]
    for pair in against:
        print(f"{' '.join(pair.names)}: {pair.as_named:.2f} as named, {pair.moved:.2f} moved")
    names = {name for pair in against for name in pair.names}
    both = {name for pair in every for name in pair.names}
    middle = [np.median([getattr(p, way) for p in every]) for way in ("as_named", "moved")]
    print(
        f"{len(every)} pairs of {len(both)} scans compared, medians {middle[0]:.2f} as named and "
        f"{middle[1]:.2f} moved; {len(against)} contradict each other, {len(names)} scans"
    )
    return 0


def _apart(one: Example, other: Example, move: int) -> float:
    """Return the mean squared difference, ``other`` moved down by ``move``; NaN of too little."""
    common = [level for level in other.levels if level in one.levels]
    if not common:
        return np.nan
    shift = one.levels.index(common[-1]) - other.levels.index(common[-1]) + move
    first, second = _measures(one), _measures(other)
    rows = [n for n in range(len(second)) if 0 <= n + shift < len(first)]
    away = ((first[[n + shift for n in rows]] - second[rows]) / SD_MM) ** 2
    known = away[np.isfinite(away)]
    return float(np.minimum(known, FARTHEST).mean()) if len(known) >= MEASURES_MIN else np.nan


def _measures(example: Example) -> Floats:
    """Return (m, 2): the step from the vertebra above and the width between the pedicles, mm."""
    measured = np.full((len(example.levels), 2), np.nan)
    measured[1:, 0] = np.linalg.norm(np.diff(example.points_mm, axis=0), axis=1)
    widths = shapes(example.found)[:, 0]
    for row, candidate in enumerate(example.nearest()):
        if candidate is not None:
            measured[row, 1] = widths[candidate]
    return measured


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
