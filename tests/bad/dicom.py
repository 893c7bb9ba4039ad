"""Bad DICOM folders: slices that are missing, mixed, broken, or no CT at all."""

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.uid import (
    MPEG2MPML,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from tests.bad.kind import Bad, Maker
from tests.dicom_edits import Edit, edit, setting, without
from tests.layouts import dicom_folder

Spoil = Callable[[Path], object]
THIRD: Final = "slice-0003.dcm"


@cache
def whole() -> dict[str, bytes]:
    """Return the files of a good series of twelve slices, by name."""
    with tempfile.TemporaryDirectory() as folder:
        return {path.name: path.read_bytes() for path in dicom_folder(Path(folder)).iterdir()}


def series(spoil: Spoil) -> Maker:
    """Return a maker of a good series that is then spoilt."""

    def make(folder: Path) -> Path:
        place = folder / folder.name
        place.mkdir()
        for name, content in whole().items():
            (place / name).write_bytes(content)
        spoil(place)
        return place

    return make


def every(change: Edit) -> Maker:
    """Return a maker of a series whose files are all changed."""
    return series(lambda folder: [edit(path, change) for path in sorted(folder.iterdir())])


def one(change: Edit) -> Maker:
    """Return a maker of a series of which the third file is changed."""
    return series(lambda folder: edit(folder / THIRD, change))


def bytes_of_third(change: Callable[[bytes], bytes]) -> Maker:
    """Return a maker of a series of which the third file has other bytes."""
    return series(lambda folder: (folder / THIRD).write_bytes(change(whole()[THIRD])))


def only(folder: Path, *kept: str) -> None:
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()


def no_images(folder: Path) -> None:
    only(folder)
    (folder / "notes.txt").write_text("no image here")
    (folder / "picture.jpg").write_bytes(b"\xff\xd8\xff")


def moved(mm: float) -> Edit:
    def change(data: Any) -> None:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y, z + mm]

    return change


def stored_as(kind: str, modality: str) -> Edit:
    """Return a change that makes a file an object of another kind, without pixels."""

    def change(data: Any) -> None:
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = kind
        data.Modality = modality
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(data, keyword)

    return change


def compressed(change: Callable[[bytes], bytes]) -> Edit:
    """Return a change that packs the pixels by RLE and spoils the stream."""

    def act(data: Any) -> None:
        data.compress(RLELossless, generate_instance_uid=False)
        data.PixelData = change(bytes(data.PixelData))

    return act


def named_as(syntax: str) -> Edit:
    """Return a change that says of an RLE stream that it is of another syntax."""

    def act(data: Any) -> None:
        data.compress(RLELossless, generate_instance_uid=False)
        data.file_meta.TransferSyntaxUID = syntax

    return act


def deflated(data: Any) -> None:
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def unlike_rows(folder: Path) -> None:
    """Compressed pixels of another size than each header says."""
    for path in sorted(folder.iterdir()):
        edit(path, lambda data: (named_as(RLELossless)(data), setting(Rows=40)(data)))


def raw_values(**values: str) -> Edit:
    """Return a change that sets decimal strings which are no numbers, past pydicom's checks."""

    def change(data: Any) -> None:
        for keyword, value in values.items():
            element = pydicom.DataElement(keyword, "LO", value)
            element.VR = "DS"
            data[keyword] = element

    return change


