"""Facts of a scan, of a MIP archive: one flat row each, ready for the rules."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import GAP_MM, RANK, VARIANTS, successors
from vertebra_ml.archive import read_archive
from vertebra_ml.case import Case
from vertebra_ml.errors import VertebraError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.limits.frames import NOT_BONE_HU, bone_hu, fitting_frame
from vertebra_ml.mip import MipPair
from vertebra_ml.volume import AIR_HU, Source, Volume

SAMPLED_VOXELS = 200_000
"""Voxels looked at for HU statistics: a percentile is right to a fraction of a percent, in 1 ms."""

TISSUE_HU = (-150, 250)
"""Soft tissue of any kind, with and without contrast."""
BONE_HU = 200
AIR_AT_LANDMARK_HU = -300
"""A body centre lies in bone; marrow fat and a scan circle's edge stay above this, air does not."""

Row = dict[str, object]

RAW_COLUMNS = (
    "case", "patient", "source", "fault", "shape", "voxels", "spacing", "spacing_least_mm",
    "spacing_largest_mm", "orientation", "obliquity_deg", "width_mm", "depth_mm", "height_mm",
    "hu_least", "hu_p1", "hu_median", "hu_p99", "hu_largest", "fingerprint", "tissue_share",
    "content", "rows", "columns", "body_share", "bone_share", "levels", "labels", "labelled",
    "gaps_mm", "gap_sigmas", "gap_worst", "gap_ratio", "gap_jump", "out_of_order",
    "out_of_order_levels", "skipped", "skipped_levels", "outside", "outside_levels", "in_air",
    "in_air_levels", "not_bone", "not_bone_levels", "frame",
)  # fmt: skip
"""Columns of the table of raw cases, CTs and MIPs alike; a fact that does not apply is empty."""


def describe(case: str, volume: Volume, truth: Truth | None = None) -> Row:
    """Return one row of facts about a raw scan and, where known, its labels.

    Sizes and spacings in mm, values in HU (sampled). Facts about labels are empty without any.
    """
    spacing = volume.spacing_mm
    low, high = volume.bounds_mm()
    width, depth, height = (round(float(size), 1) for size in high - low)
    row: Row = {
        "case": case,
        "fault": None,
        "shape": "x".join(map(str, volume.shape)),
        "voxels": volume.array.size,
        "spacing": " ".join(f"{s:.3g}" for s in spacing),
        "spacing_least_mm": round(min(spacing), 4),
        "spacing_largest_mm": round(max(spacing), 4),
        "orientation": volume.orientation,
        "obliquity_deg": round(volume.obliquity_deg, 2),
        "width_mm": width,
        "depth_mm": depth,
        "height_mm": height,
    }
    row |= _values(volume)
    row |= _label_facts(truth)
    if truth is not None:
        row |= _named("outside", _outside(volume, truth.landmarks))
        row |= _named("in_air", _in_air(volume, truth.landmarks))
        row |= _named("not_bone", _not_bone(volume, truth.landmarks))
        row |= _jump(truth.landmarks) | {"frame": fitting_frame(volume, truth.landmarks)}
    return row


def describe_case(case: Case) -> Row:
    """Return the facts of one raw case and its patient, in the columns of ``RAW_COLUMNS``.

    A case of MIPs has the facts of a scan that apply to pictures. An unreadable case becomes its
    ``fault``.
    """
    known: Row = {"patient": case.patient, "source": case.source.as_posix()}
    try:
        if case.open_mips is not None:
            row = _describe_mips(case.id, *case.open_mips(), case.truth())
        elif case.open_volume is not None:
            row = describe(case.id, case.open_volume(), case.truth())
        else:
            row = {"case": case.id, "fault": "found a case without an image; expected a scan"}
    except VertebraError as error:
        row = unreadable(case.id, error)
    return {column: (row | known).get(column) for column in RAW_COLUMNS}


def _describe_mips(case: str, pair: MipPair, source: Source, truth: Truth | None) -> Row:
    """Return the facts of a case that is a pair of MIPs from the start.

    ``hu_least`` does not apply: pictures cropped to the body hold no air.
    """
    row = describe_pair(case, pair, truth, spacing_mm=pair.frontal.spacing_mm[0])
    views = (pair.frontal, pair.sagittal)
    steps = [step for mip in views for step in mip.spacing_mm]
    row |= {
        "shape": f"{pair.rows}x({pair.frontal.columns}+{pair.sagittal.columns})",
        "voxels": sum(mip.image.size for mip in views),
        "spacing": " ".join(f"{step:.3g}" for step in dict.fromkeys(steps)),
        "spacing_least_mm": round(min(steps), 4),
        "spacing_largest_mm": round(max(*steps, source.slice_spacing_mm), 4),
        "height_mm": round(pair.rows * pair.frontal.spacing_mm[0], 1),
        "width_mm": round(pair.frontal.columns * pair.frontal.spacing_mm[1], 1),
        "hu_least": None,
        "fingerprint": f"{crc32(b''.join(mip.image.tobytes() for mip in views)):08x}",
        "content": _content(np.concatenate([mip.image.ravel() for mip in views])),
    }
    return row | (_jump(truth.landmarks) if truth is not None else {})


