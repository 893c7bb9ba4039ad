"""Doors in: CT files and data sets of any known layout become cases in RAS+ mm and HU.

Nothing here opens an image before it is asked to; each format's package is imported on first use.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError
from vertebra_ml.mip import MipPair
from vertebra_ml.readers.scans import VOXELS_MAX, open_volume, volume_of_bytes
from vertebra_ml.volume import Source, Volume

__all__ = [
    "LAYOUTS",
    "VOXELS_MAX",
    "find",
    "open_case",
    "open_cases",
    "open_content",
    "open_volume",
]

Finder = Callable[..., list[Case]]

LAYOUTS: Final[dict[str, str]] = {
    "glocker": "vertebra_ml.readers.glocker:find",
    "plain": "vertebra_ml.readers.plain:find",
    "raw": "vertebra_ml.readers.raw:find",
    "verse": "vertebra_ml.readers.verse:find",
}
"""Name of a data set's layout -> ``module:function`` with ``find(root, *, voxels_max)``."""

ENDINGS: Final = (".nii.gz", ".nii", ".zip", ".npz")


def find(root: Path, layout: str, *, voxels_max: int = VOXELS_MAX) -> list[Case]:
    """Find the cases of a data set, sorted by id; no image is opened.

    Raises DatasetError for a root that is no folder or holds no case, an unknown layout, and ids
    that are unfit or not unique. A fault within one case is raised when that case is opened.
    """
    if layout not in LAYOUTS:
        raise DatasetError(
            root,
            found=f"the layout name {layout!r}",
            expected=f"one of {', '.join(sorted(LAYOUTS))}",
            fix="see docs/data.md",
        )
    if not root.is_dir():
        raise DatasetError(
            root,
            found="a file" if root.exists() else "nothing at that path",
            expected=f"a folder of layout {layout}",
            fix="check the path",
        )
    module, function = LAYOUTS[layout].split(":")
    finder: Finder = getattr(import_module(module), function)
    cases = sorted(finder(root, voxels_max=voxels_max), key=lambda case: case.id)
    if not cases:
        raise DatasetError(
            root,
            found="no case",
            expected=f"at least one case of layout {layout}",
            fix="check the path and the layout; docs/data.md shows what each looks like",
        )
    _check_unique(root, cases)
    return cases


def open_case(path: Path, *, voxels_max: int = VOXELS_MAX) -> Case:
    """Make a case of one NIfTI file, DICOM folder, zip of one, or MIP archive; nothing is read yet.

    The id comes from the name; a scan named ``ct`` takes the name of the folder around it.

    Raises DatasetError where nothing lies at ``path`` or its kind is not known.
    """
    path = Path(path)
    if not path.exists():
        raise DatasetError(
            path, found="nothing at that path", expected="a scan", fix="check the path"
        )
    if path.is_dir():
        inner = _ct_in(path)
        if inner is not None:
            return open_case(inner, voxels_max=voxels_max)
    elif not path.name.lower().endswith(ENDINGS):
        raise DatasetError(
            path,
            found=f"a file that ends in {path.suffix or 'nothing'!r}",
            expected=f"a DICOM folder or a file that ends in {', '.join(ENDINGS)}",
            fix="convert it, or name it after what it holds",
        )
    name = case_name(path)
    if path.suffix.lower() == ".npz":
        return Case(name, name, path, "archive", open_mips=partial(_open_mips, path))
    return Case(name, name, path, "scan", partial(open_volume, path, voxels_max=voxels_max))


def open_cases(paths: Iterable[Path], *, voxels_max: int = VOXELS_MAX) -> list[Case]:
    """Make a case of each path as `open_case` does, for a batch that outlives its bad scans.

    A path that cannot be a scan becomes a case that raises its DatasetError when opened. Names
    that occur twice are told apart by the folder around them.

    Raises DatasetError where that does not part them: one scan is given twice.
    """
    cases = [_open_or_fail(Path(path), voxels_max=voxels_max) for path in paths]
    count = Counter(case.id for case in cases)
    cases = [_with_folder(case) if count[case.id] > 1 else case for case in cases]
    _check_unique("the scans given", cases)
    return cases


def _open_or_fail(path: Path, *, voxels_max: int) -> Case:
    try:
        return open_case(path, voxels_max=voxels_max)
    except DatasetError as error:
        name = case_name(path)
        return Case(name, name, path, "scan", partial(_fail, error))


def _fail(error: DatasetError) -> Volume:
    raise error


def _with_folder(case: Case) -> Case:
    name = safe_id(f"{case.source.absolute().parent.name}-{case.id}")
    return replace(case, id=name, patient=name)


def open_content(content: bytes, name: str, *, voxels_max: int = VOXELS_MAX) -> Case:
    """Make a case of the bytes of a NIfTI file or a zipped DICOM folder; nothing touches disk."""
    opener = partial(volume_of_bytes, content, name, voxels_max=voxels_max)
    return Case(safe_id(name), safe_id(name), Path(name), "content", opener)


def case_name(path: Path) -> str:
    """Return an id made of a scan's name; one named ``ct`` takes its folder's name."""
    path = path.absolute()
    name = path.name
    for ending in ENDINGS:
        if name.lower().endswith(ending) and path.is_file():
            name = name[: -len(ending)]
            break
    return safe_id(path.parent.name if name == "ct" else name)


def _ct_in(folder: Path) -> Path | None:
    """Return the one scan of a ``plain`` case folder; None where the folder is DICOM itself."""
    from vertebra_ml.readers.plain import scans_in

    scans = scans_in(folder)
    return scans[0] if len(scans) == 1 else None


def _open_mips(path: Path) -> tuple[MipPair, Source]:
    from vertebra_ml.archive import read_archive

    archive = read_archive(path)
    return archive.pair, archive.source


def _check_unique(where: object, cases: list[Case]) -> None:
    repeated = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    if repeated:
        raise DatasetError(
            where,
            found=f"more than one case named {', '.join(sorted(repeated)[:5])}",
            expected="ids that are unique",
            fix="rename the files or folders",
        )
