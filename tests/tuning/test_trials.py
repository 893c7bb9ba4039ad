"""One trial: trained once, told as often as asked, its failures kept apart from the machine's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tuning.toys import Ear, Toy
from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.tuning import trials
from vertebra_ml.tuning.trials import Task, error_of, read_epochs, run

VALUES = {"rate": 0.11, "batch": 4}


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


def test_a_trial_is_trained_once_and_told_again(tmp_path: Path) -> None:
    ear, toy = Ear(), Toy()
    task = Task(toy, ear.watch, tmp_path)
    first = run(task, "0", VALUES)
    assert first.error == pytest.approx(0.1 + 1 / 12, rel=1e-5)
    assert run(task, "0", VALUES) == first
    assert toy.trained == ["0"]
    assert ear.heard["0"].epochs == [1, 2, 3]
    assert sorted(p.name for p in (tmp_path / "0").iterdir()) == [
        ".lock", "outcome.json", "starts.json",
    ]  # fmt: skip


def test_a_killed_trial_goes_on_and_loses_no_epoch(tmp_path: Path) -> None:
    ear = Ear()

    class Dying(Ear):
        def watch(self, trial: str, values: Any) -> Any:
            heard = ear.watch(trial, values)

            class Once:
                def epoch(self, epoch: int, figures: Any) -> None:
                    if epoch == 2:
                        raise Killed  # saved, not yet told
                    heard.epoch(epoch, figures)

            return Once()

    with pytest.raises(Killed):
        run(Task(Toy(), Dying().watch, tmp_path), "0", VALUES)
    assert ear.heard["0"].epochs == [1]
    run(Task(Toy(), ear.watch, tmp_path), "0", VALUES)
    assert ear.heard["0"].epochs == [1, 2, 3]


def test_a_kill_after_the_end_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear, toy = Ear(), Toy()

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("tests.tuning.toys.Heard.ended", killed)
        with pytest.raises(Killed):
            run(Task(toy, ear.watch, tmp_path), "0", VALUES)
    run(Task(toy, ear.watch, tmp_path), "0", VALUES)
    assert toy.trained == ["0"]
    assert len(ear.heard["0"].outcomes) == 1
    assert ear.heard["0"].epochs == [1, 2, 3]


@pytest.mark.parametrize(
    ("toy", "failure"),
    [
        (Toy(raises=0.1), "ValueError: the rate is no good"),
        (Toy(diverges=0.1), "Diverged: epoch 1: error is no number"),
    ],
)
def test_bad_settings_are_a_failure_that_stays(tmp_path: Path, toy: Toy, failure: str) -> None:
    task = Task(toy, Ear().watch, tmp_path)
    outcome = run(task, "0", VALUES)
    assert (outcome.error, outcome.failure) == (None, failure)
    assert run(task, "0", VALUES) == outcome
    assert toy.trained == ["0"]


def raising(error: Exception) -> Callable[..., None]:
    def train(*_: object) -> None:
        raise error

    return train


@pytest.mark.parametrize(
    "error",
    [OSError("disk full"), DatasetError("a", found="b", expected="c", fix="d")],
    ids=["disk", "data"],
)
def test_what_is_not_for_the_settings_fails_no_trial(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        run(Task(raising(error), Ear().watch, tmp_path), "0", VALUES)
    assert run(Task(Toy(), Ear().watch, tmp_path), "0", VALUES).error is not None


def test_a_store_that_cannot_be_told_fails_no_trial(tmp_path: Path) -> None:
    class Deaf(Ear):
        def watch(self, trial: str, values: Any) -> Any:
            heard = super().watch(trial, values)
            heard.epoch = raising(RuntimeError("the store is away"))  # type: ignore[method-assign]
            return heard

    with pytest.raises(RuntimeError, match="store is away"):
        run(Task(Toy(), Deaf().watch, tmp_path), "0", VALUES)
    assert not (tmp_path / "0" / "outcome.json").exists()


def test_a_trial_that_ends_its_process_is_given_up(tmp_path: Path) -> None:
    def killed(*_: object) -> None:
        raise Killed

    for _ in range(trials.STARTS_MAX):
        with pytest.raises(Killed):
            run(Task(killed, Ear().watch, tmp_path), "0", VALUES)
    outcome = run(Task(killed, Ear().watch, tmp_path), "0", VALUES)
    assert outcome.error is None
    assert "ended its process 5 times" in outcome.failure


def test_a_torn_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "outcome.json").write_text('{"error": 1.')
    with pytest.raises(ModelError, match=r"outcome.json: found JSONDecodeError.*--again"):
        run(Task(Toy(), Ear().watch, tmp_path), "0", VALUES)


def test_the_error_is_the_sum_of_what_each_network_is_chosen_by(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text(
        "epoch,detection_loss,detection_error,identification_error\n"
        "1,9,0.3,\n2,9,0.2,\n3,,,1.5\n4,,,1.25\n"
    )
    epochs = read_epochs(history)
    assert epochs[3] == {"identification_error": 1.5}
    assert error_of(epochs) == 1.45
    with pytest.raises(ModelError, match="no column error"):
        error_of({1: {"loss": 1.0}})


def test_what_is_kept_is_plain(tmp_path: Path) -> None:
    run(Task(Toy(), Ear().watch, tmp_path), "0", VALUES)
    kept = json.loads((tmp_path / "0" / "outcome.json").read_text())
    assert set(kept) == {"error", "failure", "seconds"}
