"""Layout ``sarcopenia``: MIP archives instead of scans, ours and those of the thesis.

root/.../ANY.npz

An archive of ours is one case and holds its own id, patient, geometry and labels. One of the thesis
(see ``thesis``) is a case an entry, and knows neither where the scan lay nor where its spine is:

- Row r lies at z = -(r + 0.5) mm, so that z = 0 is the upper edge of the picture; x and y are 0 in
  the middle of the pictures. These are millimetres of the picture, not of the scanner.
- Slices are counted from the head, as the thesis does, of its thickness, as many as fill the rows.
- The spine's place is estimated from the brightest columns.
- Where there is no sagittal view it is a band of air: no body, nothing to be seen.
"""

import io
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import Final, cast

import numpy as np

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.archive import ABOUT_BYTES_MAX, Archive, read_archive, write_archive
from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import Image, Mip, MipPair, View
from vertebra_ml.readers import thesis
from vertebra_ml.readers.npz import FAULTS, check_members, members, opened, read_member
from vertebra_ml.readers.roots import check_within, files_below
from vertebra_ml.readers.thesis import Entry
from vertebra_ml.volume import AIR_HU, Source, Volume

LAYOUT: Final = "sarcopenia"
PROJECTION: Final = {"spacing_mm": 1.0, "body_threshold_hu": -300, "slab_mm": 60.0}
"""How ``write`` projects: as the parameters that come with the project do."""

EMPTY_COLUMNS: Final = 60
"""Wide enough that a figure shows a view without anything in it, rather than none."""

BONE_HU: Final = (200.0, 600.0)
"""Window in which columns are compared; below is no bone, above is metal as bright as bone."""
BLUR_MM: Final = 15.0
PULL_MM: Final = 60.0
"""How far from the middle of the body a frontal spine may lie: arms and hips do not count."""
PROCESSES_MM: Final = 20.0
"""From the brightest sagittal column forward to the centres of the bodies. Over 44 phantoms unlike
those it was set on, nine estimates in ten lie within 11 mm (frontal) and 19 mm (sagittal), and the
shipped model's errors stay what they are with the true place (median 1.2 mm, with it 1.4)."""


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of every entry of every ``.npz`` below ``root``, hidden ones left out.

    An archive that cannot be read becomes a case that says so when it is opened. ``voxels_max``
    does not apply: archives have bounds of their own.
    """
    del voxels_max
    cases: list[Case] = []
    for path in files_below(root):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() == ".npz" and not hidden:
            try:
                cases += cases_in(check_within(root, path), path.name)
            except VertebraError as error:
                name = safe_id(path.stem)
                cases.append(Case(name, name, path, LAYOUT, open_mips=partial(_fail, error)))
    return cases


def cases_in(source: Path | bytes, name: str) -> list[Case]:
    """Make a case of each entry of a MIP archive, ours or of the thesis; no picture is read yet.

    ``name`` is the file's. An entry of the thesis is named ARCHIVE_ID, as its own loader does.

    Raises DatasetError naming the file where it is neither, or its ids cannot be read.
    """
    names = thesis.members_of(source, name)
    if not thesis.is_thesis(names):
        return [_ours(source, name)]
    ids = thesis.read_ids(source, name)
    if isinstance(source, Path):
        read = partial(thesis.read_entry, source)
    else:
        read = partial(thesis.pick, thesis.read_entries(source, name))
    stem = safe_id(Path(name).stem)
    cases = _apart([safe_id(f"{stem}_{own}") for own in ids])
    # The loader's archives name the data set in each id, so that one patient stays one.
    patients = [safe_id(own if "x" in names else f"{stem}_{own}") for own in ids]
    where = source if isinstance(source, Path) else Path(name)
    return [
        Case(
            case, patient, where, LAYOUT,
            open_mips=partial(_mips, read, place), open_truth=partial(_truth, read, place),
        )
        for place, (case, patient) in enumerate(zip(cases, patients, strict=True))
    ]  # fmt: skip


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Project a scan and write it as an archive of ours below ``root``; return its path."""
    from vertebra_ml.prepare import project

    path = root / f"{case}.npz"
    pair = project(volume, **PROJECTION)  # type: ignore[arg-type]
    write_archive(path, Archive(case, patient, LAYOUT, pair, volume.origin, truth))
    return path


def _ours(source: Path | bytes, name: str) -> Case:
    """Make the case of an archive of ours by its description alone."""
    try:
        with opened(source) as file:
            infos = members(file)
            if "about" not in infos or infos["about"].file_size > 2 * ABOUT_BYTES_MAX:
                raise ValueError(f"the arrays {', '.join(sorted(infos))}"[:120])
            about = json.loads(read_member(file, infos, "about").tobytes())
            case, patient = str(about["case"]), str(about["patient"])
            labelled = about["truth"] is not None
    except FAULTS as error:
        where = source if isinstance(source, Path) else name
        raise thesis.unlike(where, error) from None
    read = partial(_archive, source, name)
    place = source if isinstance(source, Path) else Path(name)
    return Case(
        safe_id(case), safe_id(patient), place, LAYOUT,
        open_mips=partial(_archived_mips, read),
        open_truth=partial(_archived_truth, read) if labelled else None,
    )  # fmt: skip


