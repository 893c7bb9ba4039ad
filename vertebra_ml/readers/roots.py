"""A data set ends at its root: symbolic links that lead out of it are refused, by name.

A data set comes from elsewhere; a link in it could make this machine read any file it can reach.
The root itself may be a link: whoever gave it chose it.
"""

import os
from pathlib import Path

from vertebra_ml.errors import DatasetError, LimitError


def check_within(root: Path, path: Path) -> Path:
    """Return ``path`` if it lies below ``root`` once every link on the way is followed.

    Nothing needs to exist at ``path``. Raises LimitError where it leads out of ``root``, or where
    links lead in a circle.
    """
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a circle of links, by the version of Python
        raise _leads(path, "in a circle") from None
    if not inside:
        raise _leads(path, "out of the folder given")
    return path


def files_below(root: Path) -> list[Path]:
    """Return every file below ``root``, in any depth, sorted.

    A linked folder is not entered: one within the root is met at its own place.

    Raises LimitError for a linked folder that leads out of the root, DatasetError for a folder
    that cannot be read.
    """
    found = []
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        for name in folders:
            if (Path(folder) / name).is_symlink():
                check_within(root, Path(folder) / name)
        found += [Path(folder) / name for name in files]
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise DatasetError(
        error.filename,
        found=f"a folder that cannot be read ({error.strerror})",
        expected="one whose files can be listed",
        fix="check the path and its permissions",
    ) from None


def _leads(path: Path, way: str) -> LimitError:
    return LimitError(
        path,
        found=f"a symbolic link that leads {way}",
        expected="files that lie within it",
        fix="copy what it names there, or give the folder where that lies",
    )
