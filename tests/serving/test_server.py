"""A real ``mlflow models serve``: what it answers, what it refuses and in which words."""

import base64
import gzip
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest

from serving.client import ServerError, locate, main, scan_bytes
from tests.bad.archives import good_thesis
from tests.layouts import Grid, dicom_folder, make_scan, nifti_bytes, write_bytes
from tests.serving.conftest import Served
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.landmarks import ROW_COLUMNS
from vertebra_ml.models import Localiser, load_model
from vertebra_ml.models import locate as locate_here
from vertebra_ml.prepare import project
from vertebra_ml.readers import open_case
from vertebra_ml.readers.writers import write_case

pytestmark = pytest.mark.server

COLUMNS = {*ROW_COLUMNS, "run", "data_hash", "seconds", "error"}


@pytest.fixture(scope="module")
def scans(served: Served) -> dict[str, Path]:
    """Write one scan in every form that a request can carry, below the server's folder."""
    scan = make_scan(Grid("LPS"))
    pair = project(scan, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    entry = Archive("mips", "mips", "plain", pair, scan.origin, None)
    archive = served.root / "mips.npz"
    write_archive(archive, entry)
    folder = dicom_folder(served.root / "dicom")
    return {
        "nifti": write_bytes(served.root / "scan.nii.gz", nifti_bytes(scan)),
        "plain nifti": write_bytes(served.root / "flat.nii", nifti_bytes(scan)),
        "dicom": folder,
        "archive": archive,
    }


@pytest.fixture(scope="module")
def here(served: Served) -> Localiser:
    """Return the served model, loaded in this process."""
    return load_model(served.folder, served.identity)


FORMS = ("nifti", "plain nifti", "dicom", "archive")


def post(served: Served, body: bytes, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    """Return status and answer of a request, as any other program would see them."""
    request = urllib.request.Request(
        f"{served.url}/invocations", data=body, headers={"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def ask(served: Served, rows: Sequence[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    return post(served, json.dumps({"dataframe_records": list(rows)}).encode())


@pytest.mark.parametrize("send", ["parquet", "json", "path"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_by_every_way_equals_this_process(
    served: Served, here: Localiser, scans: dict[str, Path], form: str, send: str
) -> None:
    path = scans[form].relative_to(served.root) if send == "path" else scans[form]
    rows = locate(served.url, [path], send=send)
    expected = locate_here(here, open_case(scans[form])).rows()
    assert [{key: row[key] for key in ROW_COLUMNS} for row in rows] == expected
    assert {row["level"] for row in rows} == {"T12", "L3"}
    for row in rows:
        assert set(row) == COLUMNS
        assert row["run"] == served.identity.run
        assert row["model_version"] == "1"
        assert row["data_hash"] == "0f1e2d"
        assert row["seconds"] >= 0
        assert row["error"] is None
    assert any(row["found"] for row in rows)


@pytest.mark.parametrize("name", ["ts_example", "tcga_a10x"])
def test_real_scans_equal_this_process(
    served: Served, here: Localiser, real: Path, name: str
) -> None:
    path = real / "scans" / name / "ct.nii.gz"
    expected = locate_here(here, open_case(path)).rows()
    for send in ("parquet", "json"):
        rows = locate(served.url, [path], send=send)
        assert [{key: row[key] for key in ROW_COLUMNS} for row in rows] == expected


def test_rows_answer_for_themselves(served: Served, scans: dict[str, Path]) -> None:
    good = base64.b64encode(scans["nifti"].read_bytes()).decode()
    status, answer = ask(
        served,
        [
            {"case": "bad", "content": base64.b64encode(b"a text").decode(), "path": None},
            {"case": "good", "content": good, "path": None},
            {"case": None, "content": None, "path": "nowhere.nii.gz"},
        ],
    )
    assert status == 200
    rows = answer["predictions"]
    assert [row["case"] for row in rows] == ["bad", "good", "good", "nowhere.nii.gz"]
    assert rows[0]["error"].startswith("bad: found bytes of another kind; expected a .nii.gz")
    assert rows[0]["level"] is None
    assert rows[1]["error"] is None
    assert rows[3]["error"].startswith("nowhere.nii.gz: found nothing at that path")


def test_a_row_of_several_series_is_answered_for_each(served: Served, tmp_path: Path) -> None:
    for number in (3, 7):
        folder = dicom_folder(tmp_path / "ct" / str(number))
        for path in folder.iterdir():
            data = pydicom.dcmread(path)
            data.SeriesNumber, data.SeriesInstanceUID = number, f"1.2.3.{number}"
            data.save_as(path)
    content = base64.b64encode(scan_bytes(tmp_path / "ct")).decode()
    status, answer = ask(served, [{"case": "p 1", "content": content}])
    assert status == 200
    cases = [row["case"] for row in answer["predictions"]]
    assert cases == ["p_1-s3", "p_1-s3", "p_1-s7", "p_1-s7"]
    (tmp_path / "ct" / "3" / "slice-0005.dcm").unlink()  # what fails is one series alone
    shutil.copytree(tmp_path / "ct", served.root / "several")
    status, answer = ask(served, [{"path": "several", "case": None}])
    assert status == 200
    found = [(row["case"], row["error"] is None) for row in answer["predictions"]]
    assert found == [("several-s3", False), ("several-s7", True), ("several-s7", True)]
    assert "1 missing slices" in answer["predictions"][0]["error"]


def test_a_published_archive_is_answered_for_each_entry(served: Served) -> None:
    path = good_thesis(served.root)
    content = base64.b64encode(path.read_bytes()).decode()
    for row in ({"case": "x", "content": content}, {"case": "x", "path": path.name}):
        status, answer = ask(served, [row])
        assert status == 200
        cases = [row["case"] for row in answer["predictions"]]
        assert cases == ["x_one", "x_one", "x_two", "x_two"]


def test_a_raw_scan_by_its_path(served: Served, here: Localiser) -> None:
    scan = make_scan(Grid("PIR"))
    path = write_case(served.root, "stored", scan, None, "raw")
    (expected,) = {row["z_mm"] for row in locate_here(here, open_case(path)).rows()[:1]}
    rows = locate(served.url, [Path("stored.raw")], send="path")
    assert (rows[0]["case"], rows[0]["z_mm"]) == ("stored", expected)
    with pytest.raises(ServerError, match=r"whose description is another file; .*--send path"):
        locate(served.url, [path])


def truncated(scan: bytes) -> bytes:
    return gzip.compress(scan)[:-2000]


def flat(scan: bytes) -> bytes:
    header = bytearray(scan)
    header[40:56] = np.array([2, 90, 90, 1, 1, 1, 1, 1], dtype="<i2").tobytes()
    return gzip.compress(bytes(header))


BAD_CONTENT = {  # what: (bytes, words of the line)
    "text": (lambda _: b"not a scan at all", "a: found bytes of another kind; expected a .nii.gz"),
    "truncated": (truncated, "a: found"),
    "two axes": (flat, "a: found"),
    "broken zip": (lambda _: b"PK\x03\x04 and nothing more", "a: found an archive that cannot"),
}


@pytest.mark.parametrize("what", BAD_CONTENT)
def test_bad_content_is_one_line(served: Served, what: str) -> None:
    make, words = BAD_CONTENT[what]
    content = make(nifti_bytes(make_scan()))
    status, answer = ask(served, [{"case": "a", "content": base64.b64encode(content).decode()}])
    assert status == 400
    assert answer["message"].startswith(words)
    assert "; expected " in answer["message"]
    assert answer == {
        "error_code": "BAD_REQUEST",
        "message": answer["message"],
        "errors": [{"row": 0, "case": "a", "error": answer["message"]}],
    }
    assert "\n" not in answer["message"]
    assert "Traceback" not in json.dumps(answer)


BAD_ROWS = {
    "other column": ([{"image": "AAAA"}], "request: found no column content or path"),
    "no rows": ([], "request: found"),
    "both": ([{"content": "AAAA", "path": "a.nii.gz"}], "a.nii.gz: found both content and path"),
    "neither": ([{"content": None, "case": "a"}], "a: found no content and no path"),
    "number": ([{"content": 17, "case": "a"}], "a: found content of type"),
    "not base64": ([{"content": "%%%", "case": "a"}], "a: found content that is not base64"),
    "too large": ([{"content": "A" * (12 << 20), "case": "a"}], "a: found a scan of 9 MB"),
    "missing file": ([{"path": "no.nii.gz"}], "no.nii.gz: found nothing at that path"),
    "another kind": ([{"path": "notes.txt"}], "notes.txt: found a file that ends in '.txt'"),
    "above": ([{"path": "../mlflow.db"}], "../mlflow.db: found a path outside"),
    "absolute": ([{"path": "/etc/passwd"}], "/etc/passwd: found a path outside"),
    "link out": ([{"path": "link.nii.gz"}], "link.nii.gz: found a path outside"),
    "NUL": ([{"path": "a\0.nii.gz", "case": "a"}], "a: found a path outside"),
}


@pytest.mark.parametrize("what", BAD_ROWS)
def test_bad_rows_are_one_line(served: Served, what: str) -> None:
    (served.root / "notes.txt").write_text("hello")
    link = served.root / "link.nii.gz"
    if not link.is_symlink():
        link.symlink_to(served.folder / "model.json")
    rows, words = BAD_ROWS[what]
    status, answer = ask(served, rows)
    assert status == 400
    assert answer["message"].startswith(words)
    assert "\n" not in answer["message"]
    assert str(served.root) not in json.dumps(answer)


def test_parquet_without_our_columns(served: Served, tmp_path: Path) -> None:
    pd.DataFrame({"volume": [b"x"]}).to_parquet(tmp_path / "t.parquet")
    status, answer = post(
        served, (tmp_path / "t.parquet").read_bytes(), "application/vnd.apache.parquet"
    )
    assert (status, answer["message"][:30]) == (400, "request: found no column conte")


def test_the_line_is_that_of_the_command_line(served: Served, tmp_path: Path) -> None:
    path = write_bytes(tmp_path / "cut.nii.gz", nifti_bytes(make_scan()))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ServerError) as refusal:
        locate(served.url, [path])
    case = open_case(path)
    assert case.open_volume is not None
    with pytest.raises(ValueError, match=r"cut\.nii\.gz: found") as here:
        case.open_volume()
    assert str(refusal.value) == str(here.value).replace(str(path), "cut")


def test_many_at_once(served: Served, scans: dict[str, Path]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: locate(served.url, [scans["nifti"]]), range(12)))
    without = [[{**row, "seconds": None} for row in rows] for rows in answers]
    assert all(rows == without[0] for rows in without)


def test_the_client_program(
    served: Served, scans: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"text")
    assert main([served.url, str(scans["nifti"]), str(bad), str(tmp_path / "none.nii")]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith("case  level  found")
    assert shown.out.count("\n") == 3
    first, second = shown.err.strip().split("\n")
    assert first.startswith("error: bad: found bytes of another kind")
    assert second.endswith("none.nii: found nothing; expected a file or a folder; correct it")
    table = tmp_path / "slices.csv"
    assert main([served.url, str(scans["dicom"]), "--send", "json", "--out", str(table)]) == 0
    rows = pd.read_csv(table)
    assert list(rows["case"]) == ["dicom", "dicom"]
    assert rows["sop_instance_uid"].notna().any()


def test_the_log_names_no_scan(served: Served, scans: dict[str, Path]) -> None:
    for row in (
        {"path": "Doe-Jane-1950.nii.gz", "case": "Doe-Jane"},
        {"content": base64.b64encode(b"Doe").decode(), "case": "Doe-Jane"},
        {"content": 3, "case": "Doe-Jane"},
        {"scan": "Doe"},
    ):
        ask(served, [row])
    post(served, b'{"inputs": ["Doe-Jane"]}')
    log = served.log.read_text()
    assert "POST /invocations" in log
    assert "Doe" not in log
