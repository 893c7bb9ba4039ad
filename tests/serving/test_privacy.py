"""No trace of a patient in a server's log, its database or its refusals."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.layouts import dicom_folder, make_scan, zip_of
from tests.privacy import INSTANCE, fill, traces, traces_in
from tests.serving.conftest import Served
from tests.serving.test_bad_input import ask
from tests.test_privacy import BROKEN
from vertebra_ml.readers.dicom_writer import write_series

pytestmark = pytest.mark.server


def test_a_patient_goes_through_a_server(served: Served, tmp_path: Path) -> None:
    write_series(tmp_path / "whole", make_scan(), seed="a")
    folders = [fill(tmp_path / "whole")]
    for name, spoil in BROKEN.items():
        folders.append(fill(dicom_folder(tmp_path / name)))
        spoil(folders[-1] / "slice-0003.dcm")
    rows: list[dict[str, Any]] = [
        {"case": folder.name, "content": base64.b64encode(zip_of(folder)).decode()}
        for folder in folders
    ]
    status, answer = ask(served, rows)
    assert status == 200
    uids = {row.pop("sop_instance_uid") for row in answer["predictions"]}
    assert any(str(uid).startswith(INSTANCE) for uid in uids)  # by design, and nothing else
    assert traces_in(json.dumps(answer)) == []
    alone = [ask(served, [row]) for row in rows[1:]]
    assert {status for status, _ in alone} <= {200, 400}
    refused = [answer for status, answer in alone if status == 400]
    assert len(refused) > 5
    assert traces_in(json.dumps(refused)) == []
    assert traces(served.log.parent, apart_from=served.root) == []
