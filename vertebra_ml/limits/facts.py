"""Facts of a scan, of a MIP archive: one flat row each, ready for the rules."""

from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np

from vertebra_ml.anatomy import GAP_MM, RANK, VARIANTS, successors
from vertebra_ml.archive import read_archive
from vertebra_ml.case import Case
from vertebra_ml.errors import VertebraError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.volume import AIR_HU, Volume

SAMPLED_VOXELS = 200_000
"""Voxels looked at for HU statistics: a percentile is right to a fraction of a percent, in 1 ms."""

BONE_HU = 200
AIR_AT_LANDMARK_HU = -300
"""A body centre lies in bone; marrow fat and a scan circle's edge stay above this, air does not."""

Row = dict[str, object]


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
    row |= _intensities(volume)
    row |= _label_facts(truth)
    if truth is not None:
        row |= _named("outside", _outside(volume, truth.landmarks))
        row |= _named("in_air", _in_air(volume, truth.landmarks))
    return row


def describe_case(case: Case) -> Row:
    """Return the facts of one raw case and its patient; an unreadable one becomes its ``fault``."""
    known: Row = {"patient": case.patient, "source": case.source.as_posix()}
    try:
        if case.open_volume is None:
            return {"case": case.id, "fault": "found a MIP archive; expected a raw scan", **known}
        return describe(case.id, case.open_volume(), case.truth()) | known
    except VertebraError as error:
        return unreadable(case.id, error) | known


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


def _intensities(volume: Volume) -> Row:
    step = max(1, int(np.ceil((volume.array.size / SAMPLED_VOXELS) ** (1 / 3))))
    sample = volume.array[::step, ::step, ::step]
    low, p1, p50, p99, high = np.percentile(sample, [0, 1, 50, 99, 100])
    return {
        "hu_least": round(float(low)),
        "hu_p1": round(float(p1)),
        "hu_median": round(float(p50)),
        "hu_p99": round(float(p99)),
        "hu_largest": round(float(high)),
        "fingerprint": f"{crc32(np.ascontiguousarray(sample).tobytes()):08x}",
    }


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


def _named(column: str, names: list[str]) -> Row:
    return {column: len(names), f"{column}_levels": " ".join(names) or None}
