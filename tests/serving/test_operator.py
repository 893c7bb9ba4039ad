"""What an operator relies on: a log of requests, and sizes told before bodies are read."""

import base64
import hashlib
import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.served import Served
from serving.client import locate
from tests.layouts import dicom_folder, make_scan, nifti_bytes, write_bytes
from vertebra_ml.monitor.requests import read_requests
from vertebra_ml.served.journal import PATTERN

pytestmark = pytest.mark.server


def logged(served: Served) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(served.requests.glob(PATTERN))
        for line in path.read_text().splitlines()
    ]


def asked(served: Served, headers: dict[str, str], body: Any = b"") -> tuple[int, dict[str, Any]]:
    """Send a request with headers of its own; return status and body of the answer."""
    place = urlsplit(served.url)
    with closing(http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)) as line:
        line.request("POST", "/invocations", body, {"Content-Type": "application/json", **headers})
        response = line.getresponse()
        return response.status, json.loads(response.read())


def test_every_case_has_a_line_and_nobody_a_name(served: Served, tmp_path: Path) -> None:
    scan = write_bytes(served.root / "Doe-Jane.nii.gz", nifti_bytes(make_scan()))
    folder = dicom_folder(served.root / "Doe-John")
    lost = tmp_path / "Doe-Lost.nii.gz"
    lost.write_bytes(b"\x1f\x8bbroken")
    before = len(logged(served))
    locate(served.url, [scan, folder, lost])
    for send in ("json", "path"):
        given = scan.relative_to(served.root) if send == "path" else scan
        locate(served.url, [given], send=send)
    lines = logged(served)[before:]
    sums = [line.pop("scan") for line in lines]
    known = hashlib.sha256(scan.read_bytes()).hexdigest()
    assert sums == [known, sums[1], hashlib.sha256(lost.read_bytes()).hexdigest(), known, known]
    assert [line["outcome"] for line in lines] == ["answered"] * 2 + ["DatasetError"] + [
        "answered"
    ] * 2
    for line in lines:
        assert line["run"] == served.identity.run
        assert (line["version"], line["data_hash"]) == ("1", "0f1e2d")
    first = lines[0]
    assert first["facts"]["spacing_largest_mm"] == 4.0
    assert set(first["scores"]) == {"T12", "L3"}
    text = "".join(path.read_text() for path in served.requests.glob(PATTERN))
    assert not [name for name in ("Doe", "Jane", str(served.root)) if name in text]
    table = read_requests(served.requests, 5).table
    assert list(table["refused"]) == [0, 0, 1, 0, 0]


def test_a_body_too_large_is_refused_by_its_header(served: Served) -> None:
    status, answer = asked(served, {"Content-Length": str(49 << 20)}, body=_never(49 << 20))
    assert status == 413
    assert answer["message"].startswith("request: found a body of 49 MB; expected at most 48 MB")
    status, answer = asked(served, {"Transfer-Encoding": "chunked"}, body=b"2\r\n{}\r\n0\r\n\r\n")
    assert status == 411
    assert answer["message"].startswith("request: found a body of unknown length")


def _never(size: int) -> Any:
    """Yield a body in pieces, so that none of it is held here."""
    for _ in range(size >> 20):
        yield bytes(1 << 20)


def test_a_scan_that_would_grow_is_refused_before(served: Served) -> None:
    scan = make_scan()
    header = nifti_bytes(scan, dim=[3, 30000, 30000, 1000, 1, 1, 1, 1])[:352]
    bomb = base64.b64encode(header + bytes(1000)).decode()
    body = json.dumps({"dataframe_records": [{"content": bomb, "case": "a"}]}).encode()
    before = served.memory()
    status, answer = asked(served, {}, body)
    assert status == 400
    assert "found a header of 30000 x 30000 x 1000" in answer["message"]
    assert served.memory() - before < 64 << 20
