"""Going on from another model's weights: what is taken, what is told, what is refused."""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest

from tests.models import toys
from tests.models.tiny import TINY
from vertebra_ml import models
from vertebra_ml.errors import ModelError
from vertebra_ml.models.architectures import ARCHITECTURES
from vertebra_ml.models.checkpoint import fingerprint
from vertebra_ml.models.contract import Contract, Settings
from vertebra_ml.models.fitting import compiled
from vertebra_ml.models.slice_spotter import load_network
from vertebra_ml.models.starting import HEADS, begin, nearest, read_start

KIND = "slice_spotter"


def settings(levels: list[str], **changes: object) -> dict[str, object]:
    """Give settings of one short epoch of the tiny network, for ``levels`` alone."""
    ARCHITECTURES["tiny"] = TINY
    usual = {"architecture": "tiny", "epochs": 1, "levels": levels, "auxiliary_levels": []}
    return toys.settings(**(usual | changes))


def train(folder: Path, paths: list[Path], wanted: dict[str, object], **more: Path) -> Contract:
    """Train on toy archives and return what ``model.json`` says."""
    archives = {"train": paths[:2], "validation": paths[2:]}
    models.train(
        wanted, toys.PROJECTION, archives, folder,
        seed=3, data_hash="d4", on_epoch=lambda epoch, figures: None, **more,
    )  # fmt: skip
    return Contract.read(folder)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write three toy archives."""
    return toys.archives(tmp_path_factory.mktemp("toys"), 3)


@pytest.fixture(scope="module")
def old(paths: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model for L3 alone."""
    folder = tmp_path_factory.mktemp("l3") / "l3"
    train(folder, paths, settings(["L3"]))
    return folder


def test_one_level_goes_on_from_another(old: Path) -> None:
    wanted = Settings.of(settings(["T12"]))
    network = compiled(wanted)
    before = [np.array(weight) for weight in network.get_weights()]
    begin(network, wanted.heads, read_start(old, KIND, wanted))
    held = load_network(old, Contract.read(old)).get_weights()
    changed = 0
    for mine, theirs, fresh in zip(network.get_weights(), held, before, strict=True):
        assert np.array_equal(mine, theirs)
        changed += not np.array_equal(mine, fresh)
    assert changed > len(held) / 2


def test_heads_are_matched_by_level(old: Path, paths: list[Path], tmp_path: Path) -> None:
    train(tmp_path / "two", paths, settings(["T12", "L3"]))
    wanted = Settings.of(settings(["T11", "T12", "L1", "L3"]))
    network = compiled(wanted)
    start = read_start(tmp_path / "two", KIND, wanted)
    begin(network, wanted.heads, start)
    for variable, theirs in zip(network.weights, start.weights, strict=True):
        mine = np.asarray(variable)
        if variable.path.split("/")[0] in HEADS:
            t12, l3 = theirs[..., 0], theirs[..., 1]
            assert mine.shape[-1] == 4
            for head, expected in enumerate((t12, t12, t12, l3)):
                assert np.array_equal(mine[..., head], expected)
        else:
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["compact", "pair", "kanavati", "own", "efficientnet"])
def test_every_architecture_names_its_heads(name: str) -> None:
    """Networks for one level and for three differ in the heads alone."""
    one, three = (ARCHITECTURES[name].network(levels) for levels in (1, 3))
    for few, many in zip(one.weights, three.weights, strict=True):
        head = few.path.split("/")[0] in HEADS
        assert (few.shape != many.shape) == head
        assert few.shape[:-1] == many.shape[:-1]


def test_nearest_level() -> None:
    assert nearest("T12", ("L3",)) == "L3"
    assert nearest("L2", ("T12", "L1", "L3")) == "L1"
    assert nearest("L3", ("T12", "L3")) == "L3"


def test_training_says_what_it_began_with(old: Path, paths: list[Path], tmp_path: Path) -> None:
    wanted = settings(["T12"], start_from="models:/somewhere@production")
    tuned = train(tmp_path / "t12", paths, wanted, start=old)
    assert tuned.start["kind"] == KIND
    assert tuned.start["levels"] == "L3"
    assert tuned.start["data_hash"] == "d4"
    assert tuned.start["weights_sha256"] == read_start(old, KIND, tuned.settings).digest
    assert tuned.settings.heads == ("T12",)
    named = train(tmp_path / "again", paths, settings(["T12"], start_from=str(old)))
    assert named.start == tuned.start
    assert models.load_model(tmp_path / "t12").levels == ("T12",)


def test_a_checkpoint_of_another_start_is_not_gone_on_with() -> None:
    wanted = Settings.of(settings(["T12"]))
    marks = [
        fingerprint(wanted, 1, "d", [], start)
        for start in ({}, {"weights_sha256": "a"}, {"weights_sha256": "b"})
    ]
    assert len(set(marks)) == 3


def test_another_architecture_is_refused(old: Path, paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"slice_spotter tiny.*slice_spotter compact") as caught:
        train(tmp_path / "t12", paths, settings(["T12"], architecture="compact"), start=old)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere.*FileNotFoundError") as caught:
        train(tmp_path / "t12", paths, settings(["T12"]), start=tmp_path / "nowhere")
    assert "\n" not in str(caught.value)


def test_a_model_of_before_is_still_read(old: Path, tmp_path: Path) -> None:
    content = json.loads((old / "model.json").read_text())
    del content["start"], content["settings"]["start_from"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    contract = Contract.read(tmp_path)
    assert (contract.start, contract.settings.start_from) == ({}, "")
