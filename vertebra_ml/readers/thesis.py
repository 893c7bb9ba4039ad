"""MIP archives as the thesis code publishes them (dittohed/vertebrae-slice-detection).

Its preparation writes ``imgs_f``, ``imgs_s``, ``v_levels``, ``ids`` and ``thicks`` of a whole data
set; its loader writes ``x``, ``y``, ``ids`` and ``thicks`` of one view and one level. Pictures are
(row, col) at 1 mm, row 0 = head, in HU; pictures of different shapes make an object array, which
is a pickle (see ``npy``). ``thicks`` are the slices' thicknesses in mm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.errors import DatasetError
from vertebra_ml.mip import Image
from vertebra_ml.readers.npz import FAULTS, Members, members, opened, read_member
from vertebra_ml.volume import AIR_HU

LEVELS: Final = ("T12", "L3")
"""What a row of ``v_levels`` names, in its order."""

PUBLISHED: Final = frozenset({"imgs_f", "ids", "thicks"})
LOADED: Final = frozenset({"x", "ids", "thicks"})
PIXELS_MAX: Final = 4096 * 4096

ENTRIES_MAX: Final = 100_000
ABSENT: Final = -1
UNASKED_ENTRIES: Final = 8
"""Where so many entries and all others lack a level, nobody looked for it: of 1,006 abdominal scans
in the thesis, annotated for L3 only, every one says -1 for T12."""

NO_BODY_HU: Final = -300
"""A line through a body meets skin or fat: a maximum below this crossed none (-1000 there)."""
HIGHEST_HU: Final = 3071
GREY_MAX: Final = 255
WINDOW_HU: Final = (100.0, 1500.0)
"""What the thesis's loader maps to 0..255 before it saves ``x``; all below is 0."""
THICK_MIN_MM: Final = 0.01
THICK_MAX_MM: Final = 50.0


@dataclass(frozen=True, eq=False)
class Entry:
    """One scan of an archive.

    Parameters
    ----------
    frontal : (row, col) int16 HU at 1 mm, row 0 = head, column 0 = the patient's right.
    sagittal : the same rows, column 0 = the patient's front; None where the archive has none.
    thickness_mm : of the scan's slices.
    rows : the row of each level that was labelled.
    absent : levels that were looked for and are not in the scan.
    labelled : whether the archive holds labels at all.
    """

    frontal: Image
    sagittal: Image | None
    thickness_mm: float
    rows: Mapping[str, float]
    absent: tuple[str, ...]
    labelled: bool


Content = tuple[Entry | DatasetError, ...]


def is_thesis(names: frozenset[str]) -> bool:
    """Tell by the names of its arrays whether an .npz means to be an archive of the thesis."""
    return "ids" in names and bool(names & {"imgs_f", "imgs_s", "x"})


def members_of(source: Path | bytes, name: str) -> frozenset[str]:
    """Return the names of the arrays in an .npz, unread. Raises DatasetError naming the file."""
    try:
        with opened(source) as file:
            return frozenset(members(file))
    except FAULTS as error:
        raise unlike(_where(source, name), error) from None


def read_ids(source: Path | bytes, name: str) -> tuple[str, ...]:
    """Return the ids of an archive's entries, reading nothing else of it. Raises DatasetError."""
    try:
        with opened(source) as file:
            infos = members(file)
            if not (infos.keys() >= PUBLISHED or infos.keys() >= LOADED):
                raise ValueError(f"the arrays {', '.join(sorted(infos))}"[:120])
            ids = read_member(file, infos, "ids").ravel()
            if not 1 <= len(ids) <= ENTRIES_MAX:
                raise ValueError(f"{len(ids):,} ids")
            return tuple(str(each) for each in ids)
    except FAULTS as error:
        raise unlike(_where(source, name), error) from None


