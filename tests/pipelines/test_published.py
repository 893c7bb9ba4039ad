"""The published networks go the way of ours: cut, gated, taught, tracked, loaded, asked."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from pipelines import samples, train
from pipelines.closure import code_hash
from pipelines.stage import PARAMS, read_table, write_text
from tests.layouts import TRUTH
from tests.pipelines.conftest import change_params, scan_of
from vertebra_ml.config import load
from vertebra_ml.models import load_model
from vertebra_ml.models.contract import HISTORY
from vertebra_ml.two_stage.contract import Contract
from vertebra_ml.two_stage.spinefinder import networks

CHANGES = {
    "models.two_stage.architecture": "spinefinder",
    "models.two_stage.levels": list(TRUTH.landmarks.labels),
    "phantoms.workers": 1,
    "samples.phantoms.train": {"trunks": 0, "scans": 0},
    "samples.phantoms.validation": {"trunks": 0, "scans": 0},
}
PARTS = {"a1": "train", "c": "validation"}


@pytest.fixture
def here(project: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to the project, whose networks are as shallow and narrow as they get."""
    monkeypatch.chdir(project)
    monkeypatch.setattr("pipelines.products.code_hash", partial(code_hash, root=project))
    monkeypatch.setattr("pipelines.facts.code_hash", partial(code_hash, root=project))
    monkeypatch.setattr(networks, "DEPTH", 1)
    monkeypatch.setattr(networks, "FLOOR_KERNEL", (3, 3))
    for name in ("detection", "identification"):
        monkeypatch.setattr(networks, name, partial(getattr(networks, name), 2))
    change_params(project, CHANGES)
    shutil.copytree(untrained, project / "models" / "slice_spotter")  # it is carried along
    rows = [f"{case},{case[0]},{part},T12 L1 L3" for case, part in PARTS.items()]
    write_text(Path("prepared/split.csv"), "\n".join(["case,patient,part,labels", *rows]))
    return project


def test_the_same_stages_teach_them(here: Path) -> None:
    params = load(PARAMS)
    samples.main(params)
    assert set(read_table(Path("prepared/samples.csv"))["detection"]) == {"4x64x64x80"}
    train.main(params, "two_stage")
    folder = here / "models" / "two_stage"
    assert Contract.read(folder).settings.architecture == "spinefinder"
    header = (folder / HISTORY).read_text().partition("\n")[0].split(",")
    assert {"detection_dice", "detection_recall", "identification_rate"} <= set(header)
    prediction = load_model(folder).locate(scan_of(7), "e")
    assert set(prediction.landmarks.labels) | set(prediction.missing) == set(TRUTH.landmarks.labels)
