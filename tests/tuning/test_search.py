"""keras-tuner's loop with toy trainings: resumed, never doubled, failures never best."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.tuning import toys
from tests.tuning.toys import Ear, Toy
from vertebra_ml.errors import ModelError
from vertebra_ml.tuning.progress import Progress
from vertebra_ml.tuning.proposal import best_of, rows_of
from vertebra_ml.tuning.space import Space
from vertebra_ml.tuning.trials import OnEpoch, Task

SEED = 7


class Killed(BaseException):
    """Stands for the end of a process: nothing catches it."""


def start(folder: Path, space: Space, train: Any, ear: Ear) -> Any:
    """Search in this process until it ends or dies; return the oracle."""
    from vertebra_ml.tuning.oracle import oracle_of
    from vertebra_ml.tuning.search import alone

    oracle = oracle_of(space, SEED)
    progress = Progress(oracle, ear, 1)
    oracle.keep(folder / "oracle.json", space.first(), progress.told)
    alone(oracle, Task(train, ear.watch, folder / "trials"))
    return oracle


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from vertebra_ml.tuning import search

    monkeypatch.setattr(search, "POLL_S", 0.0)


@pytest.mark.parametrize("kind", ["random", "hyperband", "bayesian"])
def test_a_search_begins_with_what_is_and_finds_better(tmp_path: Path, kind: str) -> None:
    space, ear = toys.space(trials=7, search=kind), Ear()
    oracle = start(tmp_path, space, Toy(), ear)
    rows = rows_of(space, oracle.ended, {})
    best = best_of(rows)
    assert len(rows) == oracle.max_trials == len(ear.heard)
    assert {name: rows[0].values[name] for name in ("rate", "batch")} == space.current()
    assert best is not None
    assert best.error == min(row.error for row in rows if row.error is not None)
    assert best.error < (rows[0].error or 0)
    assert ear.best == best.trial
    values = [tuple(row.values.items()) for row in rows]
    assert len(set(values)) == len(values)


def test_hyperband_tries_the_better_for_longer(tmp_path: Path) -> None:
    space, seen = toys.space(trials=99, search="hyperband"), {}

    def train(values: Mapping[str, Any], folder: Path, on_epoch: OnEpoch) -> None:
        seen[folder.parent.name] = space.settings(values).model_dump()["epochs"]
        Toy()(values, folder, on_epoch)

    oracle = start(tmp_path, space, train, Ear())
    assert set(seen.values()) == {1, 3}
    assert len(oracle.ended) == oracle.max_trials < 99
    longer = [t for t in oracle.ended if "tuner/trial_id" in t.hyperparameters.values]
    assert longer
    assert all(seen[trial.trial_id] == 3 for trial in longer)


def test_killed_anywhere_it_ends_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after any write of a file, over and over: the same trials, each once."""
    import vertebra_ml.tuning.files as files
    from vertebra_ml.tuning import oracle as oracles
    from vertebra_ml.tuning import trials

    whole = start(tmp_path / "whole", toys.space(), Toy(raises=0.3), Ear())
    chance, ear, kills = random.Random(SEED), Ear(), 0

    def write(path: Path, content: Any) -> None:
        fate = chance.random()
        if fate < 0.08:
            raise Killed
        files.write_json(path, content)
        if fate > 0.92:
            raise Killed

    monkeypatch.setattr(oracles, "write_json", write)
    monkeypatch.setattr(trials, "write_json", write)
    monkeypatch.setattr(trials, "STARTS_MAX", 100)
    while True:
        try:
            done = start(tmp_path / "killed", toys.space(), Toy(raises=0.3), ear)
            break
        except Killed:
            kills += 1
    assert kills > 5
    assert table(done) == table(whole)
    assert len(table(done)) == 12 == len(ear.heard)
    assert sorted(done.end_order) == sorted({*done.end_order})


def table(oracle: Any) -> list[tuple[str, str, Any, str]]:
    return [
        (t.trial_id, t.status, t.score, json.dumps(t.hyperparameters.values)) for t in oracle.ended
    ]


def test_more_trials_go_on_with_the_same_search(tmp_path: Path) -> None:
    toy = Toy()
    few = table(start(tmp_path, toys.space(trials=5), toy, Ear()))
    more = table(start(tmp_path, toys.space(trials=8), toy, Ear()))
    assert more[:5] == few
    assert toy.trained == [trial for trial, *_ in more]


def test_failures_end_no_search_and_are_not_best(tmp_path: Path) -> None:
    space = toys.space(trials=12)
    oracle = start(tmp_path, space, Toy(raises=0.3, diverges=0.02), ear := Ear())
    rows = rows_of(space, oracle.ended, {})
    failed = [row.trial for row in rows if row.error is None]
    assert len(rows) == 12
    assert len(failed) > 3
    assert {t.trial_id for t in oracle.ended if t.status == "FAILED"} == set(failed)
    assert ear.best not in failed


def test_where_all_fail_nothing_is_best(tmp_path: Path) -> None:
    oracle = start(tmp_path, toys.space(trials=4), Toy(raises=0.0), ear := Ear())
    assert [trial.status for trial in oracle.ended] == ["FAILED"] * 4
    assert ear.best is None
    assert best_of(rows_of(toys.space(), oracle.ended, {})) is None


def test_a_full_disk_stops_the_search_and_fails_no_trial(tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "weights")

    with pytest.raises(OSError, match="No space left"):
        start(tmp_path, toys.space(trials=3), full, Ear())
    oracle = start(tmp_path, toys.space(trials=3), Toy(), Ear())
    assert [trial.status for trial in oracle.ended] == ["COMPLETED"] * 3


def test_a_torn_state_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "oracle.json").write_text('{"oracle": {')
    with pytest.raises(ModelError, match=r"oracle.json: found JSONDecodeError.*--again"):
        start(tmp_path, toys.space(), Toy(), Ear())


def test_a_range_that_keras_tuner_refuses_is_one_line() -> None:
    from vertebra_ml.tuning.oracle import oracle_of

    space = toys.space(space={"rate": {"low": 0.1, "high": 1.0, "scale": "log", "step": 0.5}})
    with pytest.raises(ModelError, match=r"slice_spotter.space.rate: found .*step"):
        oracle_of(space, SEED)


def test_the_trial_of_a_silent_worker_is_given_to_another(tmp_path: Path) -> None:
    from vertebra_ml.tuning.oracle import oracle_of

    oracle = oracle_of(toys.space(trials=2), SEED)
    oracle.keep(tmp_path / "oracle.json", {}, lambda: None)
    lost, kept = oracle.create_trial("a"), oracle.create_trial("b")
    assert oracle.create_trial("c").status == "IDLE"  # none is left, and one may yet be lost
    oracle.signs["a"] -= 100
    oracle.get_trial(lost.trial_id)
    assert oracle.reap(50) == []
    oracle.signs["a"] -= 100
    assert oracle.reap(50) == ["a"]
    taken = oracle.create_trial("c")
    assert taken.trial_id == lost.trial_id
    for trial in (taken, kept, lost):  # the first one was not dead after all
        oracle.update_trial(trial.trial_id, {"error": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert len(oracle.end_order) == 2
    assert not oracle.over
    assert [oracle.create_trial(name).status for name in "bc"] == ["STOPPED"] * 2
    assert oracle.over
