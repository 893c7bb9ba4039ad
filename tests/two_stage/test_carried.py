"""A two-stage model folder and the slice spotter below it."""

import json
from pathlib import Path

import pytest

from vertebra_ml.errors import ModelError
from vertebra_ml.models.contract import replace_text
from vertebra_ml.two_stage import carried
from vertebra_ml.two_stage.contract import Contract


def spotter(folder: Path, weights: bytes = b"weights") -> Path:
    """Write a folder that says that it is a slice spotter; nobody loads it."""
    folder.mkdir(parents=True)
    settings = {
        "levels": ["L3"], "auxiliary_levels": [], "architecture": "compact", "loss": "bce",
        "target": "gaussian", "target_sigma_mm": 4.0, "epochs": 1, "steps_per_epoch": 1,
        "batch": 1, "learning_rate": 0.001, "patience": 1, "minutes": 1.0, "validation_fields": 1,
        "presence_threshold": 0.5, "warning_score": 0.6,
    }  # fmt: skip
    content = {
        "kind": "slice_spotter", "settings": settings, "levels": ["L3"], "preparation": {},
        "thresholds": {}, "seed": 1, "data_hash": "0f1e2d", "limits": {},
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(content))
    (folder / "model.weights.h5").write_bytes(weights)
    (folder / "history.csv").write_text("epoch,loss\n")
    return folder


def test_what_answers_is_copied_and_named(tmp_path: Path) -> None:
    source, model = spotter(tmp_path / "spotter"), tmp_path / "model"
    (source / "model.weights.h5").chmod(0o444)  # as DVC keeps it
    for _ in range(2):
        facts = carried.carry(source, model)
    assert facts == {
        "kind": "slice_spotter", "data_hash": "0f1e2d",
        "weights_md5": "63f4f1e9b725370f459720575cd5f953",
    }  # fmt: skip
    assert sorted(p.name for p in (model / "anchor").iterdir()) == [
        "model.json",
        "model.weights.h5",
    ]
    carried.check(model, facts)


def test_another_one_or_none_is_refused(tmp_path: Path) -> None:
    facts = carried.carry(spotter(tmp_path / "spotter"), tmp_path / "model")
    with pytest.raises(ModelError, match=r"anchor: found slice_spotter .*expected none"):
        carried.check(tmp_path / "model", {})
    carried.check(tmp_path / "empty", {})
    with pytest.raises(ModelError, match="found no slice spotter; expected slice_spotter 0f1e2d"):
        carried.check(tmp_path / "empty", facts)
    carried.carry(spotter(tmp_path / "other", b"others"), tmp_path / "model")
    with pytest.raises(ModelError, match=facts["weights_md5"]):
        carried.check(tmp_path / "model", facts)


def test_what_is_no_slice_spotter_is_refused(tmp_path: Path) -> None:
    source = spotter(tmp_path / "spotter")
    replace_text(source / "model.json", json.dumps({"kind": "two_stage"}))
    with pytest.raises(ModelError, match="found a model of kind 'two_stage'"):
        carried.facts(source)
    (source / "model.weights.h5").unlink()
    replace_text(source / "model.json", json.dumps({"kind": "slice_spotter"}))
    with pytest.raises(ModelError, match=r"no model.weights.h5.*dvc repro train@slice_spotter"):
        carried.facts(source)
    with pytest.raises(ModelError, match=r"model.json"):
        carried.facts(tmp_path / "nothing")


def test_the_contract_keeps_it_and_reads_older_ones(
    untrained_two_stage: Path, tmp_path: Path
) -> None:
    contract = Contract.read(untrained_two_stage)
    assert contract.anchor == carried.facts(untrained_two_stage / "anchor")
    content = json.loads((untrained_two_stage / "model.json").read_text())
    del content["anchor"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert Contract.read(tmp_path).anchor == {}


def test_how_often_it_errs_is_read_off_the_epoch_that_was_kept(tmp_path: Path) -> None:
    assert carried.wrong(tmp_path) == {}
    history = tmp_path / "history.csv"
    history.write_text("epoch,error,others_gross\n1,9.0,0.4\n2,5.0,0.03\n3,6.0,0.01\n")
    assert carried.wrong(tmp_path) == {"second_wrong": 0.03}
    history.write_text("epoch,error\n1,9.0\n")
    assert carried.wrong(tmp_path) == {}
