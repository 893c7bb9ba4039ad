"""The stage ``train``: which archives, and what it starts from."""

from pathlib import Path

import pytest

from pipelines import train
from vertebra_ml.errors import DatasetError, ModelError

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
    table = train.training_table()
    assert list(table["path"]) == ["prepared/mips/a.npz", "prepared/phantoms/c.npz"]


@pytest.mark.parametrize("phantoms", [None, "", "\n", HEADER])
def test_mips_alone_are_enough(prepared: Path, phantoms: str | None) -> None:
    (prepared / "mips.csv").write_text(HEADER + "007,p1,real,train,\n")
    if phantoms is not None:
        (prepared / "phantoms.csv").write_text(phantoms)
    assert list(train.training_table()["path"]) == ["prepared/mips/007.npz"]


def test_no_archive_at_all_is_one_line(prepared: Path) -> None:
    (prepared / "phantoms.csv").write_text(HEADER)
    with pytest.raises(DatasetError, match=r"mips.csv.*no archive at all"):
        train.training_table()


def test_the_start_is_a_folder_of_its_own(tmp_path: Path) -> None:
    out, start = tmp_path / "models" / "slice_spotter", tmp_path / "l3"
    assert train.start_folder("", out, "") is None
    with pytest.raises(ModelError, match=r"l3.*no model.weights.h5"):
        train.start_folder(str(start), out, "")
    start.mkdir()
    (start / "model.weights.h5").touch()
    assert train.start_folder(str(start), out, "") == start
    with pytest.raises(ModelError, match=r"DVC empties first.*copy that model"):
        train.start_folder(str(out), out, "")


def test_a_registered_start_is_fetched(tmp_path: Path) -> None:
    out, uri = tmp_path / "out", f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(ModelError, match="no such model in this registry"):
        train.start_folder("models:/nobody@production", out, uri)
