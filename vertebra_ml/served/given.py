"""A row of a request becomes cases: of what came in ``content``, or lies below the root."""

import base64
import binascii
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError, LimitError, VertebraError
from vertebra_ml.served.held import SIDECARS, held
from vertebra_ml.served.settings import CONTENT, MB, ROOT, Settings

NAME_LENGTH_MAX: Final = 500  # of a row's case or path in messages
MAGICS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b")  # zip, empty zip, gzip
DICOM: Final = slice(128, 132)
NIFTI_MAGIC, NIFTI_MAGICS = slice(344, 347), (b"n+1", b"ni1")  # where a NIfTI-1 header has them
KINDS: Final = "a .nii.gz, .nii or DICOM file, a zipped DICOM folder, or a MIP archive (.npz)"

Row = dict[str, object]


@contextmanager
def cases_of(name: str, row: Row, limits: Settings) -> Iterator[tuple[list[Case], bytes | Path]]:
    """Yield the cases of a row, unread, and where they are: the bytes that came, or a file.

    They can be read inside the block alone.

    Raises DatasetError for a row that is none or holds no scan, LimitError for one beyond
    ``limits``. What is wrong with a scan itself is raised when its case is opened.
    """
    content, path = row["content"], row["path"]
    if (content is None) == (path is None):
        raise DatasetError(
            name,
            found="both content and path" if content is not None else "no content and no path",
            expected="one of the two",
            fix="fill content or path in every row",
        )
    if path is None:
        data = decode(name, content, limits.content_max)
        yield _content_cases(name, data, voxels_max=limits.voxels_max), data
        return
    root, file = below_root(name, str(path), limits.root)
    given = word(row["case"])
    with held(root, file) as open_file:
        yield _path_cases(open_file, given, voxels_max=limits.voxels_max), open_file


def word(value: object) -> str:
    """Return what a caller wrote, cut to a fair length; empty where nothing of it can be seen."""
    text = str(value or "")[:NAME_LENGTH_MAX]
    return text if text.strip() else ""


def below_root(name: str, path: str, root: Path | None) -> tuple[Path, Path]:
    """Return the root and the file that ``path`` means, links resolved.

    Raises LimitError for one elsewhere.
    """
    if root is None:
        raise LimitError(
            name,
            found="a path",
            expected=f"content: this server reads no files ({ROOT} is not set)",
            fix="send the scan in content",
        )
    try:
        file = (root / path).resolve()
        beside = [file.with_suffix(each) for each in SIDECARS if file.suffix.lower() == ".raw"]
        inside = all(each.resolve().is_relative_to(root) for each in (file, *beside))
    except (OSError, ValueError, RuntimeError):  # NUL bytes, endless links, links that change
        inside = False
    if not inside:
        raise LimitError(
            name,
            found="a path outside the folder that this server may read",
            expected="a path below it, after resolving links",
            fix="give it relative to that folder, or send the scan in content",
        )
    return root, file


def in_their_words(error: VertebraError, file: Path, row: Row, root: Path | None) -> VertebraError:
    """Say of the caller's path what was said of our file."""
    texts = {key: str(getattr(error, key)) for key in ("where", "found", "expected", "fix")}
    given = str(row["path"])[:NAME_LENGTH_MAX]
    beside = os.path.dirname(given)  # noqa: PTH120  a path of theirs, in letters
    names = {
        str(file): given,
        f"{file.parent}{os.sep}": f"{beside}/" if beside else "",
        f"{root}{os.sep}": "",
    }
    for ours, theirs in names.items():
        texts = {key: text.replace(ours, theirs) for key, text in texts.items()}
    where = texts.pop("where")
    return type(error)(where, **texts)


def decode(name: str, content: object, most: int) -> bytes:
    """Return the bytes of ``content``; its size is checked before anything is decoded.

    Raises LimitError for more than ``most`` bytes, DatasetError for what holds none.
    """
    if not isinstance(content, str | bytes | bytearray | memoryview):
        raise _not_a_scan(name, f"content of type {type(content).__name__}")
    size = len(content) * 3 // 4 if isinstance(content, str) else len(content)
    if size > most:
        raise LimitError(
            name,
            found=f"a scan of {size / MB:.0f} MB",
            expected=f"at most {most / MB:.0f} MB",
            fix=f"put the scan on shared storage and send its path, or raise {CONTENT}",
        )
    if not isinstance(content, str):
        return bytes(content)
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _not_a_scan(name, "content that is not base64") from error


def _content_cases(name: str, data: bytes, *, voxels_max: int) -> list[Case]:
    """Make cases of what came with the request; what its first bytes say decides how."""
    from vertebra_ml.readers import open_contents

    known = data.startswith(MAGICS) or data[NIFTI_MAGIC] in NIFTI_MAGICS or data[DICOM] == b"DICM"
    if not known:
        raise _not_a_scan(name, "bytes of another kind" if data else "no bytes")
    return open_contents(data, name, voxels_max=voxels_max)


def _path_cases(file: Path, name: str, *, voxels_max: int) -> list[Case]:
    """Make cases of a file or folder; ``name`` takes the place of its own where it is given."""
    from vertebra_ml.readers import open_cases
    from vertebra_ml.readers.given import case_name

    cases, own = open_cases([file], voxels_max=voxels_max), case_name(file)
    ids = [case.id.removeprefix(own) if case.id.startswith(own) else None for case in cases]
    return [
        replace(case, id=safe_id(name + end)) if name and end is not None else case
        for case, end in zip(cases, ids, strict=True)
    ]


def _not_a_scan(name: str, found: str) -> DatasetError:
    return DatasetError(name, found=found, expected=KINDS, fix="send the file as it is on disk")
