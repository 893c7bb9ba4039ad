"""Frames compressed by GDCM, for written series: what it reads back is what it was given."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from vertebra_ml.errors import DatasetError

NAMES: Final = {
    JPEGBaseline8Bit: "JPEGBaselineProcess1",
    JPEGExtended12Bit: "JPEGExtendedProcess2_4",
    JPEGLossless: "JPEGLosslessProcess14",
    JPEGLosslessSV1: "JPEGLosslessProcess14_1",
    JPEGLSLossless: "JPEGLSLossless",
    JPEGLSNearLossless: "JPEGLSNearLossless",
    JPEG2000Lossless: "JPEG2000Lossless",
    JPEG2000: "JPEG2000",
    RLELossless: "RLELossless",
}
"""Transfer syntax -> what GDCM calls it."""


def compressed(frames: Sequence[NDArray[Any]], syntax: UID, *, stored_bits: int) -> bytes:
    """Return Pixel Data of frames (row, column) of one integer type, a fragment each.

    Raises DatasetError for a codec that GDCM does not write, or not for such values.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return encapsulate([_one(frame, syntax, stored_bits, Path(scratch)) for frame in frames])


def _one(frame: NDArray[Any], syntax: UID, stored_bits: int, scratch: Path) -> bytes:
    import gdcm

    source, target = scratch / "in.dcm", scratch / "out.dcm"
    _image(frame, stored_bits).save_as(source, enforce_file_format=True)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    change = gdcm.ImageChangeTransferSyntax()
    name = NAMES.get(syntax)
    done = name is not None and reader.Read()
    if done:
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, str(name))))
        change.SetInput(reader.GetImage())
        done = change.Change()
    if not done:
        raise DatasetError(
            "DICOM series", found=f"the codec {syntax.name} for {frame.dtype} values",
            expected=f"one of {', '.join(NAMES.values())}", fix="choose another codec",
        )  # fmt: skip
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(target))
    if not writer.Write():
        raise OSError("GDCM cannot write a temporary file")
    return next(generate_frames(dcmread(target).PixelData, number_of_frames=1))


def _image(frame: NDArray[Any], stored_bits: int) -> Dataset:
    """Return the least that GDCM takes for an image."""
    data = Dataset()
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = UID("1.2.3")
    data.Rows, data.Columns = frame.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = 8 * frame.dtype.itemsize
    data.BitsStored, data.HighBit = stored_bits, stored_bits - 1
    data.PixelRepresentation = int(np.issubdtype(frame.dtype, np.signedinteger))
    data.PixelData = frame.tobytes()
    data["PixelData"].VR = "OW"
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data
