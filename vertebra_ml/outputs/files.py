"""Files written whole or not at all, and what to say where the disk refuses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vertebra_ml.errors import DatasetError


def replace_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, and its folder, in one step; see ``replace_bytes``."""
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file, and its folder, in one step: a reader sees the old, the new or none.

    Raises DatasetError where it cannot be written; nothing of it is left then.
    """
    unfinished = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            os.replace(unfinished, path)  # noqa: PTH105 - one atomic step
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def check_folder(folder: Path) -> None:
    """Make a folder for results. Raises DatasetError where it cannot be made or written to."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk says while ``path`` is written into a DatasetError."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            path,
            found=f"results that cannot be written ({error.strerror or error})",
            expected="a folder with room and permission",
            fix="free space, or choose another folder",
        ) from error
