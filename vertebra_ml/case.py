"""One scan of a data set: who it is, where it lies, and how to open it when it is needed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.volume import Source, Volume

ID_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Case:
    """A scan that is opened only when asked.

    Parameters
    ----------
    id : unique within a data set; letters, digits, ``.``, ``_`` and ``-``, since it names
        files.
    patient : whose scan it is; scans of one patient never part company in a split.
    source : the file or folder, for messages.
    layout : the data set's layout.
    open_volume : reads the CT; None where the case is a MIP archive.
    open_truth : reads the labels; None where there are none.
    open_mips : reads ready MIPs and the grid of the scan they came from; None for a CT.

    The three are plain functions or partials of such, so that a case can cross processes.
    """

    id: str
    patient: str
    source: Path
    layout: str
    open_volume: Callable[[], Volume] | None = None
    open_truth: Callable[[], Truth | None] | None = None
    open_mips: Callable[[], tuple[MipPair, Source]] | None = None

    def __post_init__(self) -> None:
        check_id(self.id, self.source)
        check_id(self.patient, self.source)

    def truth(self) -> Truth | None:
        """Read the labels; None where the case has none. Raises DatasetError."""
        return self.open_truth() if self.open_truth else None


def check_id(name: str, where: object) -> str:
    """Return ``name`` if it can be an id of a case or patient; raise DatasetError otherwise."""
    if not ID_PATTERN.fullmatch(name):
        raise DatasetError(
            where,
            found=f"the id {name[:80]!r}",
            expected="letters, digits, dot, underscore and hyphen, the first a letter or digit",
            fix="rename it",
        )
    return name


def safe_id(name: str) -> str:
    """Return ``name`` with every run of characters that an id cannot hold made one ``_``."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._-")[:200].rstrip("_")
    return cleaned or "case"
