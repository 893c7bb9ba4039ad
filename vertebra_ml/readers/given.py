"""Scans given one by one, by path or as bytes, become cases: one file can hold several."""

import logging
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.notes import heard
from vertebra_ml.readers.roots import check_within
from vertebra_ml.readers.scans import VOXELS_MAX, open_volume
from vertebra_ml.volume import Volume

log = logging.getLogger(__name__)
ENDINGS: Final = (".nii.gz", ".nii", ".raw", ".zip", ".npz", ".dcm")
PAIRS: Final = (".hdr", ".img")
DICOM_MAGIC: Final = (b"DICM", 128, 132)


def open_case(path: Path, *, voxels_max: int = VOXELS_MAX) -> Case:
    """Make the one case of a path, as `open_cases` does.

    Raises VertebraError where nothing lies at ``path``, its kind is not known, its headers are
    broken, or it holds several cases.
    """
    cases = _cases_at(Path(path), voxels_max=voxels_max)
    if len(cases) > 1:
        raise DatasetError(
            path,
            found=f"{len(cases)} cases: {', '.join(case.id for case in cases[:5])}",
            expected="one",
            fix="keep one of them there, or put each in its own folder",
        )
    return cases[0]


def open_cases(paths: Iterable[Path], *, voxels_max: int = VOXELS_MAX) -> list[Case]:
    """Make cases of the paths, for a batch that outlives its bad scans; no voxel is read yet.

    A path is a NIfTI file, a ``.raw`` with its sidecar, a DICOM folder, file or zip (each CT series
    is a case, NAME-s3 where there are several), or a MIP archive, ours or the thesis's (each entry
    is a case). The id comes from the name; a scan named ``ct`` takes the name of the folder around
    it. Two paths may give one id: `intake.expand` tells them apart.

    A path that cannot be a scan becomes a case that raises its error when opened.
    """
    return [case for path in paths for case in _or_fault(Path(path), voxels_max=voxels_max)]


def open_contents(content: bytes, name: str, *, voxels_max: int = VOXELS_MAX) -> list[Case]:
    """Make cases of the bytes of a NIfTI or DICOM file, a zip of DICOM, or a MIP archive.

    Nothing touches disk. Ids come from ``name``, as with `open_cases`; so do faults.
    """
    case = safe_id(name)
    try:
        return _cases_of(content, name, case, voxels_max=voxels_max)
    except VertebraError as error:
        return [_failing(case, Path(name), error)]


def case_name(path: Path) -> str:
    """Return an id made of a scan's name; one named ``ct`` takes its folder's name."""
    path = path.absolute()
    name = path.name
    for ending in ENDINGS:
        if name.lower().endswith(ending) and _exists(path) and path.is_file():
            name = name[: -len(ending)]
            break
    return safe_id(path.parent.name if name == "ct" else name)


def _or_fault(path: Path, *, voxels_max: int) -> list[Case]:
    try:
        return _cases_at(path, voxels_max=voxels_max)
    except VertebraError as error:
        return [_failing(case_name(path), path, error)]


def _failing(name: str, source: Path, error: VertebraError) -> Case:
    return Case(name, name, source, "scan", partial(_fail, error))


def _fail(error: VertebraError) -> Volume:
    raise error


def _cases_at(path: Path, *, voxels_max: int) -> list[Case]:
    if not _exists(path):
        raise DatasetError(
            path, found="nothing at that path", expected="a scan", fix="check the path"
        )
    name = case_name(path)
    if path.is_dir():
        inner = _ct_in(path)
        if inner is not None:
            return _cases_at(check_within(path, inner), voxels_max=voxels_max)
        return series_cases(path, path, name, voxels_max=voxels_max)
    ending = _ending(path)
    if ending == ".npz":
        return _archive_cases(path, path, name)
    if ending == ".zip":
        return series_cases(path, path, name, voxels_max=voxels_max)
    if ending == ".dcm":
        return [_of_one_file(path, name, voxels_max=voxels_max)]
    return [Case(name, name, path, "scan", partial(open_volume, path, voxels_max=voxels_max))]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file system takes
        return False


