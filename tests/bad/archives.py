"""Bad MIP archives: ours, and the published ones, whose object arrays are pickles."""

import io
import json
import os
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from tests.bad.kind import Bad, Maker, file_of
from tests.bad.zips import zipped
from tests.layouts import make_scan
from vertebra_ml.archive import Archive, write_archive
from vertebra_ml.prepare import project

NPZ: Final = ".npz"
MARK: Final = "ran.txt"
"""What the malicious pickles would leave beside the working folder if they ran."""


@cache
def good() -> bytes:
    """Return a good archive of ours."""
    scan = make_scan()
    pair = project(scan, spacing_mm=2.0, body_threshold_hu=-300, slab_mm=60.0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        write_archive(path, Archive("a", "a", "plain", pair, scan.origin, None))
        return path.read_bytes()


def members() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(good())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy(array: Any, *, pickled: bool = False) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array), allow_pickle=pickled)
    return content.getvalue()


def ours(**changes: bytes | None) -> Maker:
    """Return a maker of our archive with other members; None leaves one out."""

    def content() -> bytes:
        new = members() | {f"{name}.npy": data for name, data in changes.items() if data}
        gone = {f"{name}.npy" for name, data in changes.items() if data is None}
        return zipped({name: data for name, data in new.items() if name not in gone})

    return file_of(content, NPZ)


def about(**changes: Any) -> Maker:
    """Return a maker of our archive with another description."""

    def content() -> bytes:
        held = members()
        text = json.loads(np.lib.format.read_array(io.BytesIO(held["about.npy"])).tobytes())
        data = json.dumps(text | changes).encode()
        return zipped(held | {"about.npy": npy(np.frombuffer(data, np.uint8))})

    return file_of(content, NPZ)


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return an array file that claims a shape and holds nothing of it."""
    content = io.BytesIO()
    header = {"descr": "<i2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + bytes(64)


class Hostile:
    """Unpickling it would write a file: a side effect that is seen."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"echo ran > {self.mark}",)


def hostile_objects(count: int) -> Any:
    """Return an object array of pictures, the first of which would run a command."""
    pictures = np.empty(count, object)
    pictures[:] = [np.zeros((60, 40), np.int16)] * count
    pictures[0] = Hostile(MARK)
    return pictures


def objects(*values: Any) -> Any:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


def thesis(names: dict[str, Any] | None = None, without: tuple[str, ...] = ()) -> Maker:
    """Return a maker of a published archive of two scans with some members of its own."""
    picture = np.full((60, 40), -500, np.int16)
    usual: dict[str, Any] = {
        "imgs_f": objects(picture, picture[:50]),
        "imgs_s": objects(picture, picture[:50]),
        "v_levels": np.array([[20.0, 50.0], [-1.0, 40.0]]),
        "ids": np.array(["one", "two"]),
        "thicks": np.array([1.0, 1.0]),
    }

    def content() -> bytes:
        held = {n: v for n, v in (usual | (names or {})).items() if n not in without}
        return zipped({
            f"{name}.npy": value if isinstance(value, bytes) else npy(value, pickled=True)
            for name, value in held.items()
        })  # fmt: skip

    return file_of(content, NPZ)


def good_thesis(folder: Path) -> Path:
    """Write a published archive of two scans; return it."""
    return thesis()(folder)


def truncated_pickle() -> bytes:
    return npy(objects(np.zeros((60, 40)), np.zeros((50, 40))), pickled=True)[:-40]


def odd_pickle() -> bytes:
    """Return an object array whose second item is a set: neither an array nor NumPy's."""
    return npy(objects(np.zeros((60, 40)), {1, 2}), pickled=True)


