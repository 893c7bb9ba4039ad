"""From examples with their truth to networks, their temperature and the threshold of "can tell"."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from joblib import Parallel, delayed

from vertebra_ml.anatomy import RANK
from vertebra_ml.chain import Statistics, label
from vertebra_ml.chain.candidates import Floats
from vertebra_ml.chain.examples import Example
from vertebra_ml.chain.fit import SURE, SURE_RIGHT
from vertebra_ml.rivals.batches import Lesson, batch_of
from vertebra_ml.rivals.columns import cooled, decided, rivals, shares_of
from vertebra_ml.rivals.inputs import inputs_of
from vertebra_ml.rivals.network import Weights, forward
from vertebra_ml.rivals.training import train
from vertebra_ml.rivals.weights import Networks, rounded

SEEDS: Final = tuple(range(8))
SOURCE: Final = (
    "1,947 spine CTs of ImFusion VID (ImFusionGmbH/VID-vertebra-identification-dataset, f19fd3c6, "
    "CC BY-SA 4.0): a network's detections against semi-automatic keypoints checked by their "
    "authors; numbers only, taught by vertebra_ml.rivals.fit"
)

TEMPERATURES: Final = (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)

StatisticsWithout = Callable[[frozenset[int]], Statistics]
"""The chain's statistics fitted without these folds."""
Watch = Callable[[Iterable[Weights], int], Iterable[Weights]]
"""Passes networks on as they come, and is told how many there will be."""
Answer = tuple[Lesson, Floats]
"""A lesson, and the chances that networks gave its rivals, (k,)."""


def learn(
    examples: Sequence[Example],
    folds: Mapping[str, int],
    statistics: StatisticsWithout,
    seeds: Sequence[int] = SEEDS,
    watch: Watch = lambda each, _: each,
    jobs: int = 1,
) -> Networks:
    """Return networks taught with ``examples``, those of each fold by statistics without it.

    ``jobs`` processes teach them.
    """
    inside = sorted({folds[example.name] for example in examples})
    return taught(
        [
            lessons_of([e for e in examples if folds[e.name] == f], statistics(frozenset({f})))
            for f in inside
        ],
        seeds,
        watch,
        jobs,
    )


def taught(
    parts: Sequence[Sequence[Lesson]],
    seeds: Sequence[int],
    watch: Watch = lambda each, _: each,
    jobs: int = 1,
) -> Networks:
    """Return networks taught with all parts of the lessons.

    Temperature and threshold are of networks of the first seed, each taught without one part and
    asked on it.
    """
    every = [lesson for part in parts for lesson in part]
    without = [
        [lesson for other in (*parts[:number], *parts[number + 1 :]) for lesson in other]
        for number in range(len(parts))
    ]
    work = [(others, seeds[0]) for others in without] + [(every, seed) for seed in seeds]
    made = list(watch(_trained(work, jobs), len(work)))
    asked, kept = made[: len(parts)], made[len(parts) :]
    answers = [
        (lesson, forward(weights, batch_of([lesson])).chances)
        for part, weights in zip(parts, asked, strict=True)
        for lesson in part
    ]
    temperature = temperature_of(answers)
    return Networks(tuple(kept), sure_of(answers, temperature), temperature, SOURCE)


def _trained(work: Sequence[tuple[Sequence[Lesson], int]], jobs: int) -> Iterator[Weights]:
    """Yield the weights of lessons and seed, in the order of ``work``."""
    trained = Parallel(n_jobs=jobs, return_as="generator")
    return map(rounded, trained(delayed(train)(lessons, seed) for lessons, seed in work))


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


def temperature_of(answers: Sequence[Answer]) -> float:
    """Return which of ``TEMPERATURES`` leaves least surprise at the right rivals."""

    def surprise(temperature: float) -> float:
        right = [
            cooled(chances, temperature)[lesson.right].sum()
            for lesson, chances in answers
            if lesson.right.any()
        ]
        return float(-np.log(right).sum())

    return min(TEMPERATURES, key=surprise)


def sure_of(answers: Iterable[Answer], temperature: float) -> float:
    """Return the lowest of ``chain.fit.SURE`` above which enough names are right."""
    rows = []
    for lesson, chances in answers:
        named = decided(lesson.rivals, chances)
        shares = shares_of(lesson.rivals, cooled(chances, temperature))
        confidence = np.median(shares[np.arange(len(named)), named])
        best = int((lesson.rivals.levels == named).all(axis=1).argmax())
        rows.append((confidence, lesson.hits[best], lesson.truths))
    confidences, right, every = np.array(rows, dtype=np.float64).T
    for least in SURE:
        told = confidences >= least
        if right[told].sum() >= SURE_RIGHT * every[told].sum():
            return least
    return SURE[-1]
