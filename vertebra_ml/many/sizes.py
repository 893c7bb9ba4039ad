"""How much memory a scan will take, by its headers: an image is not read."""

import gzip
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case

BYTES_A_VOXEL: Final = 6
"""Measured on 512 x 512 x 300 of int16, from the file to the answer: 2.2 for the slice spotter, 3.0
for the two-stage model, its own 2 among them. A scan of float32 takes twice as much."""
PROJECTING_BYTES: Final = 300_000_000
"""What a process that projects holds beside its scan."""
SHARE: Final = 0.8
"""Of the memory that is free."""
SMALL_BYTES: Final = 50_000_000
PACKED: Final = 3
"""How many times its size on disk a compressed image may be, where its header is not looked at."""


def memory_bytes(case: Case) -> int:
    """Return about how many bytes the scan takes while it is located; never raises."""
    if case.open_mips is not None:
        return SMALL_BYTES
    voxels = 0
    with suppress(Exception):  # a scan that cannot be read says so when it is
        voxels = _voxels(case.source)
    return max(SMALL_BYTES, BYTES_A_VOXEL * voxels)


def fitting(cases: Iterable[Case], *, at_most: int, free: int) -> int:
    """Return how many processes may each work on the largest of these scans: at least one."""
    largest = max(map(memory_bytes, cases), default=SMALL_BYTES)
    return max(1, min(at_most, int(free * SHARE) // (PROJECTING_BYTES + largest)))


def _voxels(source: Path) -> int:
    name = source.name.lower()
    if name.endswith((".nii", ".nii.gz")) and source.is_file():  # a pipe would be waited for
        from vertebra_ml.readers.nifti import HEADERS

        with gzip.open(source) if name.endswith(".gz") else source.open("rb") as file:
            start = file.read(540)  # the longer of the two headers
        kind = next(kind for size, kind in HEADERS.items() if size in _as_sizes(start))
        header = kind(start[: kind.sizeof_hdr], check=False)  # whose faults its reader tells
        return math.prod(int(n) for n in header.get_data_shape())
    files = [p for p in source.rglob("*") if p.is_file()] if source.is_dir() else [source]
    size = sum(path.stat().st_size for path in files)
    return size // 2 if name.endswith(".raw") else PACKED * size // 2


def _as_sizes(start: bytes) -> tuple[int, int]:
    """Return what a header says of its own size, in either order of bytes."""
    return int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")
