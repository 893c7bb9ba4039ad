"""A fault of this program: one line for the caller, its place for the log, nothing of the scan."""

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pandas as pd
import pytest

from serving.pyfunc_model import RequestError, SliceServer
from tests.layouts import make_scan, nifti_bytes
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import ModelIdentity
from vertebra_ml.notes import READERS
from vertebra_ml.served.journal import PATTERN, Journal, digest
from vertebra_ml.served.settings import Settings


class Broken:
    """A localiser with a programming error."""

    identity = ModelIdentity("slice_spotter")

    def locate(self, volume: Any, case: str) -> NoReturn:
        raise TypeError("cannot add Doe-Jane and 3")


def test_a_fault_is_500_and_says_nothing_of_the_scan(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = SliceServer()
    server.set_up(Broken(), Settings.of_environment(), Journal(tmp_path))
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
    (log,) = tmp_path.glob(PATTERN)
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["outcome"] == "TypeError"
    assert line["facts"]["form"] == "ct"
    assert line["scan"] == digest(nifti_bytes(make_scan()))
    assert "Doe" not in log.read_text()


@pytest.mark.parametrize("blank", ["", "\r", " " * 600 + "a", None])
def test_a_blank_name_is_none(blank: str | None) -> None:
    server = SliceServer()
    server.set_up(Broken(), Settings.of_environment(), None)
    with pytest.raises(RequestError) as refusal:
        server.predict(None, pd.DataFrame([{"content": None, "path": blank, "case": blank}]))
    body = json.loads(refusal.value.serialize_as_json())
    assert body["message"].startswith("scan-1: found ")


def test_a_request_whose_time_is_over_stops_before_its_next_scan() -> None:
    asked: list[str] = []

    class Slow:
        def locate(self, volume: Any, case: str) -> NoReturn:
            asked.append(case)
            time.sleep(0.2)
            raise DatasetError(case, found="a", expected="b", fix="c")

    server = SliceServer()
    server.set_up(Slow(), replace(Settings.of_environment(), timeout_s=0.1), None)  # type: ignore[arg-type]
    row = {"content": nifti_bytes(make_scan()), "path": None}
    with pytest.raises(RequestError, match=r"found no answer within 0\.1 s") as refusal:
        server.predict(None, pd.DataFrame([{**row, "case": name} for name in "abcd"]))
    assert refusal.value.get_http_status_code() == 503
    assert asked == ["a"]


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
