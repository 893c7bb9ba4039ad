"""Small scans of a body with a spine off the midline, and what can be wrong with them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vertebra_ml.archive import Archive, read_archive, write_archive
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.readers.writers import write_case
from vertebra_ml.volume import AIR_HU, Volume

SPINE_MM = (24.0, -38.0)
"""Right of the midline and behind the middle, so that no mirror image of it lies in bone."""
HEIGHTS_MM = {
    "T9": 100.0, "T10": 74.6, "T11": 47.3, "T12": 17.7, "L1": -14.6, "L2": -49.1, "L3": -84.9,
}  # fmt: skip
POINTS_MM = {level: (*SPINE_MM, height) for level, height in HEIGHTS_MM.items()}
TRUTH = Truth(Landmarks.of(POINTS_MM), ())
SPACING_MM = (3.0, 3.5, 4.0)


def person(seed: int) -> Volume:
    """Return 180 x 154 x 260 mm: air, a body, two lungs, a column of vertebrae; LPS axes."""
    shape = (60, 44, 65)
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * SPACING_MM
    x, y, z = (
        axis * step + start
        for axis, step, start in zip(
            np.meshgrid(*map(np.arange, shape), indexing="ij"), SPACING_MM, affine[:3, 3],
            strict=True,
        )
    )  # fmt: skip
    hu = np.full(shape, -1000.0)
    hu[np.hypot(x / 85, y / 72) < 1] = 40
    for side in (-40, 40):
        hu[np.hypot((x - side) / 32, y / 55) < 1] = -800
    column = np.hypot(x - SPINE_MM[0], y - SPINE_MM[1]) < 18
    hu[column] = 90
    for height in HEIGHTS_MM.values():
        hu[column & (np.abs(z - height) < 13)] = 260
    hu += np.random.default_rng(seed).normal(0, 12, shape)
    return Volume(np.round(hu).astype(np.int16), affine).reorient("LPS")


def truth(**points_mm: tuple[float, float, float]) -> Truth:
    """Return the truth with some points elsewhere, or new ones."""
    return Truth(Landmarks.of(POINTS_MM | points_mm), ())


def turned(change: Callable[[np.ndarray], np.ndarray]) -> Truth:
    """Return the truth with every point changed: ``change`` takes and returns (n, 3) RAS mm."""
    marks = TRUTH.landmarks
    return Truth(Landmarks(marks.labels, change(marks.points_mm)), ())


@dataclass(frozen=True)
class Fault:
    """One planted fault: how it gets into ``data``, which rule names it, and as what.

    ``plant`` is given the folder of the data; ``rule`` is the column, ``row`` the case at fault and
    ``said`` what is told of it.
    """

    plant: Callable[[Path], object]
    rule: str
    row: str
    said: str


def labelled(name: str, labels: Truth, seed: int) -> Callable[[Path], object]:
    """Plant a good scan with other labels."""
    return lambda data: write_case(data / "plain", name, person(seed), labels, "plain")


def changed(name: str, seed: int, change: Callable[[Volume], Volume]) -> Callable[[Path], object]:
    """Plant a changed scan with its labels."""
    return lambda data: write_case(data / "plain", name, change(person(seed)), TRUTH, "plain")


def hu(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Volume], Volume]:
    """Return what changes a volume's values."""
    return lambda scan: replace(scan, array=change(scan.array).astype(np.int16))


def halved(scan: Volume) -> Volume:
    """Return a scan whose header tells half its slice spacing."""
    return Volume(scan.array, scan.affine @ np.diag([1, 1, 0.5, 1]))


def thick(scan: Volume) -> Volume:
    """Return a scan of slices too thick to find a vertebra in."""
    return scan.resample((SPACING_MM[0], SPACING_MM[1], 13.0))


