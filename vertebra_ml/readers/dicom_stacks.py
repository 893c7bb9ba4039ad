"""Pictures of one SeriesInstanceUID to stacks of slices, and the names of several stacks."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.readers.dicom_files import refused
from vertebra_ml.readers.dicom_header import Picture, vector, words
from vertebra_ml.readers.dicom_series import DUPLICATE_MM, Slice

WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}")
IS_UID: Final = re.compile(r"[0-9.]{1,64}")  # anything else there may be anyone's text
UNITS: Final = ("HU", "US")  # US: unspecified, written by some scanners that mean HU
PARTED_BY: Final[tuple[Callable[[Picture], Any], ...]] = (
    lambda p: p.get("TemporalPositionIndex") or p.get("TemporalPositionIdentifier"),
    lambda p: p.get("FrameAcquisitionNumber") or p.get("AcquisitionNumber"),
    lambda p: words(p.get("ConvolutionKernel")),
    lambda p: p.kind,
    lambda p: words(p.get("PixelSpacing")),
)
"""What may tell apart two acquisitions that lie at the same places in one series."""


@dataclass(frozen=True, eq=False)
class Stack:
    """The pictures of one volume, and its name; empty where it is the only one."""

    name: str
    pictures: tuple[Picture, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that hold it, sorted."""
        return tuple(sorted({picture.entry.name for picture in self.pictures}))


def stacks_of(groups: Sequence[Sequence[Picture]]) -> list[Stack]:
    """Return each series, parted where it holds several acquisitions, with its name.

    A name is ``s`` and the series' number; where that repeats or is missing ``-1``, ``-2`` follow
    in the order of first positions.
    """
    parts = [part for group in groups for part in _parted(group)]
    if len(parts) == 1:
        return [Stack("", tuple(parts[0]))]
    labels = [_label(part) for part in parts]
    count = Counter(labels)
    order = sorted(range(len(parts)), key=lambda k: (_order(labels[k]), _first(parts[k]), k))
    met: Counter[str] = Counter()
    stacks = []
    for k in order:
        label = labels[k]
        met[label] += 1
        alone = count[label] == 1 and label != "s"
        stacks.append(Stack(label if alone else f"{label}-{met[label]}", tuple(parts[k])))
    return stacks


def _label(part: Sequence[Picture]) -> str:
    number = _whole(part[0].get("SeriesNumber"))
    return "s" if number is None else f"s{number}".replace("-", "m")


def _order(label: str) -> tuple[int, str]:
    return (len(label), label)


def _first(part: Sequence[Picture]) -> float:
    places = [picture.place for picture in part if picture.place is not None]
    return round(min(places), 1) if places else np.inf


def _parted(group: Sequence[Picture]) -> list[list[Picture]]:
    """Part a series by stack, and by acquisition where two pictures lie at one place."""
    stacks = _by(group, lambda picture: str(picture.get("StackID") or ""))
    return [part for stack in stacks for part in _acquisitions(stack)]


def _acquisitions(group: list[Picture]) -> list[list[Picture]]:
    if not _doubled(group):
        return [group]
    for key in PARTED_BY:
        parts = _by(group, key)
        if len(parts) > 1 and all(len(part) > 1 and not _doubled(part) for part in parts):
            return parts
    return [group]  # and so refused when it is read: its duplicates cannot be told apart


def _by(group: Sequence[Picture], key: Callable[[Picture], Any]) -> list[list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for picture in group:
        found.setdefault(str(key(picture)), []).append(picture)
    return [found[name] for name in sorted(found, key=lambda name: (len(name), name))]


def _doubled(group: Sequence[Picture]) -> bool:
    places = sorted(picture.place for picture in group if picture.place is not None)
    return any(b - a < DUPLICATE_MM for a, b in pairwise(places))


def slice_of(picture: Picture, where: Path) -> Slice:
    """Return the checked geometry and rescaling of one picture. Raises DatasetError."""
    get, entry = picture.get, picture.entry
    unit = str(get("RescaleType") or "HU").strip().upper()
    if unit not in UNITS:
        raise refused(where, entry, "values that are not in HU")
    if picture.pixels.frames > 1 and not picture.multi_frame:
        raise refused(where, entry, "many frames in an image of one")

    def numbers(keyword: str, count: int) -> NDArray[np.float64]:
        value = get(keyword)
        if value in (None, ""):
            raise refused(where, entry, f"no {keyword}")
        found = vector(value, count)
        if found is None:
            raise refused(where, entry, f"a {keyword} that is not {count} finite numbers")
        return found

    slope = float(numbers("RescaleSlope", 1)[0])
    if slope <= 0:
        raise refused(where, entry, "a RescaleSlope that is not above 0")
    uid = str(get("SOPInstanceUID") or "")
    return Slice(
        name=entry.shown,
        series=str(get("SeriesInstanceUID") or ""),
        sop_instance_uid=uid if IS_UID.fullmatch(uid) else "",
        instance_number=_instance_number(picture),
        size=(picture.pixels.rows, picture.pixels.columns),
        position=numbers("ImagePositionPatient", 3),
        orientation=numbers("ImageOrientationPatient", 6),
        spacing=numbers("PixelSpacing", 2),
        slope=slope,
        intercept=float(numbers("RescaleIntercept", 1)[0]),
        stored=picture.pixels,
        frame=picture.frame,
    )


def _instance_number(picture: Picture) -> int | None:
    """Return InstanceNumber, or the number of the frame (from 1) that viewers show."""
    if picture.multi_frame:
        return (_whole(picture.get("ConcatenationFrameOffsetNumber")) or 0) + picture.frame + 1
    return _whole(picture.get("InstanceNumber"))


def _whole(value: Any) -> int | None:
    """Return an integer string's number; None where it is none, or beyond what DICOM allows."""
    text = str(value)
    number = int(text) if WHOLE.fullmatch(text) else 1 << 31
    return number if -(1 << 31) <= number < 1 << 31 else None
