"""Fit the statistics of real columns: ``python -m vertebra_ml.chain.fit KEYPOINTS_FOLDER``.

KEYPOINTS_FOLDER holds ``detections/`` and ``truth/`` of ImFusion VID, a JSON file a spine. The
result is ``statistics.json`` beside this file. Only these numbers enter the project.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.chain.builds import BUILDS, USUAL_BUILD, Build
from vertebra_ml.chain.candidates import SHAPE, Floats, Ints, head_to_foot, shapes
from vertebra_ml.chain.examples import UNKNOWN, Example, read_examples
from vertebra_ml.chain.factors import fit_factors
from vertebra_ml.chain.labelling import label
from vertebra_ml.chain.statistics import (
    FEATURE,
    FEATURES,
    FEW_BELOW,
    STATIONS,
    STEP,
    STEPS,
    Statistics,
    segment_cells,
)

SOURCE: Final = (
    "1,947 spine CTs of ImFusion VID (ImFusionGmbH/VID-vertebra-identification-dataset, f19fd3c6, "
    "CC BY-SA 4.0): a network's detections against semi-automatic keypoints checked by their "
    "authors; fitted by vertebra_ml.chain.fit"
)
OUTLIER_SIGMAS: Final = 6.0
FACTORS: Final = 1
END_PRIOR: Final = 3.0
"""Spines' worth of belief that a column ends at a station by chance, one in twenty."""
ELSEWHERE: Final = 0.3
"""Belief that a scan is of another kind than these, and begins and ends (one in ten) anywhere."""
RARE: Final = 0.5
"""Spines' worth of belief in each build that is none of the usual ones."""
LAST_WIDTH_MM: Final = 41.5
"""Between the pedicles of the last lumbar vertebra (L5: median 48) and of the one above (36): a
last L4 that is wider is taken for the fourth of four, a narrower one for one cut from a fifth."""
# Chosen by hand for the five folds together (``benchmarks/labelling.py``), not fitted.
WEIGHTS: Final = {
    "segment": 0.5,
    "step": 0.05,
    "shape": 16.0,
    "shape_low": 5.0,
    "surplus": -5.0,
    "missed": -1.0,
    "level": 1.0,
}
SURE: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SURE_RIGHT: Final = 0.98
"""Part of the vertebrae that shall be named right in columns of which we say that we can tell."""


@dataclass(frozen=True, eq=False)
class Named:
    """An example with a name for each candidate and the build of its column."""

    example: Example
    names: list[str]
    build: Build
    shapes: Floats

    @property
    def stations(self) -> dict[int, int]:
        """Station, rounded, to candidate, for those that are vertebrae."""
        lies = dict(zip(self.build.levels, self.build.stations, strict=True))
        return {round(lies[n]): i for i, n in enumerate(self.names) if n in lies}


def fit(examples: Sequence[Example]) -> dict[str, Any]:
    """Return the content of ``statistics.json``."""
    named = [_named(example) for example in examples]
    rows = _without_outliers(np.array([_features(spine) for spine in named]))
    aside = _without_outliers(np.array([_aside(spine) for spine in named]))
    content = {
        "source": SOURCE,
        "spines": len(examples),
        "features": list(FEATURES),
        "count": np.isfinite(rows).sum(axis=0).tolist(),
        **{k: np.round(v, 3).tolist() for k, v in fit_factors(rows, FACTORS).items()},
        "sideways": np.round(np.sqrt(np.nanmean(aside**2, axis=0)), 3).tolist(),
        "segments": _segments(named),
        "pedicles": _pedicles(named),
        **_ends(named),
        **_rates(named),
        "weights": WEIGHTS,
        "sure": SURE[0],
    }
    return content | {"sure": _sure(examples, Statistics.of(content))}


def _named(example: Example) -> Named:
    names = example.names()
    return Named(example, names, _build(example.levels, names, example), shapes(example.found))


def _build(levels: Sequence[str], names: Sequence[str], example: Example) -> Build:
    """Return how the column of an example is built, the usual way where it does not show."""
    no_t12 = {"T11", "L1"} <= set(levels) and "T12" not in levels
    lumbar = 6 if "L6" in (*levels, *names) else 5
    if levels and levels[-1] == "L4":
        last = [i for i, name in enumerate(names) if name == "L4"]
        width = shapes(example.found)[last, 0]
        lumbar = 4 if len(last) and width[0] > LAST_WIDTH_MM else 5
    thoracic = 11 if no_t12 else 12
    known = [b for b in BUILDS if (b.thoracic, b.lumbar) == (thoracic, lumbar)]
    return known[0] if known else USUAL_BUILD


def _features(spine: Named) -> Floats:
    """Return (F,) what one spine shows of ``FEATURES``; of another build only its lumbar part."""
    row = np.full(len(FEATURES), np.nan)
    stations = _comparable(spine)
    for (upper, lower), step in _steps(spine, stations).items():
        for name, value in zip(STEP, step[1:], strict=True):
            row[FEATURE[f"{upper}-{lower} {name}"]] = value
    for station, candidate in stations.items():
        for name, value in zip(SHAPE, spine.shapes[candidate], strict=True):
            row[FEATURE[f"{STATIONS[station]} {name}"]] = value
    return row