def describe_pair(case: str, pair: MipPair, truth: Truth | None, *, spacing_mm: float) -> Row:
    """Return one row of facts about a pair of MIPs that should have ``spacing_mm`` in each axis."""
    pixels = np.concatenate([pair.frontal.image.ravel(), pair.sagittal.image.ravel()])
    body = pixels[pixels > AIR_HU]
    spacings = (*pair.frontal.spacing_mm, *pair.sagittal.spacing_mm)
    row: Row = {
        "case": case,
        "fault": None,
        "rows": pair.rows,
        "columns": f"{pair.frontal.columns} + {pair.sagittal.columns}",
        "spacing_off_mm": round(max(abs(s - spacing_mm) for s in spacings), 6),
        "hu_least": int(pixels.min()),
        "hu_largest": int(pixels.max()),
        "body_share": round(body.size / pixels.size, 4),
        "bone_share": round(float((body > BONE_HU).mean()), 4) if body.size else 0.0,
    }
    row |= _label_facts(truth)
    if truth is not None:
        marks = truth.landmarks
        rows = pair.frontal.row_of_z(marks.points_mm[:, 2])
        outside = (rows < -0.5) | (rows > pair.rows - 0.5)
        row |= _named("outside", [m for m, out in zip(marks.labels, outside, strict=True) if out])
    return row


def describe_archive(path: Path, *, spacing_mm: float) -> Row:
    """Return the facts of one MIP archive; an unreadable one becomes a row with its ``fault``."""
    try:
        entry = read_archive(path)
    except VertebraError as error:
        return unreadable(path.stem, error)
    row = describe_pair(entry.case, entry.pair, entry.truth, spacing_mm=spacing_mm)
    return row | {"patient": entry.patient, "group": entry.group}


def unreadable(case: str, error: VertebraError) -> Row:
    """Return the row of something that could not be read: its id and the one-line reason."""
    return {"case": case, "fault": f"found {error.found}; expected {error.expected}"}


def _values(volume: Volume) -> Row:
    step = max(1, int(np.ceil((volume.array.size / SAMPLED_VOXELS) ** (1 / 3))))
    sample = volume.array[::step, ::step, ::step]
    return intensities(sample) | {
        "fingerprint": f"{crc32(np.ascontiguousarray(sample).tobytes()):08x}",
        "content": _content(volume.array[np.ix_(*(_symmetric(n, step) for n in volume.shape))]),
    }


def intensities(sample: NDArray[Any]) -> dict[str, object]:
    """Return quantiles of values in HU, whole, and the share of them that is soft tissue."""
    low, p1, p50, p99, high = np.percentile(sample, [0, 1, 50, 99, 100])
    tissue = (sample > TISSUE_HU[0]) & (sample < TISSUE_HU[1])
    return {
        "hu_least": round(float(low)),
        "hu_p1": round(float(p1)),
        "hu_median": round(float(p50)),
        "hu_p99": round(float(p99)),
        "hu_largest": round(float(high)),
        "tissue_share": round(float(tissue.mean()), 4),
    }


def _symmetric(length: int, step: int) -> NDArray[np.intp]:
    """Return every ``step``-th index counted from both ends: the same voxels however they lie."""
    places = np.arange(0, length, step)
    return np.unique(np.concatenate([places, length - 1 - places]))


def _content(values: NDArray[Any]) -> str:
    """Return a digest of values in HU that does not mind their order: axes, format, layout."""
    ends = np.iinfo(np.int16)
    # A float file may hold any number, and a bin is kept for each up to the largest.
    held = np.clip(np.round(values), ends.min, ends.max).astype(np.int64)
    counts = np.bincount(held.ravel() - ends.min)
    return hashlib.sha256(counts.tobytes()).hexdigest()[:16]


