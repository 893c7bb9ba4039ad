"""Layout ``glocker``: the spine CTs of CSI 2014 (BioMedIA), as SpineFinder reads them.

    root/.../patient0013/4511471/4511471.nii.gz
    root/.../patient0013/4511471/4511471.lml

A ``.lml`` is text: a header line, then a row a vertebra, ``190 <tab> T12_center <tab> x y z``. The
points are mm along the image's own stored axes from the centre of its first voxel: voxel index
times spacing, neither origin nor direction. So read them SpineFinder (``centroids / spacing``) and
the other programs named in docs/decisions.md. Read in any other frame most of them would lie
outside of the scan, or upside down; both are refused here, so a wrong frame cannot pass silently.
"""

import re
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.affines import spacing_of
from vertebra_ml.anatomy import LEVELS, RANK, USUAL
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.readers.plain import POINT_MAX_MM
from vertebra_ml.readers.roots import check_within, files_below
from vertebra_ml.readers.scans import open_volume
from vertebra_ml.readers.verse import neighbours
from vertebra_ml.readers.writers import write_nifti
from vertebra_ml.volume import Volume

SCAN_ENDINGS: Final = (".nii.gz", ".nii")
LABELS: Final = ".lml"
PATIENT: Final = "patient"
SACRAL: Final = frozenset(f"S{n}" for n in range(1, 6))
ID_STEP: Final = 10
ID_OF: Final = {level: ID_STEP * n for n, level in enumerate((*USUAL, "L6"), start=1)}
"""C1 is 10, C7 70, T1 80, T12 190, L1 200, L5 240, and L6 250; T13 has no known number."""
NUMBER: Final = re.compile(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", re.ASCII)
FIELDS: Final = 5
BYTES_MAX: Final = 100_000  # far above 28 rows
LPS: Final = np.array([-1.0, -1.0, 1.0])
HEADER: Final = "# 0"


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of each scan and of each ``.lml`` below ``root``, named as the files are.

    The patient is the nearest folder around it named ``patient...``, else the case itself. An
    ``.lml`` without a scan is a case that fails when opened, as is one whose links lead out.

    Raises LimitError for a linked folder that leads out of ``root``.
    """
    files = [path for path in files_below(root) if not path.name.startswith(".")]
    scans = {path for path in files if path.name.endswith(SCAN_ENDINGS)}
    labels = {path for path in files if path.name.endswith(LABELS)}
    labelled = {_labels_of(scan) for scan in scans}
    alone = {
        path.with_name(path.name.removesuffix(LABELS) + ".nii.gz") for path in labels - labelled
    }
    return [
        _case(root, scan, labelled=_labels_of(scan) in labels, voxels_max=voxels_max)
        for scan in sorted(scans | alone)
    ]


def _stem(scan: Path) -> str:
    return next(scan.name.removesuffix(end) for end in SCAN_ENDINGS if scan.name.endswith(end))


def _labels_of(scan: Path) -> Path:
    return scan.with_name(_stem(scan) + LABELS)


def _case(root: Path, scan: Path, *, labelled: bool, voxels_max: int) -> Case:
    around = reversed(scan.relative_to(root).parts[:-1])
    patient = next((name for name in around if name.startswith(PATIENT)), _stem(scan))
    return Case(
        _stem(scan),
        patient,
        scan,
        "glocker",
        partial(_read_scan, root, scan, voxels_max=voxels_max),
        partial(_read_labels, root, scan, voxels_max=voxels_max) if labelled else None,
    )


def _read_scan(root: Path, scan: Path, *, voxels_max: int) -> Volume:
    return open_volume(check_within(root, scan), voxels_max=voxels_max)


def _read_labels(root: Path, scan: Path, *, voxels_max: int) -> Truth:
    labels = check_within(root, _labels_of(scan))
    return read_lml(labels, check_within(root, scan), voxels_max=voxels_max)


def read_lml(path: Path, scan: Path, *, voxels_max: int) -> Truth:
    """Read a ``.lml`` file as points in RAS mm, through the header of ``scan``.

    Sacral rows are passed over. The levels that can follow the labelled ones at either end, and
    those between them that have no row, count as present but unlabelled.

    Raises DatasetError naming the line at fault, or the level that lies outside of the scan or
    above one that should be above it, and whatever reading the header raises.
    """
    from vertebra_ml.readers.nifti import read_grid

    rows = _rows(path)
    affine, shape = read_grid(scan, voxels_max=voxels_max)
    # A grid without memory behind it: only its geometry is asked for.
    grid = Volume(np.broadcast_to(np.int16(0), shape), affine)
    points = {
        level: grid.voxel_to_world(np.array(mm) / spacing_of(affine)) for level, mm in rows.items()
    }
    _check_inside(path, grid, rows, points)
    _check_upright(path, points)
    labels = sorted(points, key=RANK.__getitem__)
    between = [
        level for level in USUAL if labels and RANK[labels[0]] < RANK[level] < RANK[labels[-1]]
    ]
    return Truth(Landmarks.of(points), tuple(dict.fromkeys((*neighbours(tuple(labels)), *between))))


def _rows(path: Path) -> dict[str, tuple[float, ...]]:
    """Return the mm of each level, as written."""
    lines = _text(path).splitlines()
    if not lines or _is_row(lines[0]):
        _refuse(path, 1, "a row of coordinates" if lines else "an empty file", "a header line")
    rows: dict[str, tuple[float, ...]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        level, mm = _row(path, number, line)
        if level in SACRAL:
            continue
        if level in rows:
            _refuse(path, number, f"{level} for the second time", "each level once")
        rows[level] = mm
    return rows


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > BYTES_MAX:
            _refuse(path, 1, f"{path.stat().st_size:,} bytes", f"at most {BYTES_MAX:,}")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        _refuse(path, 1, f"a file that cannot be read ({reason})", "a text file of landmarks")


def _is_row(line: str) -> bool:
    fields = line.split()
    return len(fields) >= FIELDS and fields[0].isdigit()


def _row(path: Path, number: int, line: str) -> tuple[str, tuple[float, ...]]:
    """Return the level and mm of a row whose number, name and coordinates agree with the format."""
    fields = line.split()
    if len(fields) < FIELDS:
        _refuse(path, number, f"{len(fields)} fields", "number, name, x, y and z")
    level = fields[1].split("_")[0]
    if level not in LEVELS and level not in SACRAL:
        _refuse(path, number, f"the name {fields[1][:40]!r}", "C1_center .. L6_center or S1_center")
    if not fields[0].isdecimal() or int(fields[0][:9]) != ID_OF.get(level, int(fields[0][:9])):
        _refuse(path, number, f"the number {fields[0][:20]!r} for {level}", _numbering(level))
    numbers = fields[2:FIELDS]
    x, y, z = (float(value) if NUMBER.fullmatch(value) else np.nan for value in numbers)
    if not all(abs(value) < POINT_MAX_MM for value in (x, y, z)):
        _refuse(path, number, f"{level} at {' '.join(numbers)[:60]}", "three numbers, mm")
    return level, (x, y, z)


def _numbering(level: str) -> str:
    return f"{ID_OF[level]}" if level in ID_OF else "a whole number"


def _check_inside(
    path: Path,
    grid: Volume,
    rows: dict[str, tuple[float, ...]],
    points: dict[str, NDArray[np.float64]],
) -> None:
    outside = [level for level, point in points.items() if not grid.contains(point)]
    if not outside:
        return
    written = np.array(list(rows.values()))
    frames = {"RAS": written, "LPS": written * LPS}
    fits = [name for name, world in frames.items() if grid.contains(world).all()]
    hint = f" (they lie inside when read as world mm, {' or '.join(fits)})" if fits else ""
    raise DatasetError(
        path,
        found=f"{', '.join(outside[:5])} outside of the scan{hint}",
        expected="mm along the image's stored axes from its first voxel: index times spacing",
        fix="check that this .lml belongs to this scan and that the scan was not turned or cropped",
    )


def _check_upright(path: Path, points: dict[str, NDArray[np.float64]]) -> None:
    order = sorted(points, key=RANK.__getitem__)
    if len(order) > 1 and points[order[0]][2] <= points[order[-1]][2]:
        raise DatasetError(
            path,
            found=f"{order[0]} below {order[-1]}",
            expected="labels that run from head to foot in the scan's own orientation",
            fix="check that the scan was not flipped after it was labelled",
        )


def _refuse(path: Path, number: int, found: str, expected: str) -> NoReturn:
    raise DatasetError(
        path,
        found=f"{found} in line {number}",
        expected=expected,
        fix="correct the file, or drop the case; docs/data.md shows one",
    )


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case below ``patient-PATIENT``; ``visible``, T13 and heights alone are left out."""
    scan = root / f"{PATIENT}-{patient}" / case / f"{case}.nii.gz"
    write_nifti(scan, volume)
    if truth is not None:
        partial_file = scan.with_name(f".partial-{case}{LABELS}")
        partial_file.write_text(
            "\n".join((HEADER, *_lines(volume, truth))) + "\n", encoding="utf-8"
        )
        partial_file.replace(_labels_of(scan))
    return scan


def _lines(volume: Volume, truth: Truth) -> list[str]:
    marks = truth.landmarks
    mm = volume.world_to_voxel(marks.points_mm) * volume.spacing_mm
    return [
        "\t".join((str(ID_OF[level]), f"{level}_center", *(f"{value:.4f}" for value in point)))
        for level, point in zip(marks.labels, mm, strict=True)
        if level in ID_OF and np.isfinite(point).all()
    ]
