"""From examples with their truth to networks and the threshold of "can tell"."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from vertebra_ml.anatomy import RANK
from vertebra_ml.chain import Statistics, label
from vertebra_ml.chain.candidates import Floats
from vertebra_ml.chain.examples import Example
from vertebra_ml.chain.fit import SURE, SURE_RIGHT
from vertebra_ml.rivals.batches import Lesson, batch_of
from vertebra_ml.rivals.columns import decided, rivals
from vertebra_ml.rivals.inputs import inputs_of
from vertebra_ml.rivals.network import forward
from vertebra_ml.rivals.training import train
from vertebra_ml.rivals.weights import Networks, rounded

SEEDS: Final = tuple(range(8))
SOURCE: Final = (
    "1,947 spine CTs of ImFusion VID (ImFusionGmbH/VID-vertebra-identification-dataset, f19fd3c6, "
    "CC BY-SA 4.0): a network's detections against semi-automatic keypoints checked by their "
    "authors; numbers only, taught by vertebra_ml.rivals.fit"
)

StatisticsWithout = Callable[[frozenset[int]], Statistics]
"""The chain's statistics fitted without these folds."""


def learn(
    examples: Sequence[Example],
    folds: Mapping[str, int],
    statistics: StatisticsWithout,
    seeds: Sequence[int] = SEEDS,
) -> Networks:
    """Return networks taught with ``examples``, those of each fold by statistics without it."""
    inside = sorted({folds[example.name] for example in examples})
    return taught(
        [
            lessons_of([e for e in examples if folds[e.name] == f], statistics(frozenset({f})))
            for f in inside
        ],
        seeds,
    )


def taught(parts: Sequence[Sequence[Lesson]], seeds: Sequence[int]) -> Networks:
    """Return networks taught with all parts of the lessons.

    The threshold is of networks of the first seed, each taught without one part and asked on it.
    """
    answers: list[tuple[Lesson, Floats]] = []
    for number, part in enumerate(parts):
        others = [lesson for other in (*parts[:number], *parts[number + 1 :]) for lesson in other]
        asked = rounded(train(others, seeds[0]))
        answers += [(lesson, forward(asked, batch_of([lesson])).chances) for lesson in part]
    every = [lesson for part in parts for lesson in part]
    return Networks(tuple(rounded(train(every, seed)) for seed in seeds), sure_of(answers), SOURCE)


def lessons_of(examples: Iterable[Example], statistics: Statistics) -> list[Lesson]:
    """Return a lesson for each example that has rivals and a vertebra with a candidate."""
    lessons = []
    for example in examples:
        candidates, truth = example.found, _truth(example)
        if candidates.segments is None or not truth:
            continue
        found = rivals(candidates, label(candidates, statistics), statistics)
        if found is not None:
            wanted = np.array([truth.get(int(candidate), -1) for candidate in found.used])
            hits = (found.levels == wanted).sum(axis=1)
            lessons.append(Lesson(inputs_of(candidates, found), found, hits, len(truth)))
    return lessons


def _truth(example: Example) -> dict[int, int]:
    """Return candidate -> index of its level, of the vertebrae that have a candidate."""
    nearest = zip(example.nearest(), example.levels, strict=True)
    return {candidate: RANK[level] for candidate, level in nearest if candidate is not None}


def sure_of(answers: Iterable[tuple[Lesson, Floats]]) -> float:
    """Return the lowest of ``chain.fit.SURE`` above which enough names are right.

    ``answers`` are lessons with the chances of their rivals, (k,).
    """
    rows = []
    for lesson, chances in answers:
        named, shares = decided(lesson.rivals, chances)
        confidence = np.median(shares[np.arange(len(named)), named])
        best = int((lesson.rivals.levels == named).all(axis=1).argmax())
        rows.append((confidence, lesson.hits[best], lesson.truths))
    confidences, right, every = np.array(rows, dtype=np.float64).T
    for least in SURE:
        told = confidences >= least
        if right[told].sum() >= SURE_RIGHT * every[told].sum():
            return least
    return SURE[-1]
