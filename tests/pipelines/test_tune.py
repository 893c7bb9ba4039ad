"""The stage ``tune``: by name alone, on what training runs through, a proposal at its end."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from pipelines import train, tune
from pipelines.closure import closure
from pipelines.taught import Taught
from tests.pipelines.test_stages import JUDGES, LEFT_OUT, OTHERS, UNASKED
from tests.tuning.toys import Toy
from vertebra_ml.config import Params, load
from vertebra_ml.errors import ModelError

ROOT = Path(__file__).parents[2]
TOLD = ("vertebra_ml.leash", "vertebra_ml.refused")
"""How a process ends, and what it says then, changes no product."""
KINDS = ("slice_spotter", "two_stage")


def deps(kind: str) -> list[str]:
    """Return what ``tune@kind`` depends on."""
    stage = yaml.safe_load((ROOT / "pipelines" / "dvc.yaml").read_text())["stages"]["tune"]
    assert set(stage["foreach"]) == set(KINDS)
    own = stage["foreach"][kind]["own"]
    named = [d for d in stage["do"]["deps"] if "${" not in d]
    assert len(own) == len(stage["do"]["deps"]) - len(named)
    return own + named


@pytest.mark.parametrize("kind", KINDS)
def test_dependencies_cover_the_code(kind: str) -> None:
    without = (*LEFT_OUT, *TOLD, *JUDGES["train"], *UNASKED.get(f"train@{kind}", ()), *OTHERS[kind])
    needed = [
        path
        for path in closure("pipelines.tune", ROOT, without=without)
        if path.name != "__init__.py" or path.parts[1:-1]
    ]
    held = [Path(d) for d in deps(kind)]
    missing = [str(p) for p in needed if not any(p == d or d in p.parents for d in held)]
    assert not missing, f"tune@{kind} runs through {sorted(missing)}"
    assert all((ROOT / d).exists() for d in deps(kind) if d.startswith(("vertebra_ml", "pipel")))


def test_no_search_is_part_of_the_pipeline() -> None:
    """``dvc repro`` runs the stages of dvc.yaml, and of no other file."""
    assert "tune" not in (ROOT / "dvc.yaml").read_text()


def test_help_is_told_without_waiting() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipelines.tune", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--workers N" in done.stdout
    assert "a person decides" in done.stdout
    for heavy in ("keras_tuner", "tensorflow", "mlflow"):
        assert f" {heavy}\n" not in done.stderr


@pytest.mark.parametrize(
    "words", [["three_stage"], ["two_stage", "--worker", "a:1"], ["two_stage", "--workers", "0"]]
)
def test_wrong_usage_is_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tune._options(words)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Work in an empty folder, with a teacher whose lessons are arithmetic."""
    monkeypatch.chdir(tmp_path)
    toy = Toy(raises=0.0045)

    def teacher(kind: str) -> Any:
        def taught(params: Params, folder: Path) -> Taught:
            section = params.models.slice_spotter

            def teach(*, folder: Path, data_hash: str, on_epoch: Any) -> None:
                values = {"rate": section.learning_rate, "batch": section.batch}
                toy(values, folder, on_epoch)

            return Taught(None, [], teach, {"settings": section.model_dump()}, "toys")  # type: ignore[arg-type]

        return taught

    monkeypatch.setattr(train, "teacher", teacher)
    whole = load(ROOT / "params.yaml")
    tracking = whole.tracking.model_copy(update={"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    return with_search(whole.model_copy(update={"tracking": tracking}), trials=5)


def with_search(params: Params, **changed: object) -> Params:
    """Return the parameters with another search."""
    search = params.tuning.slice_spotter
    search = type(search).model_validate(search.model_dump() | changed)
    tuning = params.tuning.model_copy(update={"slice_spotter": search})
    return params.model_copy(update={"tuning": tuning})


def options(*words: str) -> argparse.Namespace:
    return tune._options(["slice_spotter", *words])


@pytest.mark.server
def test_a_search_ends_in_a_proposal(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    """Searched, asked again, with more trials, anew: runs, files, and the line to be taken."""
    tune.main(params, options())
    content = json.loads(Path("reports/slice_spotter/tuning.json").read_text())
    assert Path("reports/slice_spotter/tuning.png").read_bytes().startswith(b"\x89PNG")
    assert len(content["trials"]) == 5
    assert content["current"]["error"] == content["trials"][0]["error"]
    said = capsys.readouterr().out
    assert content["command"] in said
    assert content["command"].startswith("dvc exp run -n tuned-slice-spotter -S models.slice_spott")
    client = MlflowClient(params.tracking.uri)
    place = client.get_experiment_by_name("vertebra-ml-searches")
    assert place is not None

    def runs() -> list[Any]:
        return list(client.search_runs([place.experiment_id]))

    assert len(runs()) == 6
    parent = client.get_run(content["mlflow_run"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["best_run"] == content["best"]["run"]
    assert parent.data.metrics["best_error"] == pytest.approx(content["best"]["error"], rel=1e-4)
    best = client.get_run(content["best"]["run"])
    assert best.data.tags["best"] == "true"
    assert len(client.get_metric_history(best.info.run_id, "epoch/error")) == 3

    tune.main(params, options())
    assert "every trial ended before" in capsys.readouterr().out
    assert json.loads(Path("reports/slice_spotter/tuning.json").read_text()) == content
    assert len(runs()) == 6
    tune.main(with_search(params, trials=6), options())
    assert len(runs()) == 7
    tune.main(params, options("--again"))
    assert len(runs()) == 13


@pytest.mark.server
def test_where_every_trial_fails_it_is_one_line(params: Params) -> None:
    space = {"learning_rate": {"low": 0.0046, "high": 0.005}}
    with pytest.raises(ModelError, match=r"3 trials that all failed; the last: ValueError: the"):
        tune.main(with_search(params, trials=3, space=space), options())
    content = json.loads(Path("reports/slice_spotter/tuning.json").read_text())
    assert content["best"] is None


def test_two_searches_of_the_same_do_not_meet(params: Params) -> None:
    from vertebra_ml.tuning.files import held
    from vertebra_ml.tuning.space import Space

    kind = "slice_spotter"
    space = Space(kind, params.models.slice_spotter, params.tuning.slice_spotter)
    mark = tune.mark_of(params, space)
    busy = held(tune.SEARCHES / kind / mark)
    with busy, pytest.raises(ModelError, match="which is running"):
        tune.main(params, options())