def _comparable(spine: Named) -> dict[int, int]:
    if spine.build is USUAL_BUILD:
        return spine.stations
    first = len(STATIONS) - spine.build.lumbar
    return {station: i for station, i in spine.stations.items() if station >= first}


def _steps(spine: Named, stations: dict[int, int]) -> dict[tuple[str, str], Floats]:
    points = spine.example.found.points_mm
    return {
        STEPS[upper]: points[stations[upper + 1]] - points[stations[upper]]
        for upper in range(len(STEPS))
        if upper in stations and upper + 1 in stations
    }


def _aside(spine: Named) -> Floats:
    steps = _steps(spine, _comparable(spine))
    return np.array([steps[pair][0] if pair in steps else np.nan for pair in STEPS])


def _without_outliers(rows: Floats) -> Floats:
    middle = np.nanmedian(rows, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(rows - middle), axis=0)
    return np.where(np.abs(rows - middle) <= OUTLIER_SIGMAS * spread, rows, np.nan)


def _segments(named: Sequence[Named]) -> dict[str, dict[str, int]]:
    """Return how often each cell is met, by "few below, lumbar vertebrae, place"; none is "-"."""
    counts: dict[str, Counter[int]] = {}
    for spine in named:
        if spine.example.found.segments is None:
            continue
        cells = segment_cells(spine.example.found.segments)
        few = few_below(head_to_foot(spine.example.found))
        for name, cell, below in zip(spine.names, cells, few, strict=True):
            if name != UNKNOWN:
                key = f"{int(below)} {spine.build.lumbar} {name or '-'}"
                counts.setdefault(key, Counter())[int(cell)] += 1
    return {
        key: {str(cell): counts[key][cell] for cell in sorted(counts[key])}
        for key in sorted(counts)
    }


def few_below(order: Ints) -> NDArray[np.bool_]:
    """Return (n,) whether fewer than ``FEW_BELOW`` candidates lie below each."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return np.asarray(len(order) - 1 - rank < FEW_BELOW)


def _pedicles(named: Sequence[Named]) -> list[float]:
    seen = np.ones((len(STATIONS) + 1, 2))
    for spine in named:
        both = np.asarray(np.isfinite(spine.shapes).all(axis=1))
        for station, candidate in spine.stations.items():
            seen[station, int(both[candidate])] += 1
        for candidate, name in enumerate(spine.names):
            if not name:
                seen[-1, int(both[candidate])] += 1
    rates: list[float] = np.round(seen[:, 1] / seen.sum(axis=1), 4).tolist()
    return rates


def _ends(named: Sequence[Named]) -> dict[str, Any]:
    """Return how often columns begin at each station, and end where they have come."""
    size = len(STATIONS)
    starts, stops = np.full(size, 0.5), np.full(size, 0.05 * END_PRIOR)
    passed = np.full(size, END_PRIOR)
    for spine in named:
        stations = sorted(spine.stations)
        if stations:
            starts[stations[0]] += 1
            stops[stations[-1]] += 1
            passed[stations] += 1
    return {
        "starts": np.round((1 - ELSEWHERE) * starts / starts.sum() + ELSEWHERE / size, 5).tolist(),
        "stops": np.round((1 - ELSEWHERE) * stops / passed + ELSEWHERE / 10, 5).tolist(),
    }


def _sure(examples: Sequence[Example], statistics: Statistics) -> float:
    """Return the lowest of ``SURE`` above which enough of these examples' names are right."""
    rows = []
    for example in examples:
        labelling = label(example.found, statistics)
        right = [
            labelling.levels[candidate] == level
            for candidate, level in zip(example.nearest(), example.levels, strict=True)
            if candidate is not None
        ]
        rows.append((labelling.confidence, sum(right), len(right)))
    confidence, right_ones, every = np.array(rows).T
    for least in SURE:
        told = confidence >= least
        if right_ones[told].sum() >= SURE_RIGHT * every[told].sum():
            return least
    return SURE[-1]


def _rates(named: Sequence[Named]) -> dict[str, Any]:
    inner = [place is None for spine in named for place in spine.example.nearest()[1:-1]]
    surplus = sum(spine.names.count("") for spine in named)
    met = Counter(spine.build.name for spine in named)
    total = len(named) + RARE * (len(BUILDS) - 1)
    return {
        "missed": round((1 + sum(inner)) / (2 + len(inner)), 5),
        "surplus": round((1 + surplus) / max(len(named), 1), 4),
        "builds": {
            build.name: round((met[build.name] + RARE * (build is not USUAL_BUILD)) / total, 5)
            for build in BUILDS
        },
    }


def main(arguments: list[str]) -> None:
    """Write ``statistics.json`` beside this file from the folder named first in ``arguments``."""
    target = Path(__file__).with_name("statistics.json")
    text = json.dumps(fit(read_examples(Path(arguments[0]))))
    part = target.with_suffix(".part")
    part.write_text(text.replace("], ", "],\n").replace('}, "', '},\n"') + "\n")
    part.replace(target)


if __name__ == "__main__":
    main(sys.argv[1:])
