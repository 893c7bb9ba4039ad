"""Clients that ask a served model as fast as it answers, over connections that stay open."""

import base64
import http.client
import io
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from serving.client import scan_bytes
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.config import load as params_of
from vertebra_ml.errors import DatasetError
from vertebra_ml.prepare import project
from vertebra_ml.readers import find

KINDS: Final = {"parquet": "application/vnd.apache.parquet", "json": "application/json"}
TIMEOUT_S: Final = 120.0


@dataclass
class Answers:
    """Seconds of each request, errors, and how long all took."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wall_s: float = 0.0


def prepared(data: Path, folder: Path) -> dict[str, Path]:
    """Write each scan of a plain data set as it is and as a MIP archive; return files by name.

    Raises DatasetError where the data is not there.
    """
    if not data.is_dir():
        raise DatasetError(data, found="no data", expected="scans", fix="run `dvc pull`")
    how = params_of(Path(__file__).parents[1] / "params.yaml").projection.arguments()
    folder.mkdir()
    files = {}
    for case in find(data, "plain"):
        if case.open_volume is None:
            continue
        volume = case.open_volume()
        files[case.id] = folder / case.id
        given = case.source / "ct.nii.gz"
        whole = given if given.is_file() else case.source / "ct"
        files[case.id].write_bytes(scan_bytes(whole))  # of a DICOM folder a zip
        archive = folder / f"{case.id}.npz"
        pair = project(volume, **how)
        write_archive(archive, Archive(case.id, case.id, "plain", pair, volume.origin))
        files[f"{case.id}-mips"] = archive
    return files


def load(
    url: str,
    scans: dict[str, Path],
    *,
    clients: int,
    seconds: float = 1e9,
    requests: int = 1 << 62,
    kind: str = "parquet",
) -> Answers:
    """Ask for ``seconds``, or until ``requests`` were sent; the scans take turns."""
    bodies = [_body(name, path.read_bytes(), kind) for name, path in scans.items()]
    answers, lock = Answers(), threading.Lock()
    count = iter(range(requests))
    start = time.perf_counter()

    def client() -> None:
        place = urlsplit(url)
        line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=TIMEOUT_S)
        while time.perf_counter() - start < seconds:
            with lock:
                number = next(count, None)
            if number is None:
                return
            body = bodies[number % len(bodies)]
            began = time.perf_counter()
            fault = _ask(line, body, KINDS[kind])
            took = time.perf_counter() - began
            with lock:
                answers.seconds.append(took)
                if fault:
                    answers.errors.append(fault)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.wall_s = time.perf_counter() - start
    return answers


def _ask(line: http.client.HTTPConnection, body: bytes, kind: str) -> str:
    """Return what was wrong with an answer; empty where nothing was."""
    try:
        line.request("POST", "/invocations", body, {"Content-Type": kind})
        response = line.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        line.close()
        return f"no answer: {type(error).__name__}"
    if response.status != 200:
        return f"{response.status}: {text[:200].decode(errors='replace')}"
    rows = json.loads(text)["predictions"]
    return "" if rows and all(row["error"] is None for row in rows) else "a row with an error"


def _body(name: str, scan: bytes, kind: str) -> bytes:
    if kind == "json":
        row = {"case": name, "content": base64.b64encode(scan).decode()}
        return json.dumps({"dataframe_records": [row]}).encode()
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    body = io.BytesIO()
    table = pa.Table.from_pylist([{"case": name, "content": scan}])
    pq.write_table(table, body, compression="none", use_dictionary=False)
    return body.getvalue()
