"""What is fuzzed: bytes in, nothing out; whatever is raised but our own errors is a finding.

The first byte of an input chooses the reader, so that one corpus covers all of a group.
"""

import contextlib
import io
import os
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import numpy as np

from tests.layouts import make_scan, nifti_bytes, small_scan
from vertebra_ml.case import Case
from vertebra_ml.errors import VertebraError
from vertebra_ml.readers import open_contents, sidecar
from vertebra_ml.readers.dicom_writer import write_series
from vertebra_ml.readers.nifti import read_volume
from vertebra_ml.readers.npy import read_npy

VOXELS_MAX: Final = 1_000_000
"""So that a header which lies about its size is told by the memory taken: 4 MB are allowed."""

Target = Callable[[bytes], None]


@cache
def place() -> Path:
    """Return a folder in memory, where there is one, for readers that want a path."""
    memory = Path("/dev/shm")
    return Path(mkdtemp(prefix="vertebra-fuzz-", dir=memory if memory.is_dir() else None))


def written(name: str, data: bytes) -> Path:
    path = place() / name
    path.write_bytes(data)
    return path


def opened(cases: list[Case]) -> None:
    """Open everything of the cases, each for itself."""
    for case in cases:
        for opener in (case.open_volume, case.open_mips, case.open_truth):
            if opener is not None:
                with contextlib.suppress(VertebraError):
                    opener()


def nifti(data: bytes) -> None:
    read_volume(data, Path("scan"), voxels_max=VOXELS_MAX)


def contents(data: bytes) -> None:
    """Any bytes that a request may hold: gzip, zip, DICOM, NIfTI."""
    opened(open_contents(data, "scan", voxels_max=VOXELS_MAX))


@cache
def neighbours() -> dict[str, bytes]:
    """Return a good series of three small slices, by name."""
    scan = small_scan().crop((0, 0, 0), (8, 8, 3))
    folder = place() / "series"
    return {path.name: path.read_bytes() for path in write_series(folder, scan, seed="fuzz")}


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def dicom(data: bytes) -> None:
    """One slice between two good ones."""
    contents(zipped(neighbours() | {"slice-0002.dcm": data}))


@cache
def members() -> dict[str, bytes]:
    """Return the members of a good MIP archive of ours."""
    from tests.bad.archives import members as read

    return read()


def views(data: bytes) -> None:
    """Our archive with another description."""
    about = io.BytesIO()
    np.lib.format.write_array(about, np.frombuffer(data or b" ", np.uint8))
    contents(zipped(members() | {"about.npy": about.getvalue()}))


def published(data: bytes) -> None:
    """A published archive with another array of pictures."""
    with contextlib.suppress(ValueError):
        read_npy(io.BytesIO(data), len(data))
    contents(zipped(published_members() | {"imgs_f.npy": data}))


def published_ids(data: bytes) -> None:
    """A published archive with other ids."""
    contents(zipped(published_members() | {"ids.npy": data}))


@cache
def published_members() -> dict[str, bytes]:
    from tests.bad.archives import good_thesis

    with zipfile.ZipFile(good_thesis(place())) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def described(data: bytes) -> None:
    """The sidecar of a .raw."""
    sidecar.read_sidecar(written("scan.yaml", data), voxels_max=VOXELS_MAX)


@cache
def scan() -> Path:
    return written("scan.nii", nifti_bytes(make_scan()))


def landmarks(data: bytes) -> None:
    from vertebra_ml.readers.plain import read_landmarks

    read_landmarks(written("landmarks.json", data))


def centroids(data: bytes) -> None:
    from vertebra_ml.readers.verse import read_centroids

    read_centroids(written("scan_ctd.json", data), scan(), voxels_max=VOXELS_MAX)


def lml(data: bytes) -> None:
    from vertebra_ml.readers.glocker import read_lml

    read_lml(written("scan.lml", data), scan(), voxels_max=VOXELS_MAX)


def table(data: bytes) -> None:
    from vertebra_ml.readers.mask_tables import patient_of, read_table

    path = written("labels.json", data)
    patient_of(path)
    read_table(path)


def params(data: bytes) -> None:
    from vertebra_ml.config import load

    load(written("params.yaml", data))


def keypoints(data: bytes) -> None:
    """A spine of somebody else's network, read and named."""
    from vertebra_ml.readers.keypoints import read_keypoints
    from vertebra_ml.rivals import label

    found = label(read_keypoints(written("spine.json", data)).candidates)
    assert np.isfinite(found.probabilities).all()
    found.doubt()


HEADERS: Final[tuple[Target, ...]] = (
    nifti, contents, dicom, views, published, published_ids, described,
)  # fmt: skip
LABELS: Final[tuple[Target, ...]] = (
    landmarks, centroids, lml, table, described, params, keypoints,
)  # fmt: skip


def run(targets: tuple[Target, ...], data: bytes) -> None:
    """Give the input to the reader that its first byte names; our errors are what is expected."""
    if not data:
        return
    with contextlib.suppress(VertebraError):
        targets[data[0] % len(targets)](data[1:])


def refuse_frames() -> None:
    """Let every frame be one that the decoders refuse.

    GDCM runs in processes of its own with limits of memory and time; what it does to them is not
    this program's, and starting them would cost the fuzzer all its time.
    """
    from vertebra_ml.readers.dicom_workers import Workers

    def decode(self: Any, *ignored: Any) -> bytes:
        raise ValueError("the decoder refused")

    Workers.decode = decode  # type: ignore[method-assign]


def leave() -> None:
    """Remove what the readers were given."""
    import shutil

    shutil.rmtree(place(), ignore_errors=True)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
