"""What is proposed: the best that did not fail, a line to try it, a picture."""

import json
from types import SimpleNamespace
from typing import Any

from tests.tuning import toys
from vertebra_ml.tuning.chart import picture
from vertebra_ml.tuning.proposal import as_text, best_of, command, proposal, rows_of, said

SPACE = toys.space(space={
    "rate": {"low": 0.0001, "high": 1.0, "scale": "log"}, "batch": {"choices": [2, 4, 8]},
    "loss": {"choices": ["bce", "focal"]},
})  # fmt: skip
AS_IT_IS = {"rate": 0.5, "batch": 4, "loss": "bce"}


def trial(number: str, score: float | None, **values: Any) -> Any:
    status = "COMPLETED" if score is not None else "FAILED"
    held = SimpleNamespace(values=AS_IT_IS | values)
    return SimpleNamespace(trial_id=number, status=status, score=score, hyperparameters=held)


def run(number: str, **tags: str) -> Any:
    data, info = SimpleNamespace(tags=tags), SimpleNamespace(run_id=f"run-{number}")
    return SimpleNamespace(data=data, info=info)


TRIALS = [
    trial("0", 2.5), trial("1", None, rate=0.9),
    trial("2", 1.25000001, rate=0.0123456, loss="focal"), trial("3", 4.0, batch=8),
]  # fmt: skip
RUNS = {"0": run("0"), "1": run("1", failure="ValueError: no"), "2": run("2"), "3": run("3")}


def test_the_best_is_one_that_did_not_fail() -> None:
    rows = rows_of(SPACE, TRIALS, RUNS)
    assert [row.error for row in rows] == [2.5, None, 1.25, 4.0]
    assert rows[1].failure == "ValueError: no"
    best = best_of(rows)
    assert best is not None
    assert (best.trial, best.run) == ("2", "run-2")
    content = json.loads(as_text(proposal(SPACE, rows, {"seed": 7})))
    assert content["best"]["values"] == {"rate": 0.01235, "batch": 4, "loss": "focal"}
    assert content["current"] == {"values": AS_IT_IS, "error": 2.5}
    assert (content["failed"], content["seed"], len(content["trials"])) == (1, 7, 4)


def test_the_line_names_what_changes_and_nothing_else() -> None:
    rows = rows_of(SPACE, TRIALS, RUNS)
    assert command(SPACE, best_of(rows)) == (
        "dvc exp run -n tuned-slice-spotter -S models.slice_spotter.rate=0.01235"
        " -S models.slice_spotter.loss=focal"
    )
    text = said(SPACE, proposal(SPACE, rows, {}))
    assert "best: trial 2, error 1.25 (the settings as they are: 2.5)" in text
    assert "4 trials, 1 of them failed" in text


def test_settings_that_are_best_as_they_are_propose_nothing() -> None:
    rows = rows_of(SPACE, [trial("0", 1.0), trial("1", 2.0, batch=8)], {})
    content = proposal(SPACE, rows, {})
    assert content["command"] == ""
    assert "nothing to change" in said(SPACE, content)


def test_where_all_failed_there_is_no_line() -> None:
    content = proposal(SPACE, rows_of(SPACE, TRIALS[1:2], RUNS), {})
    assert (content["best"], content["command"]) == (None, "")
    assert said(SPACE, content) == "1 trials, 1 of them failed"


def test_the_picture_is_the_same_again() -> None:
    rows = rows_of(SPACE, TRIALS, RUNS)
    first = picture(rows, "toys")
    assert first.startswith(b"\x89PNG")
    assert picture(rows, "toys") == first
    assert picture(rows[1:2], "all failed").startswith(b"\x89PNG")