def _archive(source: Path | bytes, name: str) -> Archive:
    where = source if isinstance(source, Path) else name
    try:
        with opened(source) as file:
            check_members(file, members(file))
        # It opens what zipfile opens, so bytes need not touch the disk.
        return read_archive(source if isinstance(source, Path) else cast(Path, io.BytesIO(source)))
    except DatasetError as error:
        raise DatasetError(
            where, found=error.found, expected=error.expected, fix=error.fix
        ) from None
    except (*FAULTS, SyntaxError, TokenError) as error:  # the latter two by numpy, of a header
        raise thesis.unlike(where, error) from None


def _archived_mips(read: partial[Archive]) -> tuple[MipPair, Source]:
    archive = read()
    return archive.pair, archive.source


def _archived_truth(read: partial[Archive]) -> Truth | None:
    return read().truth


def _fail(error: VertebraError) -> tuple[MipPair, Source]:
    raise error


def _apart(names: list[str]) -> list[str]:
    """Return the names, with a number behind each that one before it has."""
    held: set[str] = set()
    numbers: Counter[str] = Counter()
    for place, name in enumerate(names):
        while names[place].casefold() in held:
            numbers[name] += 1
            names[place] = f"{name}-{numbers[name] + 1}"
        held.add(names[place].casefold())
    return names


def _mips(read: Callable[[int], Entry], place: int) -> tuple[MipPair, Source]:
    entry = read(place)
    frontal = entry.frontal
    sagittal = entry.sagittal
    if sagittal is None:
        sagittal = np.full((len(frontal), EMPTY_COLUMNS), AIR_HU, dtype=np.int16)
    front, side = _mip(frontal, "frontal"), _mip(sagittal, "sagittal")
    x = float(front.across_of_column(_spine_column(frontal, pull_mm=PULL_MM)))
    y = float(side.across_of_column(_spine_column(sagittal, pull_mm=np.inf)))
    if entry.sagittal is not None:
        y += PROCESSES_MM
    return MipPair(front, side, (x, y)), _source(front, side, entry.thickness_mm)


def _mip(image: Image, view: View) -> Mip:
    return Mip(image, (1.0, 1.0), (-0.5, (image.shape[1] - 1) / 2), view)


def _source(frontal: Mip, sagittal: Mip, thickness_mm: float) -> Source:
    """Return the grid whose voxel axes are the pictures' columns and the slices from the head."""
    affine = np.diag([-1.0, -1.0, -thickness_mm, 1.0])
    affine[:3, 3] = (frontal.origin_mm[1], sagittal.origin_mm[1], -thickness_mm / 2)
    slices = max(1, round(frontal.rows / thickness_mm))
    return Source(affine, (frontal.columns, sagittal.columns, slices))


def _spine_column(image: Image, *, pull_mm: float) -> float:
    """Return the column where most rows are brightest, none far from the body's middle."""
    from scipy import ndimage  # loads slowly, and looking for cases needs none of it

    low, high = BONE_HU
    bone = ndimage.gaussian_filter1d(
        (image.clip(low, high) - low).sum(axis=0), BLUR_MM, mode="constant"
    )
    body = np.flatnonzero((image > AIR_HU).any(axis=0))
    columns = np.arange(image.shape[1])
    middle = (body[0] + body[-1]) / 2 if body.size else columns.mean()
    near = bone * np.exp(-0.5 * ((columns - middle) / pull_mm) ** 2)
    return float(near.argmax()) if near.any() else float(middle)


def _truth(read: Callable[[int], Entry], place: int) -> Truth | None:
    """Return heights of what was labelled; a level that nobody looked for is seen, unlabelled."""
    entry = read(place)
    if not entry.labelled:
        return None
    last = len(entry.frontal) - 1
    points = {}
    for level, row in entry.rows.items():
        if not 0 <= row <= last + 1:
            raise thesis.unlike("v_levels", f"{level} in row {row:g} of {last + 1}")
        # The thesis's own preparation can write one row beyond the last.
        points[level] = (np.nan, np.nan, -(min(row, last) + 0.5))
    return Truth(Landmarks.of(points), _visible(entry))


def _visible(entry: Entry) -> tuple[str, ...]:
    """Return the levels that may be in the scan: none beyond one that is absent beside a label.

    Where T12 is labelled and L3 is absent, the scan ends above L3, and what is further down is
    absent as well; the other way round nothing is above.
    """
    seen = set(LEVELS) - set(entry.absent)
    for level in entry.rows:
        for gone in entry.absent:
            side = RANK[gone] > RANK[level]
            seen -= {name for name in LEVELS if (RANK[name] > RANK[gone]) == side}
    return tuple(name for name in LEVELS if name in seen)