def read_entry(path: Path, place: int) -> Entry:
    """Return one entry. The archive is read once for all of its entries, and the last one kept.

    Raises DatasetError for an archive that is not one, or for what is wrong with this entry.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise unlike(path, error) from None
    return pick(_kept(path, status.st_mtime_ns, status.st_size), place)


def pick(content: Content | DatasetError, place: int) -> Entry:
    """Return an entry of what was read; raise what is wrong with it."""
    entry = content if isinstance(content, DatasetError) else content[place]
    if isinstance(entry, DatasetError):
        raise entry
    return entry


@lru_cache(maxsize=1)
def _kept(path: Path, changed: int, size: int) -> Content | DatasetError:
    return read_entries(path, path.name)


def read_entries(source: Path | bytes, name: str) -> Content | DatasetError:
    """Read a whole archive; what is wrong with it, or with an entry, stands in its place."""
    where = _where(source, name)
    try:
        with opened(source) as file:
            return _entries(file, where, name)
    except FAULTS as error:
        return unlike(where, error)


def _entries(file: ZipFile, where: object, name: str) -> Content:
    infos = members(file)
    count = len(read_member(file, infos, "ids").ravel())
    thick = _per_entry(read_member(file, infos, "thicks").ravel(), count, "thicks")
    rows, absent = _labels(file, infos, count, name)
    # One view after the other: the raw content of both is never in memory together.
    views = []
    for key in ("imgs_f", "imgs_s") if "imgs_f" in infos else ("x", ""):
        array = _per_entry(read_member(file, infos, key), count, key) if key in infos else None
        views.append(
            [None] * count if array is None else [_tried(each, where, key) for each in array]
        )
    labelled = bool(infos.keys() & {"v_levels", "y"})
    return tuple(
        _entry(where, views[0][i], views[1][i], thick[i], (rows[i], absent[i], labelled))
        for i in range(count)
    )


def _entry(where: object, frontal: Any, sagittal: Any, thick: Any, labels: Any) -> Any:
    for view in (frontal, sagittal):
        if isinstance(view, DatasetError):
            return view
    if sagittal is not None and len(sagittal) != len(frontal):
        return unlike(where, f"views of {len(frontal)} and {len(sagittal)} rows")
    number = isinstance(thick, int | float | np.number)
    if not number or not THICK_MIN_MM <= thick <= THICK_MAX_MM:
        return unlike(where, "a slice thickness that is no length in mm")
    return Entry(frontal, sagittal, float(thick), *labels)


def _tried(picture: Any, where: object, key: str) -> Image | DatasetError:
    try:
        return hounsfield(picture, windowed=key == "x")
    except (ValueError, TypeError) as error:
        return unlike(where, error)


def hounsfield(picture: Any, *, windowed: bool = False) -> Image:
    """Return a picture of the thesis as int16 HU, ``AIR_HU`` where no body was crossed.

    ``windowed`` admits what the thesis's loader saves: floats 0..255 that stand for 100..1500 HU.
    Where those are 0 there was no bone; whether there was a body is lost, and it becomes
    ``AIR_HU``. Raises ValueError for what is no picture, and for grey values.
    """
    if not isinstance(picture, np.ndarray):
        raise ValueError("an entry that is no picture")  # noqa: TRY004  # one type for all faults
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if picture.ndim != 2 or not 1 <= picture.size <= PIXELS_MAX:
        raise ValueError(f"a picture of shape {picture.shape}")
    if picture.dtype == object and all(type(v) in (int, float) for v in picture.flat):
        picture = picture.astype(np.float64)
    if picture.dtype.kind not in "iuf" or picture.dtype.itemsize == 1:
        raise ValueError(f"a picture of type {picture.dtype}, which can hold no HU")
    if not np.isfinite(picture).all():
        raise ValueError("a picture with NaN or infinity")
    values = picture.astype(np.float64)
    if values.min() >= 0 and values.max() <= GREY_MAX:
        if not windowed or picture.dtype.kind != "f":
            raise ValueError(f"grey values 0 to {GREY_MAX} in a picture of {picture.dtype}")
        low, high = WINDOW_HU
        values = np.where(values > 0, low + values / GREY_MAX * (high - low), AIR_HU)
    values = np.where(values < NO_BODY_HU, AIR_HU, values)
    whole: Image = np.rint(values.clip(AIR_HU, HIGHEST_HU)).astype(np.int16)
    return whole


def _labels(
    file: ZipFile, infos: Members, count: int, name: str
) -> tuple[list[dict[str, float]], list[tuple[str, ...]]]:
    """Return the rows of the labelled levels and the absent ones, entry by entry."""
    rows: list[dict[str, float]] = [{} for _ in range(count)]
    absent: list[tuple[str, ...]] = [() for _ in range(count)]
    for level, column in _columns(file, infos, count, name).items():
        asked = count < UNASKED_ENTRIES or bool((column != ABSENT).any())
        for place, row in enumerate(column):
            if row != ABSENT:
                rows[place][level] = float(row)
            elif asked:
                absent[place] = (*absent[place], level)
    return rows, absent


def _columns(
    file: ZipFile, infos: Members, count: int, name: str
) -> dict[str, NDArray[np.float64]]:
    """Return (count,) rows of each level that the archive speaks of."""
    key = next((key for key in ("v_levels", "y") if key in infos), None)
    if key is None:
        return {}
    table = _per_entry(read_member(file, infos, key), count, key)
    if table.dtype == object:  # a row an item, or a number an item
        table = np.array([np.asarray(each).tolist() for each in table])
    if table.dtype.kind not in "iuf":
        raise ValueError(f"{key} of type {table.dtype}")
    table = table.astype(np.float64)
    if table.shape == (count, len(LEVELS)):
        return dict(zip(LEVELS, table.T, strict=True))
    named = [level for level in LEVELS if level.lower() in name.lower()]
    if table.size != count or len(named) != 1:
        raise ValueError(f"{key} of shape {table.shape} and a file name that tells no one level")
    return {named[0]: table.ravel()}


def _per_entry(array: NDArray[Any], count: int, key: str) -> NDArray[Any]:
    if array.ndim < 1 or len(array) != count:
        raise ValueError(f"{key} of shape {array.shape} for {count} ids")
    return array


def _where(source: Path | bytes, name: str) -> object:
    return source if isinstance(source, Path) else name


def unlike(where: object, error: object) -> DatasetError:
    """Return the error of a file that is no archive, with what was found in one line."""
    text = " ".join(str(error).strip("'\"").split()) or type(error).__name__
    # Names in a foreign zip may hold what a terminal would obey.
    text = "".join(sign if sign.isprintable() else "?" for sign in text)
    return DatasetError(
        where,
        found=text[:200],
        expected="a MIP archive of ours, or of the thesis: imgs_f, imgs_s, v_levels, ids, thicks",
        fix="project the scans with `vertebra-ml mips`; docs/data.md tells what is read",
    )
