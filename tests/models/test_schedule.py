"""When a training's rate falls, when it ends, and which of its epochs is kept."""

import numpy as np
import pytest

from vertebra_ml.models.checkpoint import Progress
from vertebra_ml.models.schedule import Schedule, settled

PLAIN = Schedule(epochs=20, minutes=100.0, patience=5, settle=0.4, least=0.01)


def taught(errors: list[float], plan: Schedule = PLAIN, seconds: float = 1.0) -> Progress:
    """Return a training of these validation errors, or of as many as it has epochs."""
    progress = Progress()
    for number, error in enumerate(errors):
        if plan.spent(progress.history) >= 1:
            break
        rate = 0.1 * plan.fall(progress.history)
        progress.average = [np.array([float(number + 1)])]
        progress.add({"error": error, "learning_rate": rate, "seconds": seconds})
    return progress


def rates(progress: Progress) -> list[float]:
    return [row["learning_rate"] for row in progress.history]


def test_the_rate_falls_over_the_last_part_and_the_training_ends_with_its_epochs() -> None:
    progress = taught([20.0 - n for n in range(99)])
    assert progress.epoch == 20
    assert rates(progress)[:13] == [pytest.approx(0.1)] * 13
    assert all(a > b for a, b in zip(rates(progress)[12:], rates(progress)[13:], strict=False))
    assert PLAIN.fall(progress.history) == pytest.approx(0.01)


def test_without_a_better_error_the_rate_falls_sooner_and_as_slowly() -> None:
    progress = taught([3.0, 2.0, *[4.0] * 97])
    assert rates(progress)[:8] == [pytest.approx(0.1)] * 8  # epochs 3 to 7 were no better
    assert rates(progress)[8] < 0.1
    assert progress.epoch == 15
    whole = taught([20.0 - n for n in range(99)])
    np.testing.assert_allclose(rates(progress)[8:], rates(whole)[13:])


def test_minutes_count_as_epochs_do() -> None:
    progress = taught([20.0 - n for n in range(99)], seconds=600.0)
    assert progress.epoch == 10
    assert min(rates(progress)) < 0.05


def test_the_best_of_the_settled_epochs_is_kept_though_one_before_was_better() -> None:
    errors = [9.0, 1.0, *[5.0 - 0.01 * n for n in range(9)], *[6.0] * 7, 4.0, 4.5]
    progress = taught(errors, Schedule(20, 100.0, 30, 0.4, 0.01))
    assert progress.epoch == 20
    assert settled(progress.history)
    assert progress.best_epoch == 19
    assert progress.best[0] == 19


def test_before_any_has_settled_the_least_error_is_kept() -> None:
    progress = taught([3.0, 1.0, 2.0])
    assert not settled(progress.history)
    assert progress.best_epoch == 2