def _ending(path: Path) -> str:
    """Return which of ENDINGS a file has; ``.dcm`` for what starts as DICOM, whatever its name."""
    ending = next((each for each in ENDINGS if path.name.lower().endswith(each)), "")
    if ending or is_dicom(path):
        return ending or ".dcm"
    pair = path.suffix.lower() in PAIRS
    raise DatasetError(
        path,
        found=f"a file that ends in {path.suffix or 'nothing'!r}"
        + (": header and image in two files" if pair else ""),
        expected=f"a DICOM folder or a file that ends in {', '.join(ENDINGS)}",
        fix="convert it to .nii.gz" if pair else "convert it, or name it after what it holds",
    )


def is_dicom(path: Path) -> bool:
    """Whether a file starts as a DICOM file does; what cannot be read does not."""
    magic, start, stop = DICOM_MAGIC
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(stop)[start:] == magic
    except OSError:
        return False


def _ct_in(folder: Path) -> Path | None:
    """Return the one scan of a ``plain`` case folder; None where the folder is DICOM itself."""
    from vertebra_ml.readers.plain import scans_in

    scans = scans_in(folder)
    return scans[0] if len(scans) == 1 else None


def _of_one_file(path: Path, name: str, *, voxels_max: int) -> Case:
    """Make a case of one DICOM file: all frames of an enhanced CT, say."""
    from vertebra_ml.readers.dicom import Series, read_folder

    only = Series("", (path.name,))
    opener = partial(read_folder, path.parent, series=only, voxels_max=voxels_max)
    return Case(name, name, path, "scan", opener)


def series_cases(source: Path | bytes, where: Path, name: str, *, voxels_max: int) -> list[Case]:
    """Make a case of each CT series of a folder, of a zip, or of a zip's bytes."""
    from vertebra_ml.readers.dicom import read_folder, read_zip, series_in

    with heard() as notes:
        found = series_in(source, where, voxels_max=voxels_max)
    if isinstance(source, Path) and source.is_dir():
        reader = partial(read_folder, source, voxels_max=voxels_max)
    else:
        reader = partial(read_zip, source, where, voxels_max=voxels_max)
    return [
        Case(
            f"{name}-{series.name}" if series.name else name,
            name,
            where,
            "scan",
            partial(_saying, tuple(notes), partial(reader, series=series)),
        )
        for series in found
    ]


def _saying(notes: tuple[str, ...], reader: Callable[[], Volume]) -> Volume:
    """Say again what was said of the whole folder, so that each of its series' answers tells it."""
    for note in notes:
        log.warning("%s", note)
    return reader()


def _archive_cases(source: Path | bytes, where: Path, name: str) -> list[Case]:
    """Make a case of each entry of a MIP archive; one of ours is named as the file is."""
    from vertebra_ml.readers import sarcopenia, thesis

    cases = sarcopenia.cases_in(source, where.name)
    if thesis.is_thesis(thesis.members_of(source, where.name)):
        return cases
    return [replace(case, id=name) for case in cases]


def _cases_of(content: bytes, name: str, case: str, *, voxels_max: int) -> list[Case]:
    from vertebra_ml.readers.nifti import read_volume

    where = Path(name)
    magic, start, stop = DICOM_MAGIC
    if content[start:stop] == magic:
        return series_cases(_zipped(content), where, case, voxels_max=voxels_max)
    if not content.startswith(b"PK"):
        opener = partial(read_volume, content, where, voxels_max=voxels_max)
        return [Case(case, case, where, "content", opener)]
    if _holds_arrays(content):
        return _archive_cases(content, where, case)
    return series_cases(content, where, case, voxels_max=voxels_max)


def _zipped(content: bytes) -> bytes:
    """Return a zip of one DICOM file: the door that bytes of DICOM come through."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("scan.dcm", content)
    return archive.getvalue()


def _holds_arrays(content: bytes) -> bool:
    """Whether a zip holds arrays and nothing else, as MIP archives do; a broken one does not."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)
