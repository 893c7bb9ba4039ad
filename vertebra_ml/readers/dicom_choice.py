"""Which pictures of a folder are CT series, and which are left out by name.

What is left out stands in one log line each, with the number of pictures and the name of one file.
Where nothing remains the error says the same. No value of a header enters a message.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.dicom_header import MULTI_FRAME, SINGLE_FRAME, Picture
from vertebra_ml.readers.dicom_series import DUPLICATE_MM
from vertebra_ml.readers.dicom_stacks import Stack, stacks_of

log = logging.getLogger(__name__)

MODALITIES: Final = frozenset(
    ("MR", "PT", "NM", "US", "CR", "DX", "MG", "RF", "XA", "OT", "SC", "SR", "PR", "KO", "SEG",
     "DOC", "OP", "ES", "IO", "PX", "RTIMAGE", "RTDOSE", "RTSTRUCT")
)  # fmt: skip
"""Modalities that a message may name; anything else in that element may be anyone's text."""
SCOUTS: Final = frozenset(("LOCALIZER", "LOCALISER", "SCOUT", "TOPOGRAM", "TOPO", "SURVIEW"))
REFORMATS: Final = frozenset(
    ("MPR", "CPR", "MIP", "MINIP", "PROJECTION", "REFORMATTED", "RADIAL", "VRT", "SSD", "3D",
     "VOLUME_RENDERED", "RENDERED", "DOSE", "DOSE_INFO", "SCREEN", "SCREENSHOT", "SUBTRACTION",
     "SUBTRACT", "PERFUSION", "CBF", "CBV", "MTT", "TTP", "MIXED_IMAGE", "FUSED", "FUSION")
)  # fmt: skip
"""Words of ImageType beyond the second that tell a picture computed from slices."""


@dataclass(frozen=True)
class _Rule:
    """One kind of picture that is no slice of a CT: its name, one and many, and how it is told."""

    one: str
    many: str
    told: Callable[[Picture], bool]


def choose(pictures: Sequence[Picture], where: Path) -> list[Stack]:
    """Return the CT series among the pictures of a folder, in the order of their names.

    Raises DatasetError where none remains.
    """
    kept = list(pictures)
    notes: list[str] = []
    modalities = sorted({_modality(p) for p in kept} - {"CT"})
    others = [_Rule(f"{m} image", f"{m} images", _of_modality(m)) for m in modalities]
    for rule in [*others, *RULES]:
        kept = _leave_out(kept, rule.told, rule, notes)
    for rule, told in (
        (SECONDARY, _is_secondary), (ASIDE, _is_not_axial), (UNPLACED, _is_unplaced),
    ):  # fmt: skip
        if any(_is_volume(group) for group in _groups([p for p in kept if not told(p)])):
            kept = _leave_out(kept, told, rule, notes)
    kept = _leave_out_standing(kept, notes)
    if not kept:
        raise DatasetError(
            where, found="nothing but " + ", ".join(notes), expected="a series of CT slices",
            fix="check the folder; fetch the original axial series",
        )  # fmt: skip
    for note in notes:
        log.warning("left out %s in %s", note, where)
    return stacks_of(_groups(kept))


def _of_modality(name: str) -> Callable[[Picture], bool]:
    return lambda picture: _modality(picture) == name


def _modality(picture: Picture) -> str:
    value = str(picture.get("Modality") or "").strip().upper()
    return value if value == "CT" or value in MODALITIES else "other"


def _tokens(picture: Picture) -> set[str]:
    """Return the words of ImageType from its third value on."""
    return {word for value in picture.kind[2:] for word in value.replace("\\", " ").split()}


def _is_secondary(picture: Picture) -> bool:
    return picture.kind[:1] == ("DERIVED",) and picture.kind[1:2] != ("PRIMARY",)


def _is_reformat(picture: Picture) -> bool:
    return picture.kind[:1] == ("DERIVED",) and bool(_tokens(picture) & REFORMATS)


def _is_other_class(picture: Picture) -> bool:
    return picture.get("SOPClassUID") not in (*SINGLE_FRAME, *MULTI_FRAME)


RULES: Final = (
    _Rule("image of another storage class than CT", "images of another storage class than CT",
          _is_other_class),
    _Rule("colour picture", "colour pictures", lambda p: p.pixels.samples != 1),
    _Rule("localizer", "localizers", lambda p: bool(_tokens(p) & SCOUTS)),
    _Rule("derived image", "derived images", _is_reformat),
)  # fmt: skip
SECONDARY: Final = _Rule("derived image", "derived images", _is_secondary)


def _is_not_axial(picture: Picture) -> bool:
    normal = picture.normal
    return normal is not None and int(np.argmax(np.abs(normal))) != 2


def _is_unplaced(picture: Picture) -> bool:
    return picture.place is None and "PRIMARY" not in picture.kind[1:2]


ASIDE: Final = _Rule(
    "image of another orientation than the axial stack",
    "images of another orientation than the axial stack",
    _is_not_axial,
)
UNPLACED: Final = _Rule("image without a place", "images without a place", _is_unplaced)
STANDING: Final = "images of a series that stays at one place"


def _groups(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Return pictures by series, in the order in which the series are met."""
    found: dict[str, list[Picture]] = {}
    for picture in pictures:
        found.setdefault(str(picture.get("SeriesInstanceUID") or ""), []).append(picture)
    return list(found.values())


def _is_volume(group: Sequence[Picture]) -> bool:
    """Tell whether pictures lie at two places at least."""
    places = [picture.place for picture in group if picture.place is not None]
    return bool(places) and max(places) - min(places) >= DUPLICATE_MM


def _leave_out(
    kept: Sequence[Picture], told: Callable[[Picture], bool], rule: _Rule, notes: list[str]
) -> list[Picture]:
    out = [picture for picture in kept if told(picture)]
    if out:
        notes.append(_note(out, rule.one, rule.many))
    return [picture for picture in kept if not told(picture)]


def _leave_out_standing(kept: list[Picture], notes: list[str]) -> list[Picture]:
    """Leave out the series that stay at one place (a bolus test), where another series moves on."""
    groups = _groups(kept)
    moving = [group for group in groups if _is_volume(group)]
    out = [p for group in groups if not _is_volume(group) and _placed(group) for p in group]
    if not moving or not out:
        return kept
    notes.append(_note(out, "image of a series that stays at one place", STANDING))
    gone = {id(picture) for picture in out}
    return [picture for picture in kept if id(picture) not in gone]


def _placed(group: Sequence[Picture]) -> bool:
    return all(picture.place is not None for picture in group)


def _note(out: Sequence[Picture], one: str, many: str) -> str:
    return f"{len(out)} {one if len(out) == 1 else many} such as {out[0].entry.shown}"
