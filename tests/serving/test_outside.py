"""A scan outside the limits that a model brings along: told of or refused, as the operator says."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from serving.pyfunc_model import SliceServer
from tests.layouts import make_scan, nifti_bytes
from vertebra_ml.bounds import travelling
from vertebra_ml.config import load
from vertebra_ml.served.settings import OUTSIDE
from vertebra_ml.tracking.refusals import RequestError

ROOT = Path(__file__).parents[2]


def test_an_operator_says_what_becomes_of_it(
    untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(untrained, folder)
    contract = json.loads((folder / "model.json").read_text())
    limits = travelling(load(ROOT / "params.yaml").limits.model_dump())
    contract["limits"] = {**limits, "height_min_mm": 10_000.0}
    (folder / "model.json").write_text(json.dumps(contract))
    table = pd.DataFrame([{"content": nifti_bytes(make_scan()), "path": None, "case": "a"}])

    rows = _server(folder).predict(None, table)
    assert "high enough to hold a vertebra" in str(rows[0]["warning"])
    monkeypatch.setenv(OUTSIDE, "refuse")
    with pytest.raises(RequestError) as refusal:
        _server(folder).predict(None, table)
    assert refusal.value.get_http_status_code() == 400
    assert "at least 10000" in json.loads(refusal.value.serialize_as_json())["message"]


def _server(folder: Path) -> SliceServer:
    server = SliceServer()
    server.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
    return server
