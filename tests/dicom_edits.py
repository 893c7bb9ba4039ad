"""Changes made to DICOM files, to see what becomes of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom

Edit = Callable[[Any], None]


def edit(path: Path, change: Edit) -> None:
    """Change one file in place."""
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path, enforce_file_format=True)


def setting(**values: Any) -> Edit:
    """Return a change that sets elements by keyword."""

    def change(data: Any) -> None:
        for keyword, value in values.items():
            setattr(data, keyword, value)

    return change


def without(keyword: str) -> Edit:
    """Return a change that removes one element."""
    return lambda data: delattr(data, keyword)
