"""Every kind of bad input over REST: 4xx with the line of the command line, and nothing else."""

import base64
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.bad.archives import MARK
from tests.bad.kind import CONTENT, PATH
from tests.bad_inputs import BAD, LINE, make_all
from tests.layouts import make_scan, nifti_bytes, write_bytes, zip_of
from tests.serving.conftest import Served
from vertebra_ml.case import Case
from vertebra_ml.errors import VertebraError
from vertebra_ml.readers import open_cases

pytestmark = pytest.mark.server

JSON, CSV = "application/json", "text/csv"
PEAK_MB = 300
"""What all bad input together may take of the server's memory beyond a good request."""

Row = dict[str, Any]
Answer = tuple[int, Any]


def post(served: Served, body: bytes, kind: str = JSON) -> Answer:
    """Return the status and the body of a request, as JSON where it is that."""
    request = urllib.request.Request(
        f"{served.url}/invocations", data=body, headers={"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text.decode()


def ask(served: Served, rows: Sequence[Row]) -> Answer:
    return post(served, json.dumps({"dataframe_records": list(rows)}).encode())


def content_of(path: Path) -> str:
    """Return a file, or the zip of a folder, as a request carries it."""
    data = zip_of(path) if path.is_dir() else path.read_bytes()
    return base64.b64encode(data).decode()


def peak_mb(served: Served) -> float:
    """Return the largest memory that any process of the server ever had."""
    group = [
        status
        for status in Path("/proc").glob("[0-9]*/status")
        if os.getpgid(int(status.parent.name)) == served.pid
    ]
    peaks = [re.search(r"VmHWM:\s+(\d+)", status.read_text()) for status in group]
    return max(int(found[1]) for found in peaks if found) / 1024


@pytest.fixture(scope="module")
def good(served: Served) -> Row:
    path = write_bytes(served.root / "good.nii.gz", nifti_bytes(make_scan()))
    row = {"case": "good", "content": content_of(path), "path": None}
    assert ask(served, [row])[0] == 200
    return row


@pytest.fixture(scope="module")
def by_path(served: Served) -> dict[str, Row]:
    """Make every kind below the server's root; return its row."""
    paths = make_all(served.root / "bad", PATH)
    return {
        name: {"case": None, "content": None, "path": path.relative_to(served.root).as_posix()}
        for name, path in paths.items()
    }


@pytest.fixture(scope="module")
def by_content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """Make every kind elsewhere; return its row."""
    paths = make_all(tmp_path_factory.mktemp("content") / "bad", CONTENT)
    return {
        name: {"case": path.parent.name, "content": content_of(path), "path": None}
        for name, path in paths.items()
    }


@pytest.fixture(scope="module")
def alone(served: Served, good: Row, by_path: dict[str, Row], by_content: dict[str, Row]) -> Any:
    """Send every kind by itself in both ways; return answers and the memory that they took."""
    before = peak_mb(served)
    answers = {
        (face, name): ask(served, [row])
        for face, rows in ((PATH, by_path), (CONTENT, by_content))
        for name, row in rows.items()
    }
    return answers, peak_mb(served) - before


ALONE = [(face, name) for face in (PATH, CONTENT) for name in BAD if face in BAD[name].faces]


@pytest.mark.parametrize(("face", "name"), ALONE)
def test_each_alone_is_400_and_one_line(alone: Any, face: str, name: str) -> None:
    status, answer = alone[0][face, name]
    line = answer["message"]
    errors = answer["errors"]
    assert status == 400
    assert answer == {"error_code": "BAD_REQUEST", "message": line, "errors": errors}
    assert {(error["row"], error["error"]) for error in errors} == {(0, line)}
    assert LINE.fullmatch(line), line
    assert re.search(BAD[name].words_of(face), line), line
    assert "Traceback" not in json.dumps(answer)


def line_here(cases: Sequence[Case]) -> str:
    """Return the line that the command line has for a scan, or for the first one in it."""
    case = cases[0]
    opener: Callable[[], Any] | None = case.open_mips or case.open_volume
    assert opener is not None
    with pytest.raises(VertebraError) as caught:
        opener()
    return str(caught.value)


def test_the_lines_are_those_of_the_command_line(
    served: Served, alone: Any, by_path: dict[str, Row]
) -> None:
    for name, row in by_path.items():
        path = served.root / row["path"]
        here = line_here(open_cases([path], voxels_max=200_000_000))
        shown = here.replace(" ".join(str(path).split()), " ".join(row["path"].split()))
        shown = shown.replace(f"{served.root}/", "")
        said = alone[0][PATH, name][1]["message"]
        assert said == shown or "outside the folder that this server may read" in said


def test_no_answer_tells_where_the_scans_lie(served: Served, alone: Any) -> None:
    assert str(served.root) not in json.dumps([answer for _, answer in alone[0].values()])


def test_no_memory_is_taken_for_what_is_only_claimed(alone: Any) -> None:
    assert alone[1] < PEAK_MB


def test_no_pickle_ran(served: Served, alone: Any) -> None:
    assert not list(served.log.parent.rglob(MARK))
    assert not Path(MARK).exists()


def test_nothing_is_written_where_scans_are_read(served: Served, alone: Any) -> None:
    assert not [path for path in served.root.rglob(".*") if path.name.endswith(".part")]
    assert {p.name for p in served.log.parent.iterdir()} <= {
        "scans", "server.log", "mlflow.db", "mlflow.db.lock", "reports", "mlruns", "mlartifacts",
        "requests",  # the operator's log
    }  # fmt: skip


def test_one_request_with_all_of_them(
    served: Served, good: Row, by_path: dict[str, Row], by_content: dict[str, Row]
) -> None:
    rows = [good, *by_path.values(), {**good, "case": "middle"}, *by_content.values()]
    rows.append({"case": None, "content": None, "path": "good.nii.gz"})
    status, answer = ask(served, rows)
    assert status == 200
    found = answer["predictions"]
    answered = [row for row in found if row["error"] is None]
    assert [row["case"] for row in answered] == ["good"] * 2 + ["middle"] * 2 + ["good"] * 2
    refused = list(dict.fromkeys(row["error"] for row in found if row["error"] is not None))
    expected = [(name, PATH) for name in by_path] + [(name, CONTENT) for name in by_content]
    assert len(refused) == len(expected)
    for line, (name, face) in zip(refused, expected, strict=True):
        assert LINE.fullmatch(line), line
        assert re.search(BAD[name].words_of(face), line), (name, line)
    assert {row["level"] for row in found if row["error"]} == {None}


GOOD = b'{"dataframe_records": [{"case": "a", "path": "good.nii.gz"}]}'
BODIES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{not json", JSON),
    "half a JSON": (GOOD[:-5], JSON),
    "an empty body": (b"", JSON),
    "a list": (b"[1, 2, 3]", JSON),
    "a number": (b"17", JSON),
    "null": (b"null", JSON),
    "an unknown key": (b'{"scans": []}', JSON),
    "two keys": (b'{"inputs": [], "instances": []}', JSON),
    "rows of lists": (b'{"dataframe_records": [[1, 2]]}', JSON),
    "rows of numbers": (b'{"dataframe_records": [1, 2]}', JSON),
    "a table that is none": (b'{"dataframe_split": {"columns": ["path"], "data": 3}}', JSON),
    "split without columns": (b'{"dataframe_split": {"data": [["a"]]}}', JSON),
    "columns unlike data": (b'{"dataframe_split": {"columns": ["path"], "data": [[1, 2]]}}', JSON),
    "inputs of numbers": (b'{"inputs": [1, 2, 3]}', JSON),
    "deep brackets": (b'{"dataframe_records": ' + b"[" * 100_000, JSON),
    "a number of 10,000 digits": (b'{"dataframe_records": [{"path": ' + b"9" * 10_000 + b"}]}",
                                  JSON),
    "NaN": (b'{"dataframe_records": [{"path": NaN}]}', JSON),
    "Latin-1": (b'{"dataframe_records": [{"path": "caf\xe9"}]}', JSON),
    "a lone surrogate": (rb'{"dataframe_records": [{"path": "\udce9.nii.gz"}]}', JSON),
    "another type": (GOOD, "application/x-yaml"),
    "no type": (GOOD, ""),
    "CSV of nothing": (b"", CSV),
    "CSV of another column": (b"image\nAAAA\n", CSV),
    "CSV of a lost file": (b"path\nlost.nii.gz\n", CSV),
    "CSV that is broken": (b'path\n"lost\n', CSV),
    "parquet that is none": (b"PAR1 and nothing more", "application/vnd.apache.parquet"),
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
def test_bad_bodies(served: Served, good: Row, what: str) -> None:
    body, kind = BODIES[what]
    status, answer = post(served, body, kind)
    assert 400 <= status < 500, answer
    text = answer if isinstance(answer, str) else json.dumps(answer)
    assert "Traceback" not in text
    assert '.py"' not in text
    assert status == 415 or LINE.fullmatch(answer["message"])
    assert str(served.root) not in text
    assert len(text) < 20_000
    assert ask(served, [good])[0] == 200  # and the server lives


ROWS: dict[str, tuple[list[Row], str]] = {
    "another column": ([{"image": "AAAA"}], "request: found no column content or path"),
    "no rows": ([], "request: found"),
    "both": ([{"content": "AAAA", "path": "a.nii.gz"}], "found both content and path"),
    "neither": ([{"content": None, "case": "a"}], "a: found no content and no path"),
    "empty texts": ([{"content": "", "path": "", "case": "a"}], "a: found no content and no path"),
    "a number": ([{"content": 17, "case": "a"}], "a: found content of type"),
    "a list": ([{"content": [1, 2], "case": "a"}], "a: found content of type"),
    "an object": ([{"content": {"a": 1}, "case": "a"}], "a: found content of type"),
    "true": ([{"content": True, "case": "a"}], "a: found content of type"),
    "not base64": ([{"content": "%%%", "case": "a"}], "a: found content that is not base64"),
    "base64 of a URL": ([{"content": "__-_", "case": "a"}], "a: found content that is not base64"),
    "base64 unpadded": ([{"content": "AAA", "case": "a"}], "a: found content that is not base64"),
    "unicode": ([{"content": "скан", "case": "a"}], "a: found content that is not base64"),
    "base64 of nothing": ([{"content": "====", "case": "a"}], "a: found content that is not|bytes"),
    "too large": ([{"content": "A" * (12 << 20), "case": "a"}], "a: found a scan of 9 MB"),
    "a path that is a number": ([{"path": 17}], "17: found nothing"),
    "a path that is a list": ([{"path": ["good.nii.gz"]}], "found nothing at that path"),
    "above": ([{"path": "../mlflow.db"}], "found a path outside"),
    "deep above": ([{"path": "a/b/../../../mlflow.db"}], "found a path outside"),
    "absolute": ([{"path": "/etc/passwd"}], "found a path outside"),
    "the root of all": ([{"path": "/"}], "found a path outside"),
    "home": ([{"path": "~/scan.nii.gz"}], "found nothing at that path"),
    "a URL": ([{"path": "file:///etc/passwd"}], "found nothing at that path"),
    "NUL": ([{"path": "a\0.nii.gz", "case": "a"}], "a: found a path outside"),
    "a path of 100,000 letters": ([{"path": "p" * 100_000}], "found"),
    "a path of 5,000 folders": ([{"path": "a/" * 5000 + "b.nii.gz"}], "found"),
    "a name of 100,000 letters": ([{"path": "lost.nii.gz", "case": "n" * 100_000}], "nothing at"),
    "a name with line breaks": ([{"content": "AAAA", "case": "a\n\nTraceback"}], "found bytes of"),
    "a name of another kind": ([{"content": "AAAA", "case": {"a": 1}}], "found bytes of another"),
    "a name of dots": ([{"path": "lost.nii.gz", "case": "../../x"}], "found nothing at that path"),
    "a name in Arabic": ([{"content": "AAAA", "case": "مسح"}], "found bytes of another"),
    "the folder itself": ([{"path": "."}], "found"),
    "unknown columns beside": ([{"path": "lost.nii.gz", "depth": 3}], "found nothing at that path"),
}  # fmt: skip


@pytest.mark.parametrize("what", ROWS)
def test_bad_rows(served: Served, good: Row, what: str) -> None:
    rows, words = ROWS[what]
    status, answer = ask(served, rows)
    assert status == 400
    assert LINE.fullmatch(answer["message"]), answer["message"][:300]
    assert re.search(words, answer["message"]), answer["message"][:300]
    assert len(answer["message"]) < 2000
    assert str(served.root) not in json.dumps(answer)


def test_links_out_of_the_root(served: Served, tmp_path: Path) -> None:
    outside = write_bytes(tmp_path / "outside.nii.gz", nifti_bytes(make_scan()))
    for suffix in (".raw", ".yaml"):
        (tmp_path / "scan").with_suffix(suffix).write_bytes(b"")
    (served.root / "out.nii.gz").symlink_to(outside)
    (served.root / "folder-out").symlink_to(tmp_path)
    (served.root / "scan.raw").write_bytes(b"")
    (served.root / "scan.yaml").symlink_to(tmp_path / "scan.yaml")
    for path in ("out.nii.gz", "folder-out", "folder-out/outside.nii.gz", "scan.raw"):
        status, answer = ask(served, [{"path": path}])
        assert status == 400
        assert answer["message"].startswith(f"{path}: found a path outside"), answer["message"]


def test_thousands_of_rows_of_nothing(served: Served, good: Row) -> None:
    started = time.perf_counter()
    status, answer = ask(served, [{"case": None, "content": None, "path": None}] * 10_000)
    assert status == 400
    assert LINE.fullmatch(answer["message"])
    assert time.perf_counter() - started < 20
    frame = pd.DataFrame({"path": ["lost.nii.gz"] * 2_000})  # each is looked for and logged
    status, answer = post(served, frame.to_csv(index=False).encode(), CSV)
    assert (status, answer["message"][:25]) == (400, "lost.nii.gz: found nothin")


def test_the_log_holds_no_trace_of_it(served: Served, alone: Any) -> None:
    log = served.log.read_text()
    assert "Traceback" not in log
    assert "POST /invocations" in log
    assert not [name for name in ("malicious", "slice-0003") if name in log]
