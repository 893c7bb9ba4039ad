"""What a kind of bad input is: how to make one, and what the line about it must say."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOCATE, CONTENT, PATH = "locate", "content", "path"
EVERY_FACE: Final = (LOCATE, CONTENT, PATH)
LABEL: Final = "label"
"""The command `label`, which takes no scans; what is bad there is no scan's kind."""
ON_DISK: Final = (LOCATE, PATH)
"""Faces that see a file system: a request's ``content`` has no neighbours, links or endings."""

Maker = Callable[[Path], Path]


@dataclass(frozen=True)
class Bad:
    """One kind of bad input.

    Parameters
    ----------
    make : writes it into a folder of its own and returns the path to be handed over; what it
        writes is named after that folder, so that every kind has an id of its own.
    words : regular expression that the line must hold.
    faces : where it can be handed over: the command ``locate``, REST's ``content`` and ``path``;
        or the command ``label`` alone.
    content_words : where the line about ``content`` must hold something else.
    """

    make: Maker
    words: str
    faces: tuple[str, ...] = EVERY_FACE
    content_words: str = ""

    def words_of(self, face: str) -> str:
        """Return what the line must hold on ``face``."""
        return self.content_words if face == CONTENT and self.content_words else self.words


def file_of(content: bytes | Callable[[], bytes], ending: str) -> Maker:
    """Return a maker of one file with that content, written as it is."""

    def make(folder: Path) -> Path:
        path = folder / f"{folder.name}{ending}"
        path.write_bytes(content if isinstance(content, bytes) else content())
        return path

    return make
