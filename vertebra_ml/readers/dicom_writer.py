"""Volumes to DICOM: minimal CT without any patient's data, as scanners and archives dress it.

For the phantom and for tests: slices or one enhanced image, any byte order, codec and sign.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from vertebra_ml.affines import spacing_of
from vertebra_ml.volume import Volume

LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
INTERCEPT_HU = -1024


@dataclass(frozen=True)
class Dress:
    """How a series is written; the default is what most scanners write.

    Parameters
    ----------
    syntax : transfer syntax, compressed by GDCM where it is one of its codecs.
    signed, stored_bits, allocated_bits : of the stored values.
    slope, intercept : stored value -> HU.
    reverse : from the last slice to the first, which numbers and names follow.
    series, series_number, acquisition : tell several series of one folder apart.
    image_type : ImageType.
    aside_mm : shift of each slice beyond the one before, along columns and rows: a gantry tilt.
    extra : further elements by keyword.
    """

    syntax: str = ExplicitVRLittleEndian
    signed: bool = True
    stored_bits: int = 16
    allocated_bits: int = 16
    slope: float = 1
    intercept: float = INTERCEPT_HU
    reverse: bool = False
    series: str = "series"
    series_number: int | None = 1
    acquisition: int | None = None
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    aside_mm: tuple[float, float] = (0.0, 0.0)
    extra: tuple[tuple[str, Any], ...] = ()


PLAIN = Dress()


def write_series(
    folder: Path,
    volume: Volume,
    *,
    seed: str,
    instance_numbers: Sequence[int] | None = None,
    dress: Dress = PLAIN,
) -> list[Path]:
    """Write each slice along the volume's last axis as one file below ``folder``; return them.

    HU are rounded to what the stored values can hold. UIDs follow from ``seed`` and
    ``dress.series``, so that the same volume gives the same bytes. ``instance_numbers`` defaults
    to 1..n in the order of writing; files are named after them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    order = range(volume.shape[2])[:: -1 if dress.reverse else 1]
    numbers = list(instance_numbers) if instance_numbers is not None else [k + 1 for k in order]
    if instance_numbers is None and dress.reverse:
        numbers.reverse()
    common = _common(volume, seed, dress)
    paths = []
    for k, number in zip(order, numbers, strict=True):
        path = folder / f"slice-{number:04d}.dcm"
        _slice(volume, common, k, number, dress).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_enhanced(path: Path, volume: Volume, *, seed: str, dress: Dress = PLAIN) -> Path:
    """Write the volume as one Enhanced CT image, a frame a slice; return the file.

    Position and rescaling stand with each frame, orientation and spacing with all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    common = _common(volume, seed, replace(dress, image_type=(*dress.image_type[:2], "VOLUME")))
    inner = {keyword for keywords in FRAME_KEYWORDS.values() for keyword in keywords}
    data = _dataset({k: v for k, v in common.items() if k not in inner}, "enhanced")
    data.SOPClassUID = EnhancedCTImageStorage
    data.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    order = range(volume.shape[2])[:: -1 if dress.reverse else 1]
    data.InstanceNumber = 1
    data.NumberOfFrames = len(order)
    data.SharedFunctionalGroupsSequence = [
        _groups(PlaneOrientationSequence=common, PixelMeasuresSequence=common)
    ]
    data.PerFrameFunctionalGroupsSequence = [
        _groups(
            PlanePositionSequence={"ImagePositionPatient": _corner(volume, k, dress)},
            PixelValueTransformationSequence=common,
            FrameContentSequence={"StackID": "1", "InStackPositionNumber": k + 1},
        )
        for k in order
    ]
    frames = [_stored(volume, k, dress) for k in order]
    _put_pixels(data, frames, dress)
    data.save_as(path, enforce_file_format=True)
    return path


FRAME_KEYWORDS = {
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
}
"""Where an enhanced image keeps what a slice says at its top level."""


def _groups(**content: dict[str, Any]) -> Dataset:
    """Return functional groups: of each, those elements that belong there."""
    groups = Dataset()
    for name, values in content.items():
        item = Dataset()
        for keyword in FRAME_KEYWORDS.get(name, values):
            setattr(item, keyword, values[keyword])
        setattr(groups, name, [item])
    return groups


def _common(volume: Volume, seed: str, dress: Dress) -> dict[str, Any]:
    """Return what every slice says: identity of the series and the grid's directions."""
    lps = LPS_OF_RAS @ volume.affine
    spacing = spacing_of(lps)
    directions = lps[:3, :3] / spacing
    common = {
        "SOPClassUID": CTImageStorage,
        "Modality": "CT",
        "PatientName": "",
        "PatientID": "",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyDate": "",
        "StudyTime": "",
        "StudyID": "",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Manufacturer": "",
        "ImageType": list(dress.image_type),
        "StudyInstanceUID": generate_uid(entropy_srcs=[seed, "study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[seed, dress.series]),
        "FrameOfReferenceUID": generate_uid(entropy_srcs=[seed, "frame"]),
        "SeriesNumber": dress.series_number,
        "PositionReferenceIndicator": "",
        "ImageOrientationPatient": _decimals([*directions[:, 0], *directions[:, 1]]),
        "PixelSpacing": _decimals([spacing[1], spacing[0]]),
        "SliceThickness": _decimals([spacing[2]])[0],
        "KVP": "",
        "AcquisitionNumber": dress.acquisition,
        "Rows": volume.shape[1],
        "Columns": volume.shape[0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": dress.allocated_bits,
        "BitsStored": dress.stored_bits,
        "HighBit": dress.stored_bits - 1,
        "PixelRepresentation": int(dress.signed),
        "RescaleSlope": _decimals([dress.slope])[0],
        "RescaleIntercept": _decimals([dress.intercept])[0],
        "RescaleType": "HU",
    }
    return common | dict(dress.extra)


def _dataset(values: dict[str, Any], name: str) -> Dataset:
    """Return an image of such elements, whose UID follows from its series and ``name``."""
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    uid = generate_uid(entropy_srcs=[values["SeriesInstanceUID"], name])
    data.SOPInstanceUID = uid
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = values["SOPClassUID"]
    data.file_meta.MediaStorageSOPInstanceUID = uid
    return data


def _slice(volume: Volume, common: dict[str, Any], k: int, number: int, dress: Dress) -> Dataset:
    acquisition = "" if dress.acquisition is None else f"-{dress.acquisition}"
    data = _dataset(common, f"{number}{acquisition}")
    data.InstanceNumber = number
    data.ImagePositionPatient = _corner(volume, k, dress)
    _put_pixels(data, [_stored(volume, k, dress)], dress)
    return data


def _corner(volume: Volume, k: int, dress: Dress) -> list[str]:
    """Return the LPS place of the first pixel of slice ``k``."""
    axes = volume.affine[:3, :2] / spacing_of(volume.affine)[:2]
    corner = volume.voxel_to_world(np.array([0, 0, k])) + k * axes @ np.array(dress.aside_mm)
    return _decimals(LPS_OF_RAS[:3, :3] @ corner)


def _stored(volume: Volume, k: int, dress: Dress) -> NDArray[Any]:
    """Return slice ``k`` as stored values (row, column); in memory it is (column, row)."""
    hu = volume.array[:, :, k].T.astype(np.float64)
    low = -(1 << (dress.stored_bits - 1)) if dress.signed else 0
    high = low + (1 << dress.stored_bits) - 1
    values = np.clip(np.round((hu - dress.intercept) / dress.slope), low, high)
    return values.astype(f"{'i' if dress.signed else 'u'}{dress.allocated_bits // 8}")


def _put_pixels(data: Dataset, frames: Sequence[NDArray[Any]], dress: Dress) -> None:
    syntax = UID(dress.syntax)
    data.file_meta.TransferSyntaxUID = syntax
    if syntax.is_compressed and not syntax.is_deflated:
        from vertebra_ml.readers.dicom_compress import compressed

        data.PixelData = compressed(frames, syntax, stored_bits=dress.stored_bits)
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        return
    content = b"".join(
        f.astype(f.dtype.newbyteorder("<" if syntax.is_little_endian else ">")).tobytes()
        for f in frames
    )
    data.PixelData = content + bytes(len(content) % 2)
    data["PixelData"].VR = "OW"


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Return numbers as DICOM decimal strings: at most 16 characters each."""
    return [np.format_float_positional(v, precision=9, trim="0")[:16] for v in values]
