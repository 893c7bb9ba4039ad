"""The stage ``train``: which archives, and what it starts from."""

import shutil
from pathlib import Path

import pytest

from pipelines import teach_slice_spotter, teach_two_stage, train
from tests.models import toys
from tests.models.tiny import TINY
from vertebra_ml.config import Params, load
from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.models.architectures import ARCHITECTURES
from vertebra_ml.models.contract import Contract

ROOT = Path(__file__).parents[2]

HEADER = "case,patient,group,part,levels\n"


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with ``prepared/``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prepared").mkdir()
    return tmp_path / "prepared"


def test_both_tables_are_taken(prepared: Path) -> None:
    (prepared / "mips.csv").write_text(HEADER + "a,p1,real,train,L3\nb,p2,real,test,L3\n")
    (prepared / "phantoms.csv").write_text(HEADER + "c,p3,phantom,validation,T12 L3\n")
    table = teach_slice_spotter.training_table()
    assert list(table["path"]) == ["prepared/mips/a.npz", "prepared/phantoms/c.npz"]


@pytest.mark.parametrize("phantoms", [None, "", "\n", HEADER])
def test_mips_alone_are_enough(prepared: Path, phantoms: str | None) -> None:
    (prepared / "mips.csv").write_text(HEADER + "007,p1,real,train,\n")
    if phantoms is not None:
        (prepared / "phantoms.csv").write_text(phantoms)
    assert list(teach_slice_spotter.training_table()["path"]) == ["prepared/mips/007.npz"]


def test_no_archive_at_all_is_one_line(prepared: Path) -> None:
    (prepared / "phantoms.csv").write_text(HEADER)
    with pytest.raises(DatasetError, match=r"mips.csv.*no archive at all"):
        teach_slice_spotter.training_table()


def test_one_level_after_another(prepared: Path, tmp_path: Path) -> None:
    """L3 alone, then T12 from a copy of it, with no phantoms: model.json and the run say so."""
    from mlflow import MlflowClient

    ARCHITECTURES["tiny"] = TINY
    (prepared / "mips").mkdir()
    cases = [path.stem for path in toys.archives(prepared / "mips", 3)]
    parts = ("train", "train", "validation")
    rows = [f"{case},{case},real,{part},L3" for case, part in zip(cases, parts, strict=True)]
    (prepared / "mips.csv").write_text(HEADER + "\n".join(rows) + "\n")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    out, start = Path("models/slice_spotter"), tmp_path / "l3"
    train.main(settings(uri, "L3", ""), "slice_spotter")
    assert Contract.read(out).start == {}
    shutil.move(out, start)
    train.main(settings(uri, "T12", str(start)), "slice_spotter")
    tuned = Contract.read(out)
    assert tuned.settings.heads == ("T12",)
    assert tuned.start["levels"] == "L3"
    client = MlflowClient(uri)
    latest, first = client.search_runs([client.get_experiment_by_name("vertebra-ml").experiment_id])
    assert latest.data.params["start_sha256"] == tuned.start["weights_sha256"]
    assert "start_sha256" not in first.data.params


def settings(uri: str, level: str, start: str) -> Params:
    """Give the settings of one short epoch of the tiny network for one level."""
    params = load(ROOT / "params.yaml")
    tiny = {"architecture": "tiny", "epochs": 1, "steps_per_epoch": 2, "batch": 2}
    wanted = tiny | {"levels": (level,), "auxiliary_levels": (), "start_from": start}
    spotter = params.models.slice_spotter.model_copy(update=wanted)
    changed = {
        "models": params.models.model_copy(update={"slice_spotter": spotter}),
        "tracking": params.tracking.model_copy(update={"uri": uri}),
    }
    return params.model_copy(update=changed)


def test_the_start_is_a_folder_of_its_own(tmp_path: Path) -> None:
    out, start = tmp_path / "models" / "slice_spotter", tmp_path / "l3"
    assert teach_slice_spotter.start_folder("", out, "") is None
    with pytest.raises(ModelError, match=r"l3.*no model.weights.h5"):
        teach_slice_spotter.start_folder(str(start), out, "")
    start.mkdir()
    (start / "model.weights.h5").touch()
    assert teach_slice_spotter.start_folder(str(start), out, "") == start
    with pytest.raises(ModelError, match=r"DVC empties first.*copy that model"):
        teach_slice_spotter.start_folder(str(out), out, "")


def test_a_registered_start_is_fetched(tmp_path: Path) -> None:
    out, uri = tmp_path / "out", f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(ModelError, match="no such model in this registry"):
        teach_slice_spotter.start_folder("models:/nobody@production", out, uri)


def test_an_unknown_kind_is_one_line() -> None:
    with pytest.raises(ModelError, match=r"'three_stage'.*slice_spotter, two_stage"):
        train.teacher("three_stage")


def test_samples_are_dealt_by_their_table(prepared: Path) -> None:
    with pytest.raises(DatasetError, match=r"samples.csv.*no sample at all"):
        teach_two_stage.sample_table()
    rows = (
        "a,p1,verse,train,L3\nb,p2,plain,test,L3\nc,c,phantom,validation,L3\nd,d,phantom,train,L3\n"
    )
    (prepared / "samples.csv").write_text(HEADER + rows)
    paths = teach_two_stage.paths_of(teach_two_stage.sample_table())
    assert {part: [p.stem for p in found] for part, found in paths["detection"].items()} == {
        "train": ["a", "d"], "validation": ["c"],
    }  # fmt: skip
    assert paths["identification"]["train"][0] == Path("prepared/identification/a.npz")