DICOM: Final = {
    "empty folder": Bad(series(only), "no file", content_words="found"),
    "folder without images": Bad(series(no_images), "none a DICOM image"),
    "text named .dcm": Bad(
        series(lambda f: (f / THIRD).write_text("text")), f"not start as DICOM does in {THIRD}"
    ),
    "empty file named .dcm": Bad(bytes_of_third(lambda _: b""), f"start as DICOM does in {THIRD}"),
    "header cut early": Bad(bytes_of_third(lambda c: c[:100]), f"start as DICOM does in {THIRD}"),
    "header cut in the middle": Bad(bytes_of_third(lambda c: c[:700]), f"found .* in {THIRD}"),
    "pixels cut": Bad(bytes_of_third(lambda c: c[:-200]), f"(broken|cut short).* in {THIRD}"),
    "zeros after the header": Bad(
        bytes_of_third(lambda c: c[:400] + bytes(len(c) - 400)), f"found .* in {THIRD}"
    ),
    "a missing slice": Bad(series(lambda f: (f / THIRD).unlink()), "1 missing slices"),
    "a duplicate slice": Bad(
        series(lambda f: shutil.copy(f / THIRD, f / "copy.dcm")), "1 duplicate slices"
    ),
    "the series twice": Bad(
        series(lambda f: [shutil.copy(p, f / f"again-{p.name}") for p in sorted(f.iterdir())]),
        "12 duplicate slices",
    ),
    "all slices at one place": Bad(
        every(setting(ImagePositionPatient=[0, 0, 0])), "11 duplicate slices"
    ),
    "an uneven slice": Bad(one(moved(1.2)), "uneven gaps"),
    "a single slice": Bad(series(lambda f: only(f, THIRD)), "a single slice"),
    "a slice of another size": Bad(
        one(lambda d: (setting(Rows=19)(d), setattr(d, "PixelData", bytes(19 * 24 * 2)))),
        f"2 image sizes: .*{THIRD}",
    ),
    "a slice of another spacing": Bad(
        one(setting(PixelSpacing=[1, 1])), f"2 pixel spacings: .*{THIRD}"
    ),
    "MR": Bad(every(setting(Modality="MR")), "nothing but 12 MR images such as slice-0001"),
    "a PET slice": Bad(one(setting(Modality="PT")), "modality PT|missing slice"),
    "no modality": Bad(every(without("Modality")), "nothing but 12 other images"),
    "secondary captures": Bad(
        every(setting(SOPClassUID=SecondaryCaptureImageStorage)), "found .*slice-0001"
    ),
    "a report alone": Bad(
        every(stored_as(BasicTextSRStorage, "SR")), "found"
    ),
    "a DICOMDIR alone": Bad(
        every(stored_as(MediaStorageDirectoryStorage, "")), "none a DICOM image"
    ),
    "a segmentation": Bad(every(setting(SOPClassUID=SegmentationStorage, Modality="SEG")), "SEG"),
    "colour slices": Bad(
        every(setting(SamplesPerPixel=3, PhotometricInterpretation="RGB")), "found"
    ),
    "not HU": Bad(every(setting(RescaleType="MGML")), "values that are not in HU in slice-0001"),
    "no position": Bad(one(without("ImagePositionPatient")), f"no ImagePositionPatient in {THIRD}"),
    "no directions": Bad(every(without("ImageOrientationPatient")), "no ImageOrientationPatient"),
    "no pixel spacing": Bad(every(without("PixelSpacing")), "no PixelSpacing"),
    "no intercept": Bad(every(without("RescaleIntercept")), "no RescaleIntercept"),
    "no rows": Bad(every(setting(Rows=0)), "found"),
    "a position of two numbers": Bad(
        one(setting(ImagePositionPatient=[1, 2])), f"not 3 finite numbers in {THIRD}"
    ),
    "a position of letters": Bad(
        one(raw_values(ImagePositionPatient="a\\b\\c")), f"found .* in {THIRD}"
    ),
    "a position of NaN": Bad(
        one(raw_values(ImagePositionPatient="nan\\0\\0")), f"not 3 finite numbers in {THIRD}"
    ),
    "a slope of letters": Bad(one(raw_values(RescaleSlope="steep")), f"found .* in {THIRD}"),
    "directions aslant": Bad(
        every(setting(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0])), "right-angled"
    ),
    "directions of zero": Bad(every(setting(ImageOrientationPatient=[0] * 6)), "right-angled"),
    "pixels of no size": Bad(every(setting(PixelSpacing=[0, 0])), "spacing"),
    "pixels of negative size": Bad(
        every(setting(PixelSpacing=[-1, -1])), "negative PixelSpacing"
    ),
    "a billion pixels claimed": Bad(
        every(setting(Rows=60000, Columns=60000)), "voxels; expected at most|found .* in slice-0001"
    ),
    "fewer bits than there are": Bad(every(setting(BitsAllocated=3)), "broken DICOM|found"),
}  # fmt: skip

COMPRESSED: Final = {
    "deflated": Bad(every(deflated), "found .* in slice-0001"),
    "a film's syntax": Bad(every(named_as(MPEG2MPML)), "compressed as MPEG2"),
    "RLE said to be JPEG-LS": Bad(every(named_as(JPEGLSLossless)), "found .* in slice-"),
    "RLE said to be JPEG 2000": Bad(every(named_as(JPEG2000Lossless)), "found .* in slice-"),
    "an unknown syntax": Bad(every(named_as("1.2.3.4.5")), "found .* in slice-"),
    "RLE cut": Bad(one(compressed(lambda c: c[:90])), f"found .* in {THIRD}"),
    "RLE of zeros": Bad(one(compressed(lambda c: c[:8] + bytes(len(c) - 8))), f"in {THIRD}"),
    "RLE without a frame": Bad(one(compressed(lambda c: c[:8])), f"found .* in {THIRD}"),
    "RLE of another size": Bad(series(unlike_rows), "found .* in slice-"),
}  # fmt: skip
