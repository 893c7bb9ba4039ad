"""Doors in: CT files and data sets of any known layout become cases in RAS+ mm and HU.

Nothing here opens an image before it is asked to; each format's package is imported on first use.
"""

from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.readers.given import open_case, open_cases, open_contents
from vertebra_ml.readers.scans import VOXELS_MAX, open_volume

__all__ = [
    "LAYOUTS",
    "VOXELS_MAX",
    "find",
    "open_case",
    "open_cases",
    "open_contents",
    "open_volume",
]

Finder = Callable[..., list[Case]]

LAYOUTS: Final[dict[str, str]] = {
    "dicom": "vertebra_ml.readers.dicom_layout:find",
    "glocker": "vertebra_ml.readers.glocker:find",
    "masks": "vertebra_ml.readers.masks:find",
    "plain": "vertebra_ml.readers.plain:find",
    "raw": "vertebra_ml.readers.raw:find",
    "sarcopenia": "vertebra_ml.readers.sarcopenia:find",
    "verse": "vertebra_ml.readers.verse:find",
}
"""Name of a data set's layout -> ``module:function`` with ``find(root, *, voxels_max)``."""


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


def _check_unique(root: Path, cases: list[Case]) -> None:
    repeated = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    if repeated:
        raise DatasetError(
            root,
            found=f"more than one case named {', '.join(sorted(repeated)[:5])}",
            expected="ids that are unique",
            fix="rename the files or folders",
        )
