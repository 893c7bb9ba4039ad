"""Requests that nobody means well: broken tables, spoilt scans, bombs, paths that lead away."""

import base64
import gzip
import io
import json
import struct
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.prepare import project
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.volume import Volume

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
KINDS: Final = (JSON, CSV, PARQUET, "", "a/b", "application/json; charset=latin-1")
NIFTI_DIM: Final = 42  # where a header has its shape
OUTSIDE: Final = "outside.nii.gz"
"""A good scan beside the server's root; a link in the root leads to it, and is not followed."""

SEGMENTS: Final = (
    "..", ".", "", "/", "~", "good.nii.gz", "lost.nii.gz", OUTSIDE, "out.nii.gz", "out", "scans",
    "etc", "passwd", "proc", "self", "environ", "mlflow.db", "server.log", "requests", "C:", "\\",
    "%2e%2e", "%00", "\0", "file:", "http:", "a" * 300, "\u202e", "\udce9", "*", "|id", "$(id)",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A body and what it says it is."""

    body: bytes
    kind: str

    def __repr__(self) -> str:
        """The beginning, as hypothesis tells of what failed."""
        return f"Request({self.kind}, {len(self.body)} bytes, {self.body[:300]!r})"


def small_scan() -> Volume:
    """Return 24 x 24 x 20 voxels of body and bone: a scan that is answered in milliseconds."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (24, 24, 20)), indexing="ij")
    hu = np.where(np.hypot(x, y) < 0.8, 40, -1000) + np.where(np.hypot(x, y + 0.3) < 0.2, 400, 0)
    affine = np.diag([12.0, 12.0, 15.0, 1.0])
    return Volume((hu + 0 * z).astype(np.int16), affine)


def nifti_of(volume: Volume, **fields: Any) -> bytes:
    """Return an uncompressed NIfTI; ``fields`` of its header are set whatever they say."""
    import nibabel as nib

    image = nib.Nifti1Image(volume.array, volume.affine)
    for name, value in fields.items():
        image.header[name] = value
    return bytes(image.to_bytes())


@cache
def good() -> dict[str, bytes]:
    """Return a good scan in every form, by name."""
    scan = small_scan()
    plain = nifti_of(scan)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pair = project(scan, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
        write_archive(folder / "a.npz", Archive("a", "a", "plain", pair, scan.origin))
        write_series(folder / "dicom", scan.crop((0, 0, 0), (24, 24, 4)), seed="a")
        series = {path.name: path.read_bytes() for path in (folder / "dicom").iterdir()}
        archive = (folder / "a.npz").read_bytes()
    return {
        "nifti": plain,
        "nifti.gz": gzip.compress(plain, 1, mtime=0),
        "dicom": next(iter(series.values())),
        "dicom zip": zipped(series),
        "mips": archive,
    }


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip of files by name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


@cache
def bombs() -> tuple[bytes, ...]:
    """Return scans that are small as sent and would be large."""
    zeros = bytes(64 << 20)
    header = bytearray(good()["nifti"][:352])
    header[NIFTI_DIM : NIFTI_DIM + 6] = struct.pack("<3h", 30000, 30000, 1000)
    gz = gzip.compress(bytes(header) + zeros, 9, mtime=0)
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        array, {"descr": "<i2", "fortran_order": False, "shape": (1 << 20, 1 << 20)}
    )
    huge = array.getvalue()
    members = {f"{name}.npy": huge + zeros[:1000] for name in ("frontal", "sagittal", "about")}
    wide = nifti_of(Volume(np.zeros((8, 8, 8), np.float32), np.eye(4)), scl_slope=3e38)
    return (
        gz,
        zipped({f"{n}.dcm": zeros[: 8 << 20] for n in range(12)}),
        zipped({"a.zip": zipped({"b.zip": zipped({"c": zeros[: 1 << 20]})})}),
        zipped(members),
        zipped({"frontal.npy": zeros, "sagittal.npy": zeros, "about.npy": zeros}),
        gzip.compress(gzip.compress(gzip.compress(zeros, 9), 9), 9),
        wide,
    )


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """Draw a scan, good but for a few bytes set, lost, doubled, or numbers in its header."""
    data = bytearray(good()[draw(st.sampled_from(sorted(good())))])
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        way = draw(st.sampled_from(("set", "cut", "double", "header", "number")))
        if way == "set":
            data[place : place + 4] = draw(st.binary(min_size=1, max_size=8))
        elif way == "cut":
            del data[place : place + draw(st.sampled_from((1, 7, 400, 1 << 20)))]
        elif way == "double":
            data[place:place] = data[place : place + 200]
        elif way == "header":
            value = draw(st.integers(-(1 << 15), (1 << 15) - 1))
            spot = draw(st.sampled_from(range(38, 128, 2)))
            data[spot : spot + 2] = struct.pack("<h", value)
        else:
            value = draw(st.sampled_from((0, 1, 0x7F800000, 0x7FC00000, 0xFFFFFFFF, 0x7F7FFFFF)))
            data[place : place + 4] = struct.pack("<I", value)
    return bytes(data)


def paths(outside: str) -> st.SearchStrategy[str]:
    """Draw paths, most of which lead out of the root; ``outside`` is the folder around it."""
    joined = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=6).map("/".join)
    known = ("../" + OUTSIDE, f"{outside}/{OUTSIDE}", f"/proc/self/root{outside}/{OUTSIDE}",
             "out.nii.gz", f"out/{OUTSIDE}", "/etc/passwd", "/proc/self/environ", "good.nii.gz",
             "../" * 12 + f"{outside}/{OUTSIDE}", f"./out/../../{OUTSIDE}", ".")  # fmt: skip
    return st.one_of(st.sampled_from(known), joined, st.text(max_size=40))


