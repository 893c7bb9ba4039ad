"""DICOM series, as a folder or a zip of some, to volumes in HU.

Files are told by their content, not their name. Headers are read first, pixels only when the series
is known to be one CT on a straight grid. A zip is read in memory; nothing is unpacked to disk.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.readers.dicom_choice import choose
from vertebra_ml.readers.dicom_files import Entry, folder_entries, zip_entries
from vertebra_ml.readers.dicom_header import pictures_in
from vertebra_ml.readers.dicom_pixels import read_slices
from vertebra_ml.readers.dicom_series import Grid, arrange
from vertebra_ml.readers.dicom_stacks import Stack, slice_of
from vertebra_ml.readers.dicom_tilt import straightened
from vertebra_ml.volume import Source, Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """One CT series of a folder or archive.

    Parameters
    ----------
    name : ``s3`` from its SeriesNumber, ``s3-1`` where that repeats or is missing; empty where it
        is the only one. Never a UID.
    files : its files, relative to the folder or archive.
    part : which of the stacks in these very files it is, from 0.
    """

    name: str
    files: tuple[str, ...]
    part: int = 0


def series_in(source: Path | bytes, where: Path, *, voxels_max: int) -> list[Series]:
    """List the CT series of a folder, of a zip, or of a zip's bytes, by their headers alone.

    Localizers, derived images, other modalities and whatever else is no slice of a CT are left out
    with a line in the log. A series whose slices make no grid is listed, and refused when read.

    Raises DatasetError as `read_folder` and `read_zip` for broken files and where no CT is found.
    """
    if isinstance(source, Path) and source.is_dir():
        return _listed(_stacks(folder_entries(source), where))
    with zip_entries(source, where, voxels_max=voxels_max) as entries:
        return _listed(_stacks(entries, where))


def read_folder(folder: Path, *, voxels_max: int, series: Series | None = None) -> Volume:
    """Read one CT series below a folder as a volume in HU; the only one, or that of ``series``.

    Voxels are (column, row, slice), slices in the order of position. Hidden files and those
    that are not DICOM are passed over. Whole HU are kept as int16, held at the ends of its range.

    Raises DatasetError as `dicom_choice.choose` and `dicom_series.arrange` do, for several series
    where none is named, and for files that are broken, compressed by an unknown codec or without
    rescale values; LimitError above ``voxels_max`` voxels and for links out of the folder.
    """
    entries = folder_entries(folder, series.files if series else None)
    return _read(entries, folder, series, voxels_max=voxels_max)


def read_zip(
    source: Path | bytes, where: Path, *, voxels_max: int, series: Series | None = None
) -> Volume:
    """Read one CT series in a zip archive, or in its bytes, in memory; as `read_folder`.

    Raises DatasetError also for a broken or encrypted archive and for entries that would leave it,
    LimitError for one that would expand beyond the size allowed.
    """
    names = series.files if series else None
    with zip_entries(source, where, names, voxels_max=voxels_max) as entries:
        return _read(entries, where, series, voxels_max=voxels_max)


def _listed(stacks: Sequence[Stack]) -> list[Series]:
    met: dict[tuple[str, ...], int] = {}
    found = []
    for stack in stacks:
        part = met.get(stack.files, 0)
        met[stack.files] = part + 1
        found.append(Series(stack.name, stack.files, part))
    return found


def _stacks(entries: Sequence[Entry], where: Path) -> list[Stack]:
    read = [pictures_in(entry, where) for entry in entries]
    pictures = [picture for found in read if found for picture in found]
    if not pictures:
        raise DatasetError(
            where,
            found=f"{len(entries)} files, none a DICOM image" if entries else "no file",
            expected="a DICOM series of CT slices",
            fix="check the path; name a NIfTI file itself",
        )
    return choose(pictures, where)


def _read(
    entries: Sequence[Entry], where: Path, series: Series | None, *, voxels_max: int
) -> Volume:
    stack = _the_one(_stacks(entries, where), series, where)
    grid = arrange([slice_of(picture, where) for picture in stack.pictures], where)
    _check_count(grid.shape, where, voxels_max=voxels_max)
    array = read_slices(grid.order, where)
    if grid.shear is not None:
        log.warning("straightened a gantry tilt of %.1f degrees in %s", grid.shear.degrees, where)
        array = straightened(array, grid.shear)
    return Volume(array, grid.affine, _source(grid))


def _the_one(stacks: Sequence[Stack], series: Series | None, where: Path) -> Stack:
    if series is None and len(stacks) > 1:
        listed = "; ".join(
            f"{stack.name} of {len(stack.pictures)} slices such as {stack.pictures[0].entry.shown}"
            for stack in stacks[:4]
        )
        raise DatasetError(
            where, found=f"{len(stacks)} CT series: {listed}", expected="one",
            fix="name one of them, or put each in its own folder",
        )  # fmt: skip
    part = series.part if series else 0
    if part >= len(stacks):
        raise DatasetError(
            where, found=f"{len(stacks)} CT series", expected=f"the {part + 1}. of those listed",
            fix="run again, and leave the folder alone meanwhile",
        )  # fmt: skip
    return stacks[part]


def _check_count(shape: tuple[int, int, int], where: Path, *, voxels_max: int) -> None:
    count = shape[0] * shape[1] * shape[2]
    if count > voxels_max:
        raise LimitError(
            where,
            found=f"{shape[0]} x {shape[1]} x {shape[2]} = {count:,} voxels",
            expected=f"at most {voxels_max:,}",
            fix="crop the series, or raise limits.voxels_max",
        )


def _source(grid: Grid) -> Source:
    numbers = tuple(n for item in grid.order if (n := item.instance_number) is not None)
    uids = tuple(uid for item in grid.order if (uid := item.sop_instance_uid))
    count = len(grid.order)
    return Source(
        grid.affine,
        grid.shape,
        numbers if len(numbers) == count else None,
        uids if len(uids) == count else None,
    )
