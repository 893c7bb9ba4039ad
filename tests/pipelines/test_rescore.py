"""Scoring a registered model anew: the tables that a comparison reads, made by the same way."""

from pathlib import Path
from typing import Self

import pytest

from pipelines import rescore
from vertebra_ml.config import load
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.tracking.evidence import SCANS, TABLE, read_scored
from vertebra_ml.volume import Volume

ROOT = Path(__file__).parents[2]


class Answers:
    """Stands for a packed model: T12 in the middle of every scan, no L3."""

    kind, levels, identity = "slice_spotter", ("T12", "L3"), ModelIdentity("slice_spotter")

    def __init__(self, folder: Path) -> None:
        assert folder == Path("package/model")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def locate(self, volume: Volume, case: str) -> Prediction:
        middle = volume.affine @ [*(n / 2 for n in volume.array.shape), 1]
        point = Landmarks.of({"T12": (float("nan"), float("nan"), middle[2])})
        return Prediction(case, point, ("L3",), (None,), self.identity, 0.0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project without scans of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "split.csv").write_text("case,patient,layout,labels,part\n")
    return tmp_path


def test_the_tables_of_a_comparison(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load(ROOT / "params.yaml")
    few = params.evaluate.model_copy(update={"phantoms": 1})
    none = params.data.model_copy(update={"sources": {}})
    monkeypatch.setattr(rescore, "_check_up_to_date", lambda kind: None)
    monkeypatch.setattr(rescore, "Packed", Answers)
    params = params.model_copy(update={"evaluate": few, "data": none})
    rescore.main(params, "slice_spotter", "package/model", "out")
    table, scans = ((project / "out" / name).read_bytes() for name in (TABLE, SCANS))
    found = read_scored("made up", "1", table, scans, "")
    assert set(found.table["level"]) == {"T12", "L3"}
    assert found.table["case"].nunique() == 1
    assert list(found.table.set_index("level")["found"][["T12", "L3"]]) == [True, False]
    assert len(found.scans) == 0  # heights name no column


def test_an_evaluation_out_of_date_is_refused(project: Path) -> None:
    with pytest.raises(ModelError, match=r"evaluate@slice_spotter: found .* run `dvc repro`"):
        rescore.main(load(ROOT / "params.yaml"), "slice_spotter", "package/model", "out")
