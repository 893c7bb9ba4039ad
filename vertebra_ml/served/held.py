"""A file below the root, held open while it is read: what is put in its place meanwhile is not.

A path is checked, and then opened by its name by whichever reader it is for. Somebody who may write
below the root could put a link there in between. So every folder on the way and the file itself are
opened one by one, no link followed, and readers get links to what is open.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

OPEN_FILES: Final = Path("/proc/self/fd")
SIDECARS: Final = (".yaml", ".yml")
DICOM: Final = slice(128, 132)
NAME_BYTES_MAX: Final = 255  # of any file system


@contextmanager
def held(root: Path, file: Path) -> Iterator[Path]:
    """Yield a path of the same name, in a folder of the same name, to what lies at ``file`` now.

    ``file`` lies below ``root`` once links are resolved; of a ``.raw`` the sidecar comes along.
    Nothing lies at the path where there is nothing, nothing that may be read, or a link that has
    come into the way since it was checked. ``file`` itself is yielded for a single DICOM file, and
    where a system cannot tell what is open.
    """
    if not OPEN_FILES.is_dir():
        yield file
        return
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="vertebra-ml-")))
        name = file.parent.name
        fits = 0 < len(os.fsencode(name)) <= NAME_BYTES_MAX  # else nothing lies there either
        folder = scratch / (name if fits else "root")
        folder.mkdir()
        beside = [file.with_suffix(each) for each in SIDECARS if file.suffix.lower() == ".raw"]
        for each in (file, *beside):
            descriptor = _opened(root, each)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                # By number, not as self: a reader may be a process of its own.
                (folder / each.name).symlink_to(f"/proc/{os.getpid()}/fd/{descriptor}")
        # One DICOM file is read as of its folder, where its reader looks for links by itself.
        yield file if _is_dicom(folder / file.name) else folder / file.name


def _is_dicom(path: Path) -> bool:
    if not os.path.isfile(path):  # noqa: PTH113  False, no error, for a name that no disk takes
        return False
    with path.open("rb") as opened:
        return path.suffix.lower() == ".dcm" or opened.read(DICOM.stop)[DICOM] == b"DICM"


def _opened(root: Path, file: Path) -> int | None:
    """Open a file or folder below ``root`` from there on, following no link."""
    parts = file.relative_to(root).parts
    with ExitStack() as stack:
        place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number, name in enumerate(parts):
                stack.callback(os.close, place)
                last = number == len(parts) - 1
                kind = os.O_NONBLOCK if last else os.O_DIRECTORY  # a pipe would be waited for
                place = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=place)
        except OSError:  # not there, not to be read, or a link by now
            return None
    return place
