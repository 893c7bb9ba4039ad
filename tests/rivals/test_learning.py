"""Teaching: what is learnt is used, the same for the same seed, and thresholds are honest."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from tests.chain.columns import candidates
from tests.rivals.made import lessons
from vertebra_ml.anatomy import USUAL
from vertebra_ml.chain import label, shipped
from vertebra_ml.chain.examples import Example
from vertebra_ml.chain.fit import SURE
from vertebra_ml.rivals import training
from vertebra_ml.rivals.batches import Lesson, batch_of
from vertebra_ml.rivals.learning import (
    TEMPERATURES,
    lessons_of,
    sure_of,
    taught,
    temperature_of,
)  # fmt: skip
from vertebra_ml.rivals.network import Weights, forward
from vertebra_ml.rivals.training import jitter, train


def moved(lesson: Lesson) -> Lesson:
    """Return the lesson with the truth at the second rival."""
    hits = np.zeros_like(lesson.hits)
    hits[1] = lesson.truths
    return replace(lesson, hits=hits)


def test_what_is_taught_is_answered_and_is_the_same_again() -> None:
    wanted = [moved(lesson) for lesson in lessons()] * 64  # a few steps a round
    once, again = train(wanted, 3), train(wanted, 3)
    assert all((once[name] == again[name]).all() for name in once)
    for lesson in wanted[:3]:
        assert forward(once, batch_of([lesson])).chances.argmax() == 1


def test_another_seed_is_another_network() -> None:
    seen = []

    def watch(each: Iterable[Weights], total: int) -> Iterable[Weights]:
        for weights in each:
            seen.append(total)
            yield weights

    networks = taught([lessons(), lessons()], (1, 2), watch)
    assert seen == [4] * 4  # one asked for each part, and one a seed
    assert len(networks.seeds) == 2
    assert (networks.seeds[0]["enter"] != networks.seeds[1]["enter"]).any()
    assert networks.sure in SURE


def test_jitter_changes_inputs_and_nothing_else() -> None:
    plain = batch_of(lessons())
    shaken = jitter(plain, np.random.default_rng(0))
    assert (shaken.inputs != plain.inputs).any()
    assert shaken.inputs.dtype == np.float32
    still = [10, 11, 12, 13]  # gap, first, how many follow, one below
    np.testing.assert_array_equal(shaken.inputs[:, still], plain.inputs[:, still])
    unseen = plain.inputs[:, 6] == 0
    assert not shaken.inputs[unseen, 3:7].any()
    assert not shaken.inputs[plain.first, 7:10].any()
    assert shaken.cells is plain.cells


def test_the_threshold_is_where_enough_is_right() -> None:
    lesson = lessons()[0]
    rows = len(lesson.hits)

    def answer(chance: float, hits: int) -> tuple[Lesson, np.ndarray]:
        """Return a lesson whose first rival has this chance and so many of 100 right."""
        chances = np.zeros(rows)
        different = (lesson.rivals.levels != lesson.rivals.levels[0]).all(axis=1).argmax()
        chances[[0, different]] = chance, 1 - chance
        return replace(lesson, hits=np.full(rows, hits), truths=100), chances

    assert sure_of([answer(0.99, 100)] * 9 + [answer(0.55, 85)], 1.0) == SURE[0]
    assert sure_of([answer(0.99, 100), answer(0.75, 90)], 1.0) == 0.8
    assert sure_of([answer(0.99, 100), answer(0.75, 90)], 2.0) == 0.7  # told as 0.63
    assert sure_of([answer(0.99, 50)], 1.0) == SURE[-1]


def test_the_temperature_is_that_of_how_often_they_are_right() -> None:
    lesson = lessons()[0]
    rows = len(lesson.hits)

    def answers(told: float, right: int, of: int) -> list[tuple[Lesson, np.ndarray]]:
        """Return ``of`` columns whose first rival is told so likely, and ``right`` of them is."""
        chances = np.full(rows, 1e-9)
        chances[:2] = told, 1 - told
        hits = np.zeros((2, rows), dtype=np.int64)
        hits[0, 0], hits[1, 1] = 100, 100
        asked = [replace(lesson, hits=hits[int(n >= right)], truths=100) for n in range(of)]
        return [(each, chances) for each in asked]

    assert temperature_of(answers(0.9, 90, 100)) == 1.0
    assert temperature_of(answers(0.9, 75, 100)) == 2.0
    assert temperature_of(answers(0.99, 70, 100)) == TEMPERATURES[-1]


def test_a_lesson_knows_the_truth() -> None:
    column, names = candidates(USUAL[15:24])
    example = Example("one", column, tuple(names), column.points_mm)
    (lesson,) = lessons_of([example], shipped())
    assert lesson.truths == len(names)
    assert lesson.hits.max() == len(names)
    assert lesson.right.sum() >= 1
    named = lesson.rivals.levels[lesson.right.argmax()]
    assert [USUAL.index(name) for name in names][:3] == named[:3].tolist()
    far = replace(example, points_mm=example.points_mm + 500)
    assert not lessons_of([far], shipped())
    assert label(column).levels == tuple(names)
    assert training.ROUNDS > 0
