"""Ask a served model where the levels of scans are; speaks HTTP only, loads no network.

    python serving/client.py http://127.0.0.1:5001 ct.nii.gz dicom_folder/ --out slices.csv

Parquet carries a scan as it is; ``--send json`` needs a third more bytes and the time to encode
them; ``--send path`` sends names only, for servers that see the same storage.
"""

import argparse
import base64
import csv
import io
import json
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PARQUET, JSON = "application/vnd.apache.parquet", "application/json"
TIMEOUT_S = 120.0
SUFFIXES = (".nii.gz", ".nii", ".npz", ".zip", ".raw", ".dcm")
SHOWN = ("case", "level", "found", "slice_number", "z_mm", "score", "warning")
WAYS = ("parquet", "json", "path")

Row = dict[str, Any]


class ServerError(Exception):
    """The server's refusal, in its own line, or why it could not be reached."""


def locate(
    url: str, paths: Sequence[Path], *, send: str = "parquet", timeout_s: float = TIMEOUT_S
) -> list[Row]:
    """Return the rows that the server at ``url`` answers for ``paths``, sent as one request.

    ``send`` is ``parquet``, ``json``, or ``path`` (the paths as given, read by the server). A scan
    that the server could not read among others that it could has one row with its ``error``.
    Raises ServerError where no scan was answered or the server cannot be reached, OSError where a
    file cannot be read.
    """
    if send == "path":
        rows: list[Row] = [{"case": case_name(p), "path": p.as_posix()} for p in paths]
    else:
        rows = [{"case": case_name(p), "content": scan_bytes(p)} for p in paths]
    body, kind = _parquet(rows) if send == "parquet" else _json(rows)
    return _post(url.rstrip("/") + "/invocations", body, kind, timeout_s)


def case_name(path: Path) -> str:
    """Return the name of a scan as `vertebra-ml locate` has it: one named ct after its folder."""
    name = path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return path.absolute().parent.name if name == "ct" else name


def scan_bytes(path: Path) -> bytes:
    """Return a file's bytes, or those of a zip of every file below a folder."""
    if path.suffix.lower() == ".raw":
        raise ServerError(
            f"{path}: found voxels whose description is another file; expected one file or folder; "
            "use --send path, or convert it to .nii.gz"
        )
    if path.is_file():
        return path.read_bytes()
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: found nothing; expected a file or a folder; correct it")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(path))
    return packed.getvalue()


def _parquet(rows: list[Row]) -> tuple[bytes, str]:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    body = io.BytesIO()
    # A scan is compressed already, and no two are alike: packing it again would only cost time.
    pq.write_table(pa.Table.from_pylist(rows), body, compression="none", use_dictionary=False)
    return body.getvalue(), PARQUET


def _json(rows: list[Row]) -> tuple[bytes, str]:
    records = [
        {
            key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for key, value in row.items()
        }
        for row in rows
    ]
    return json.dumps({"dataframe_records": records}).encode(), JSON


def _post(url: str, body: bytes, kind: str, timeout_s: float) -> list[Row]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ServerError(f"{url}: found no http address; expected http://HOST:PORT; correct it")
    request = urllib.request.Request(url, data=body, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise ServerError(_line(error.read(), error.code)) from error
    except (OSError, ValueError) as error:
        raise ServerError(f"{url}: found no answer ({error}); check that it is served") from error
    rows: list[Row] = answer["predictions"]
    return rows


def _line(body: bytes, status: int) -> str:
    """Return the one line of a refusal."""
    try:
        return str(json.loads(body)["message"]).split("\n")[0]
    except (ValueError, KeyError, TypeError):
        return f"status {status}: {body[:200].decode(errors='replace').strip()}"


def _table(rows: Iterable[Row]) -> str:
    cells = [SHOWN, *([("" if r[key] is None else str(r[key])) for key in SHOWN] for r in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(SHOWN))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _write_csv(path: Path, rows: list[Row]) -> None:
    partial = path.with_name(f"{path.name}.part")
    with partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else SHOWN)
        writer.writeheader()
        writer.writerows(rows)
    partial.replace(path)


def main(words: Sequence[str] | None = None) -> int:
    """Ask for each file by itself; 1 where some failed."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("url", help="where the model is served, e.g. http://127.0.0.1:5001")
    parser.add_argument("scans", nargs="+", type=Path, metavar="CT", help="file or DICOM folder")
    parser.add_argument("--send", choices=WAYS, default="parquet", help="how a scan travels")
    parser.add_argument("--out", type=Path, help="write all columns to this CSV, not a table")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds for one scan")
    chosen = parser.parse_args(words)
    rows: list[Row] = []
    failures = 0
    for scan in chosen.scans:
        try:
            rows += locate(chosen.url, [scan], send=chosen.send, timeout_s=chosen.timeout)
        except (ServerError, OSError) as error:
            failures += 1
            print(f"error: {error}", file=sys.stderr)
    if chosen.out:
        _write_csv(chosen.out, rows)
    elif rows:
        print(_table(rows))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
