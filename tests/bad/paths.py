"""Paths that lead nowhere, elsewhere or without end."""

import gzip
import os
from pathlib import Path
from typing import Final

from tests.bad.dicom import series
from tests.bad.kind import LOCATE, ON_DISK, Bad, Maker, file_of
from tests.bad.nifti import whole


def nothing(folder: Path) -> Path:
    return folder / f"{folder.name}.nii.gz"


def dangling(folder: Path) -> Path:
    path = folder / f"{folder.name}.nii.gz"
    path.symlink_to("nowhere.nii.gz")
    return path


def loop(folder: Path) -> Path:
    path = folder / f"{folder.name}.nii.gz"
    path.symlink_to(path.name)
    return path


def pipe(folder: Path) -> Path:
    """A named pipe that nobody writes into: whoever opens it waits for ever."""
    path = folder / f"{folder.name}.nii.gz"
    os.mkfifo(path)
    return path


def endless(folder: Path) -> Path:
    path = folder / f"{folder.name}.nii"
    path.symlink_to("/dev/zero")
    return path


def below_a_file(folder: Path) -> Path:
    file = folder / folder.name
    file.write_text("a file")
    return file / "scan.nii.gz"


def named(name: str) -> Maker:
    """Return a maker of a broken scan under that name."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(gzip.compress(b"not a scan"))
        return path

    return make


def long_name(folder: Path) -> Path:
    return folder / f"{'n' * 300}.nii.gz"


def link_out(folder: Path) -> None:
    """Move one slice elsewhere and leave a link to it."""
    outside = folder.parent.parent.parent / f"outside-{folder.name}.dcm"
    (folder / "slice-0003.dcm").rename(outside)
    (folder / "slice-0003.dcm").symlink_to(outside)


def folder_of_scans(folder: Path) -> Path:
    """A folder of two NIfTI files, where a DICOM series is wanted."""
    place = folder / folder.name
    place.mkdir()
    for name in ("a.nii", "b.nii"):
        (place / name).write_bytes(whole())
    return place


def two_scans(folder: Path) -> Path:
    """A case folder of layout plain with two scans of which nobody says which is meant."""
    place = folder / folder.name
    place.mkdir()
    for name in ("ct.nii", "ct.nii.gz"):
        (place / name).write_bytes(whole())
    return place


NO_UTF8: Final = os.fsdecode(b"caf\xe9.nii.gz")

PATHS: Final = {
    "nothing there": Bad(nothing, "nothing at that path", ON_DISK),
    "a link to nowhere": Bad(dangling, "nothing at that path", ON_DISK),
    "a link to itself": Bad(loop, "found", ON_DISK),
    "a file below a file": Bad(below_a_file, "nothing at that path", ON_DISK),
    "a picture": Bad(
        file_of(b"\x89PNG", ".png"), "a file that ends in '.png'",
        content_words="bytes of another kind",
    ),
    "no ending": Bad(
        file_of(b"text", ""), "a file that ends in '?nothing", content_words="another kind"
    ),
    "a named pipe": Bad(pipe, "found", ON_DISK),
    "a device": Bad(endless, "found", (LOCATE,)),
    "a name of 300 letters": Bad(long_name, "found", ON_DISK),
    "a name with a line break": Bad(named("a\nb.nii.gz"), "does not start as NIfTI", ON_DISK),
    "a name with quotes and commas": Bad(named('a",b;.nii.gz'), "not start as NIfTI", ON_DISK),
    "a name in Cyrillic": Bad(named("скан.nii.gz"), "does not start as NIfTI", ON_DISK),
    "a name that is no UTF-8": Bad(named(NO_UTF8), "does not start as NIfTI", (LOCATE,)),
    "a slice that is a link out of the folder": Bad(series(link_out), "found", ON_DISK),
    "a folder of NIfTI files": Bad(folder_of_scans, "none a DICOM image"),
    "two scans in a case folder": Bad(two_scans, "found", ON_DISK),
}  # fmt: skip