PICTURES = np.zeros((60, 40), np.int16)
OURS: Final = {
    "text as .npz": Bad(file_of(b"not an archive", NPZ), "found", content_words="another kind"),
    "empty .npz": Bad(file_of(b"", NPZ), "found", content_words="found no content"),
    "an archive cut in half": Bad(
        file_of(lambda: good()[: len(good()) // 2], NPZ), "found", content_words="found"
    ),
    "an archive without members": Bad(file_of(zipped({}), NPZ), "found"),
    "an archive of other members": Bad(
        file_of(lambda: zipped({"a.npy": npy(PICTURES), "b.npy": npy(PICTURES)}), NPZ), "found"
    ),
    "no frontal view": Bad(ours(frontal=None), "found"),
    "no description": Bad(ours(about=None), "found"),
    "a surplus member": Bad(ours(extra=npy(PICTURES)), "found"),
    "a description of no JSON": Bad(
        ours(about=npy(np.frombuffer(b"{not json", np.uint8))), "found"
    ),
    "a description of ten thousand brackets": Bad(
        ours(about=npy(np.frombuffer(b"[" * 10_000, np.uint8))), "found"
    ),
    "a view of floats": Bad(ours(frontal=npy(np.zeros((60, 40)))), "shape .* and type float64"),
    "a view of one axis": Bad(ours(frontal=npy(np.zeros(60, np.int16))), "found"),
    "a view of terabytes": Bad(ours(frontal=claiming((2**20, 2**20))), "of shape"),
    "a view of negative size": Bad(ours(frontal=claiming((-5, 5))), "found"),
    "a view with less than it claims": Bad(ours(frontal=claiming((60, 40))), "bytes for shape"),
    "views of unlike rows": Bad(ours(sagittal=npy(np.zeros((7, 9), np.int16))), "found"),
    "version 2": Bad(about(version=2), "no description of version 1"),
    "no grid of the scan": Bad(about(scan=None), "found"),
    "a grid of NaN": Bad(
        about(scan={"affine": [[float("nan")] * 4] * 4, "shape": [9, 9, 9],
                    "instance_numbers": None}), "found",
    ),
    "a negative spacing": Bad(
        about(frontal={"spacing": [-1.0, 1.0], "origin": [0.0, 0.0]}), "found"
    ),
    "an origin of words": Bad(
        about(frontal={"spacing": [1.0, 1.0], "origin": ["up", "right"]}), "found"
    ),
    "pickled content in ours": Bad(
        ours(frontal=npy(hostile_objects(2), pickled=True)), "found"
    ),
}  # fmt: skip

THESIS: Final = {
    "a malicious pickle": Bad(
        thesis({"imgs_f": npy(hostile_objects(2), pickled=True)}), "found"
    ),
    "a malicious pickle in ids": Bad(
        thesis({"ids": npy(objects(Hostile(MARK), "two"), pickled=True)}), "found"
    ),
    "a malicious pickle alone": Bad(
        file_of(lambda: zipped({"x.npy": npy(hostile_objects(2), pickled=True)}), NPZ), "found"
    ),
    "a pickle of sets": Bad(thesis({"imgs_f": odd_pickle()}), "found"),
    "a pickle cut": Bad(thesis({"imgs_f": truncated_pickle()}), "found"),
    "no ids": Bad(thesis(without=("ids",)), "found"),
    "no thicks": Bad(thesis(without=("thicks",)), "found"),
    "fewer ids than pictures": Bad(thesis({"ids": np.array(["one"])}), "found"),
    "fewer pictures than ids": Bad(
        thesis({"imgs_f": objects(np.zeros((60, 40), np.int16))}), "found"
    ),
    "published views of no picture": Bad(
        thesis({"imgs_f": objects(np.zeros(9), np.zeros(9))}), "found"
    ),
    "published views of words": Bad(
        thesis({"imgs_f": objects(np.array([["a"]]), np.array([["b"]]))}), "found"
    ),
    "a thickness of zero": Bad(thesis({"thicks": np.array([0.0, 0.0])}), "found"),
    "a thickness of NaN": Bad(thesis({"thicks": np.array([np.nan, np.nan])}), "found"),
}  # fmt: skip
