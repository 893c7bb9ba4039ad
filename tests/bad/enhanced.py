"""Bad enhanced CT images: one file of many frames."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pydicom

from tests.bad.dicom import setting, without
from tests.bad.kind import Bad, Maker, file_of
from tests.layouts import small_scan
from vertebra_ml.readers.dicom_writer import write_enhanced

DCM: Final = ".dcm"


@cache
def whole() -> bytes:
    """Return a good image of twelve frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        write_enhanced(path, small_scan(), seed="scan")
        return path.read_bytes()


def enhanced(change: Callable[[Any], object]) -> Maker:
    """Return a maker of the image with some of its elements changed."""

    def make(folder: Path) -> Path:
        path = folder / f"{folder.name}{DCM}"
        path.write_bytes(whole())
        data = pydicom.dcmread(path)
        change(data)
        data.save_as(path, enforce_file_format=True)
        return path

    return make


def frames(data: Any) -> Any:
    return data.PerFrameFunctionalGroupsSequence


def at_one_place(data: Any) -> None:
    first = frames(data)[0].PlanePositionSequence
    for frame in frames(data):
        frame.PlanePositionSequence = first


def one_missing(data: Any) -> None:
    """Take one frame out of the middle, its pixels and its place."""
    size = data.Rows * data.Columns * 2
    del frames(data)[5]
    data.PixelData = data.PixelData[: 5 * size] + data.PixelData[6 * size :]
    data.NumberOfFrames = 11


def no_place(data: Any) -> None:
    for frame in frames(data):
        del frame.PlanePositionSequence


ENHANCED: Final = {
    "an enhanced image cut": Bad(file_of(lambda: whole()[:-900], DCM), "cut short"),
    "an enhanced image cut in its header": Bad(file_of(lambda: whole()[:1500], DCM), "found"),
    "more frames claimed": Bad(enhanced(setting(NumberOfFrames=13)), "found"),
    "a billion frames claimed": Bad(enhanced(setting(NumberOfFrames=10**9)), "found"),
    "fewer groups than frames": Bad(enhanced(lambda d: frames(d).pop()), "found"),
    "no groups of frames": Bad(enhanced(without("PerFrameFunctionalGroupsSequence")), "found"),
    "no shared groups": Bad(enhanced(without("SharedFunctionalGroupsSequence")), "found"),
    "all frames at one place": Bad(enhanced(at_one_place), "found"),
    "frames without a place": Bad(enhanced(no_place), "ImagePositionPatient|place|position"),
    "a frame missing": Bad(enhanced(one_missing), "1 missing"),
    "an enhanced MR": Bad(enhanced(setting(Modality="MR")), "MR"),
    "one frame": Bad(enhanced(setting(NumberOfFrames=1)), "found"),
}  # fmt: skip
