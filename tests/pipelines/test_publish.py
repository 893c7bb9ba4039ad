"""The stage publish: a registered version, and a receipt that is the same on every machine."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.publish import main
from tests.test_tracking import CODE, HISTORY, METRICS, SETTINGS
from vertebra_ml import tracking
from vertebra_ml.config import Params, load
from vertebra_ml.errors import GateError

ROOT = Path(__file__).parents[2]
KIND, NAME = "slice_spotter", "vertebra-slice-spotter"


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Lay out a project after training and evaluation, and go there."""
    monkeypatch.chdir(tmp_path)
    for folder in ("serving", f"models/{KIND}", f"reports/{KIND}"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    Path("serving/pyfunc_model.py").write_text(CODE)
    model, reports = Path("models", KIND), Path("reports", KIND)
    (model / "model.json").write_text(json.dumps({"kind": KIND, **SETTINGS}))
    (model / "model.weights.h5").write_bytes(b"weights")
    (model / "history.csv").write_text(HISTORY)
    (reports / "metrics.json").write_text(json.dumps(METRICS))
    (reports / "verdict.json").write_text(json.dumps({"passed": True, "failures": []}))
    return load(Path("params.yaml"))


def receipt() -> str:
    return Path(f"reports/published/{KIND}.json").read_text()


def test_the_receipt_names_weights_only(params: Params) -> None:
    main(params, KIND)
    first = receipt()
    assert json.loads(first) == {
        "kind": KIND,
        "registered": NAME,
        "weights_md5": "63f4f1e9b725370f459720575cd5f953",
    }
    elsewhere = params.tracking.model_copy(update={"uri": "sqlite:///other/mlflow.db"})
    main(params.model_copy(update={"tracking": elsewhere}), KIND)
    assert receipt() == first
    (row,) = tracking.models(elsewhere.uri)
    assert (row["version"], row["gate"]) == (1, "passed")
    assert row["aliases"] == ()  # promotion is a person's act
    assert Path("other/mlflow.db").is_file()


def test_a_failed_gate_leaves_no_receipt(params: Params) -> None:
    verdict = {"passed": False, "failures": ["Share of gross errors"]}
    Path(f"reports/{KIND}/verdict.json").write_text(json.dumps(verdict))
    with pytest.raises(GateError, match="Share of gross errors"):
        main(params, KIND)
    assert not Path("reports/published").exists()
    assert tracking.models(params.tracking.uri) == []