def requests(outside: str) -> st.SearchStrategy[Request]:
    """Draw whole requests of every kind."""
    scans = st.one_of(spoilt(), spoilt(), st.sampled_from(bombs()), st.binary(max_size=400))
    odd = st.one_of(st.none(), st.integers(), st.floats(), st.booleans(), st.text(max_size=20),
                    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=3),
                    st.integers(), max_size=2))  # fmt: skip
    names = st.one_of(st.none(), st.text(max_size=30), odd)
    as_text = scans.map(lambda data: base64.b64encode(data).decode())
    row = st.fixed_dictionaries(
        {},
        optional={
            "content": st.one_of(as_text, as_text, odd),
            "path": st.one_of(paths(outside), odd),
            "case": names,
            "another": odd,
        },
    )
    plain = st.fixed_dictionaries(
        {"case": st.one_of(st.none(), st.text(max_size=9))},
        optional={"content": st.one_of(st.none(), scans), "path": paths(outside)},
    )
    return st.one_of(
        st.lists(row, max_size=3).flatmap(_tables),
        st.lists(row, max_size=3).flatmap(_tables).flatmap(_broken),
        st.lists(plain, min_size=1, max_size=3).map(_parquet),
        st.lists(plain, min_size=1, max_size=2).map(_parquet).flatmap(_broken),
        st.lists(paths(outside), max_size=4).map(_csv),
        st.builds(
            Request, st.binary(max_size=200), st.sampled_from((JSON, CSV, PARQUET, "", "a/b"))
        ),
    )


def _tables(rows: list[dict[str, Any]]) -> st.SearchStrategy[Request]:
    columns = sorted({key for row in rows for key in row})
    split = {"columns": columns, "data": [[row.get(key) for key in columns] for row in rows]}
    forms: list[Any] = [
        {"dataframe_records": rows}, {"dataframe_records": rows}, {"dataframe_split": split},
        {"inputs": rows}, {"instances": rows}, rows,
        {"dataframe_records": rows, "params": {"a": 1}},
        {"dataframe_split": {**split, "index": [0]}},
    ]  # fmt: skip
    return st.sampled_from(forms).map(lambda form: Request(json.dumps(form).encode(), JSON))


@st.composite
def _broken(draw: st.DrawFn, request: Request) -> Request:
    data = bytearray(request.body)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return Request(bytes(data), request.kind)


def _parquet(rows: list[dict[str, Any]]) -> Request:
    body = io.BytesIO()
    table = pd.DataFrame([_cleaned(row) for row in rows])
    table.to_parquet(body)
    return Request(body.getvalue(), PARQUET)


def _csv(words: list[str]) -> Request:
    table = pd.DataFrame({"path": [word.encode(errors="replace").decode() for word in words]})
    return Request(table.to_csv(index=False).encode(errors="replace"), CSV)


def _cleaned(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as parquet can hold it: text of whole characters."""
    return {
        key: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for key, value in row.items()
    }
