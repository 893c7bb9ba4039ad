"""A fault of this program: one line for the caller, its place for the log, nothing of the scan."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pandas as pd
import pytest

from serving.pyfunc_model import RequestError, SliceServer
from tests.layouts import make_scan, nifti_bytes
from vertebra_ml.errors import DatasetError
from vertebra_ml.notes import READERS


class Broken:
    """A localiser with a programming error."""

    def locate(self, volume: Any, case: str) -> NoReturn:
        raise TypeError("cannot add Doe-Jane and 3")


def test_a_fault_is_500_and_says_nothing_of_the_scan(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = SliceServer()
    server.root, server.content_max, server.localiser = tmp_path, 1 << 26, Broken()
    server.voxels_max = 10**7
    table = pd.DataFrame([{"content": nifti_bytes(make_scan()), "path": None, "case": "Doe"}])
    with pytest.raises(RequestError) as refusal:
        server.predict(None, table)
    refusal.value.message = "Failed to predict data 'Doe-Jane'"  # as MLflow does on the way out
    body = json.loads(refusal.value.serialize_as_json())
    assert refusal.value.get_http_status_code() == 500
    assert body["message"].startswith("Doe: found a fault of this program (TypeError in test_fau")
    assert "Jane" not in json.dumps(body)
    assert "TypeError in test_fault.py" in caplog.text
    assert "Doe" not in caplog.text


def test_a_server_in_this_process_leaves_its_loggers_as_they_were(
    untrained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Publishing a model loads and asks it; notes of a command after that were lost once."""
    readers = logging.getLogger(READERS)
    before = (readers.propagate, list(readers.handlers))
    server = SliceServer()
    server.load_context(SimpleNamespace(artifacts={"model": str(untrained)}))
    told: list[bool] = []

    class Loud:
        def locate(self, volume: Any, case: str) -> NoReturn:
            readers.warning("said of Doe")
            told.append(readers.propagate)
            raise DatasetError(case, found="a", expected="b", fix="c")

    server.localiser = Loud()
    table = pd.DataFrame([{"content": nifti_bytes(make_scan()), "path": None, "case": "a"}])
    with pytest.raises(RequestError):
        server.predict(None, table)
    assert told == [False]
    assert "Doe" not in caplog.text
    assert (readers.propagate, readers.handlers) == before