def truncated(path: Path) -> None:
    """Cut a file in half; one that may be linked elsewhere is replaced, not written to."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def torn(data: Path) -> None:
    """Plant a scan whose file ends in the middle."""
    scan = write_case(data / "plain", "torn", person(31), TRUTH, "plain")
    truncated(scan)


def cut_labels(data: Path) -> None:
    """Plant labels with a number that is none."""
    write_case(data / "plain", "nan", person(32), TRUTH, "plain")
    path = data / "plain" / "nan" / "landmarks.json"
    content = json.loads(path.read_text())
    content["landmarks"]["L1"][2] = float("nan")
    path.write_text(json.dumps(content))


def again(data: Path) -> None:
    """Plant a copy of the scan ``c``, with other axes and as DICOM, of another patient."""
    scan = person(4).reorient("IAR")
    write_case(data / "plain", "c-again", scan, TRUTH, "plain-dicom")


def same_id(data: Path) -> None:
    """Plant an id that another layout has too."""
    write_case(data / "plain", "sub-d", person(33), TRUTH, "plain")


def air(entry: Archive) -> Archive:
    """Return an archive of two pictures of air."""
    views = [
        replace(mip, image=np.full_like(mip.image, AIR_HU))
        for mip in (entry.pair.frontal, entry.pair.sagittal)
    ]
    return replace(entry, pair=MipPair(views[0], views[1], entry.pair.spine_mm))


def coarser(entry: Archive) -> Archive:
    """Return an archive that tells pixels of 1.5 mm."""
    views = [
        replace(mip, spacing_mm=(1.5, 1.5)) for mip in (entry.pair.frontal, entry.pair.sagittal)
    ]
    return replace(entry, pair=MipPair(views[0], views[1], entry.pair.spine_mm))


def lowered(entry: Archive) -> Archive:
    """Return an archive whose labels lie half a metre below its pictures."""
    assert entry.truth is not None
    marks = entry.truth.landmarks
    lower = Landmarks(marks.labels, marks.points_mm - [0, 0, 500])
    return replace(entry, truth=Truth(lower, ()))


def archive_of_air(data: Path) -> None:
    """Plant a MIP archive of air as a case."""
    path = write_case(data / "mips", "m-air", person(34), TRUTH, "sarcopenia")
    change_archive(path, lambda entry: air(entry))


def torn_archive(data: Path) -> None:
    """Plant a MIP archive that ends in the middle."""
    truncated(write_case(data / "mips", "m-torn", person(35), TRUTH, "sarcopenia"))


def change_archive(path: Path, change: Callable[[Archive], Archive]) -> None:
    """Write an archive anew with a change."""
    entry = change(read_archive(path))
    path.unlink()
    write_archive(path, entry)


def shifted_levels() -> Truth:
    """Return labels that pass a vertebra over: from T12 down each is named one level too high."""
    names, heights = list(HEIGHTS_MM), list(HEIGHTS_MM.values())
    points = dict(zip(names[:3], heights[:3], strict=True))
    points |= dict(zip(names[3:-1], heights[4:], strict=True))
    return Truth(Landmarks.of({name: (*SPINE_MM, z) for name, z in points.items()}), ())


RAW: dict[str, Fault] = {
    "slices too thick": Fault(changed("thick", 11, thick), "spacing_largest_mm", "thick", "13"),
    "wrong spacing": Fault(changed("halved", 12, halved), "outside", "halved", "T9"),
    "swapped levels": Fault(
        labelled("swap", truth(L1=POINTS_MM["L2"], L2=POINTS_MM["L1"]), 13),
        "out_of_order", "swap", "L1-L2"),
    "level outside the scan": Fault(
        labelled("out", truth(L3=(24.0, -38.0, -400.0)), 14), "outside", "out", "L3"),
    "level in air": Fault(
        labelled("air", truth(T9=(-40.0, 18.0, 100.0)), 15), "in_air", "air", "T9"),
    "labels in voxels": Fault(
        labelled("voxels", turned(person(0).world_to_voxel), 16),
        "frame", "voxels", "labels look like voxel indices"),
    "labels in LPS": Fault(
        labelled("lps", turned(lambda points: points * [-1, -1, 1]), 17),
        "frame", "lps", "labels look like LPS mm"),
    "mirrored left and right": Fault(
        labelled("mirrored", turned(lambda points: points * [-1, 1, 1]), 18),
        "frame", "mirrored", "labels look like a mirror image, left for right"),
    "unphysical gap": Fault(
        labelled("gap", truth(L3=(24.0, -38.0, -112.0)), 19), "gap_sigmas", "gap", "L2-L3 62.9 mm"),
    "level passed over": Fault(
        labelled("skip", shifted_levels(), 20), "gap_ratio", "skip", "T11-T12 61.9 mm"),
    "values without intercept": Fault(
        changed("stored", 21, hu(lambda values: values + 1024)), "hu_least", "stored", ""),
    "intercept counted twice": Fault(
        changed("deep", 22, hu(lambda values: values - 1024)), "tissue_share", "deep", "0"),
    "values without bone": Fault(
        changed("soft", 23, hu(lambda values: np.minimum(values, 150))),
        "hu_largest", "soft", "150"),
    "truncated scan": Fault(torn, "fault", "torn", "found"),
    "no number": Fault(cut_labels, "fault", "nan", "found"),
    "duplicate id": Fault(same_id, "case", "sub-d", "data/plain/sub-d"),
    "copied scan": Fault(again, "content", "c-again", "data/plain/c-again"),
    "a MIP of air": Fault(archive_of_air, "body_share", "m-air", "0"),
    "truncated archive": Fault(torn_archive, "fault", "m-torn", "found"),
}  # fmt: skip
"""Faults of the data, planted together and found by the stage ``validate``."""
