"""Good inputs and near misses of every reader, from which the fuzzer starts."""

import gzip
import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests.bad.archives import hostile_objects, npy, objects
from tests.bad.zips import zipped
from tests.fuzz import targets
from tests.layouts import TRUTH, make_scan, nifti_bytes, small_scan
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.readers.raw import describe
from vertebra_ml.readers.writers import WRITERS, write_case
from vertebra_ml.volume import Volume

Seed = tuple[targets.Target, bytes]
ROOT = Path(__file__).parents[2]


def tiny() -> Volume:
    """Return 8 x 8 x 3 voxels: little to mutate but the header."""
    return small_scan().crop((0, 0, 0), (8, 8, 3))


def headers() -> Iterator[Seed]:
    """Yield inputs of the readers of headers."""
    import nibabel as nib

    scan = tiny()
    plain = nifti_bytes(scan)
    yield targets.nifti, plain
    yield targets.nifti, nifti_bytes(scan, order=">")
    yield targets.nifti, nifti_bytes(scan, kind=nib.Nifti2Header, slope=(2.0, -5.0))
    yield targets.nifti, nifti_bytes(scan, stored=scan.array.astype(np.float32), codes=(0, 1))
    yield targets.nifti, gzip.compress(plain)
    yield targets.contents, gzip.compress(plain)
    yield targets.contents, zipped(targets.neighbours())
    with TemporaryDirectory() as folder:
        yield from dicom(Path(folder), scan)
    yield (
        targets.views,
        np.lib.format.read_array(io.BytesIO(targets.members()["about.npy"])).tobytes(),
    )
    picture = np.zeros((4, 5), np.int16)
    for array in (objects(picture, picture), hostile_objects(2), np.zeros((2, 4, 5), np.uint8)):
        yield targets.published, npy(array, pickled=True)
    old = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        old, {"descr": "|O", "fortran_order": False, "shape": (2,)}
    )
    yield targets.published, old.getvalue() + pickle.dumps(objects(picture, "text"), protocol=2)
    yield targets.published_ids, npy(np.array(["one", "two"]))
    yield targets.published_ids, npy(objects("one", 2), pickled=True)
    yield targets.described, describe(scan).encode()


def dicom(folder: Path, scan: Volume) -> Iterator[Seed]:
    """Yield a slice in each byte order and dress, and an enhanced image where it can be written."""
    import pydicom
    from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

    path = write_series(folder, scan, seed="fuzz")[1]
    yield targets.dicom, path.read_bytes()
    yield targets.contents, path.read_bytes()
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian):
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = syntax
        changed = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
        out = io.BytesIO()
        pydicom.dcmwrite(out, data, force_encoding=True, **changed)
        yield targets.dicom, out.getvalue()
    data = pydicom.dcmread(path)
    data.compress(RLELossless, generate_instance_uid=False)
    out = io.BytesIO()
    data.save_as(out)
    yield targets.dicom, out.getvalue()
    yield from enhanced(folder)


def enhanced(folder: Path) -> Iterator[Seed]:
    from vertebra_ml.readers.dicom_writer import write_enhanced

    path = folder / "enhanced.dcm"
    write_enhanced(path, tiny(), seed="fuzz")
    yield targets.contents, path.read_bytes()
    yield targets.dicom, path.read_bytes()


def labels() -> Iterator[Seed]:
    """Yield inputs of the readers of labels and settings."""
    of_layout: dict[str, tuple[targets.Target, str]] = {
        "plain": (targets.landmarks, "landmarks.json"),
        "verse": (targets.centroids, "*_ctd.json"),
        "glocker": (targets.lml, "*.lml"),
        "masks": (targets.table, "labels.json"),
        "raw": (targets.described, "*.yaml"),
    }
    with TemporaryDirectory() as folder:
        for layout, (target, pattern) in of_layout.items():
            if layout in WRITERS:
                write_case(Path(folder) / layout, "p1", make_scan(), TRUTH, layout)
                for path in (Path(folder) / layout).rglob(pattern):
                    yield target, path.read_bytes()
    yield targets.table, json.dumps({"table": {"19": "T12", "22": "L3"}, "patient": "p"}).encode()
    yield targets.table, b'{"table": "verse"}'
    yield targets.landmarks, json.dumps(height_alone()).encode()
    yield targets.params, (ROOT / "params.yaml").read_bytes()
    yield targets.keypoints, b"[]"
    yield targets.keypoints, json.dumps(spine()).encode()


def height_alone() -> dict[str, Any]:
    return {
        "frame": "RAS", "unit": "mm", "patient": "p", "note": "n",
        "landmarks": {"L3": [None, None, 1.5]}, "visible": ["L3", "L4"],
    }  # fmt: skip


def spine() -> list[dict[str, Any]]:
    """Return three bodies with a pedicle, as a network writes them."""
    seen = [
        ("body", (1.5, 2.0, -30.0 * number), {"spine_segment_probabilities": [0.0, 0.25, 0.75]})
        for number in range(3)
    ]
    return [
        {"coordinates": {"world_space": place}, "type": {"keypoint_type": kind, **more}}
        for kind, place, more in [
            *seen,
            ("left", (20.0, 25.0, 2.0), {}),
            ("right", (-18, 25, 0), {}),
        ]
    ]


def write(folder: Path, group: str) -> int:
    """Write the seeds of a group, each behind the byte that names its reader; return how many."""
    known = targets.HEADERS if group == "headers" else targets.LABELS
    folder.mkdir(parents=True, exist_ok=True)
    seeds = list(headers() if group == "headers" else labels())
    for number, (target, data) in enumerate(seeds):
        content = bytes([known.index(target)]) + data
        (folder / f"seed-{number:03d}-{target.__name__}").write_bytes(content)
    return len(seeds)