def _label_facts(truth: Truth | None) -> Row:
    if truth is None:
        return {}
    marks = truth.landmarks
    gaps = _gaps(marks)
    worst = max(gaps, key=lambda gap: abs(gap[2]), default=None)
    z = marks.points_mm[:, 2] if len(marks) else np.empty(0)
    rising = [
        f"{upper}-{lower}"
        for upper, lower, fall in zip(marks.labels, marks.labels[1:], -np.diff(z), strict=False)
        if fall <= 0
    ]
    row: Row = {
        "levels": " ".join(truth.visible),
        "labels": " ".join(marks.labels),
        "labelled": len(marks),
        "gaps_mm": " ".join(f"{name} {gap:.1f}" for name, gap, _ in gaps),
        "gap_sigmas": round(abs(worst[2]), 2) if worst else None,
        "gap_worst": f"{worst[0]} {worst[1]:.1f} mm" if worst else None,
    }
    return row | _named("out_of_order", rising) | _named("skipped", _skipped(truth.visible))


def _gaps(marks: Landmarks) -> list[tuple[str, float, float]]:
    """Return (name, mm, standard deviations from the usual) of neighbours with a full point."""
    found = []
    for upper, lower in pairwise(marks.labels):  # T12-L1 is no gap where T13 lies between
        if (upper, lower) in GAP_MM:
            mean, deviation = GAP_MM[upper, lower]
            gap = float(np.linalg.norm(marks[upper] - marks[lower]))
            if np.isfinite(gap):
                found.append((f"{upper}-{lower}", gap, (gap - mean) / deviation))
    return found


def _jump(marks: Landmarks) -> Row:
    """Return the largest gap against the gaps beside it, each counted in usual gaps of its place.

    People differ in size by more than the vertebrae of one person do from their neighbours.
    """
    gaps = [(name, gap, gap / GAP_MM[_pair(name)][0]) for name, gap, _ in _gaps(marks)]
    found: list[tuple[float, str]] = []
    for place, (name, gap, size) in enumerate(gaps):
        upper, lower = _pair(name)
        above = [s for other, _, s in gaps[:place][-1:] if _pair(other)[1] == upper]
        below = [s for other, _, s in gaps[place + 1 :][:1] if _pair(other)[0] == lower]
        if above or below:
            ratio = size / float(np.mean(above + below))
            found.append((ratio, f"{name} {gap:.1f} mm, {ratio:.1f} times its neighbours"))
    if not found:
        return {"gap_ratio": None, "gap_jump": None}
    ratio, text = max(found)
    return {"gap_ratio": round(ratio, 2), "gap_jump": text}


def _pair(name: str) -> tuple[str, str]:
    upper, lower = name.split("-")
    return upper, lower


def _skipped(visible: tuple[str, ...]) -> list[str]:
    """Return the steps between seen levels that leave one out which most people have."""
    return [
        f"{upper}-{lower}"
        for upper, lower in pairwise(visible)
        if lower not in successors(upper)
        and any(RANK[upper] < RANK[level] < RANK[lower] for level in RANK if level not in VARIANTS)
    ]


def _outside(volume: Volume, marks: Landmarks) -> list[str]:
    low, high = volume.bounds_mm()
    inside = volume.contains(marks.points_mm)
    height = (marks.points_mm[:, 2] >= low[2]) & (marks.points_mm[:, 2] <= high[2])
    known = np.where(np.isnan(marks.points_mm[:, 0]), height, inside)
    return [label for label, held in zip(marks.labels, known, strict=True) if not held]


def _in_air(volume: Volume, marks: Landmarks) -> list[str]:
    """Return the levels whose 3x3x3 voxels around the point have a median that is air."""
    found = []
    for label, point in zip(marks.labels, marks.points_mm, strict=True):
        if not np.isfinite(point).all() or not volume.contains(point):
            continue
        centre = np.round(volume.world_to_voxel(point)).astype(int)
        box = tuple(slice(max(0, c - 1), c + 2) for c in centre)
        if np.median(volume.array[box]) < AIR_AT_LANDMARK_HU:
            found.append(label)
    return found


def _not_bone(volume: Volume, marks: Landmarks) -> list[str]:
    """Return the levels inside the scan around which there is fat or lung rather than bone."""
    inside = np.isfinite(marks.points_mm).all(axis=1) & volume.contains(marks.points_mm)
    stray = inside.copy()
    if inside.any():
        stray[inside] = bone_hu(volume, marks.points_mm[inside]) < NOT_BONE_HU
    return [label for label, off in zip(marks.labels, stray, strict=True) if off]


def _named(column: str, names: list[str]) -> Row:
    return {column: len(names), f"{column}_levels": " ".join(names) or None}
