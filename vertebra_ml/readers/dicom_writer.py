"""Volumes to DICOM series: minimal CT Image Storage slices without any patient's data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vertebra_ml.affines import spacing_of
from vertebra_ml.volume import Volume

LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
INTERCEPT_HU = -1024


def write_series(
    folder: Path,
    volume: Volume,
    *,
    seed: str,
    instance_numbers: Sequence[int] | None = None,
) -> list[Path]:
    """Write each slice along the volume's last axis as one file below ``folder``; return them.

    HU are rounded to whole numbers and stored as int16 with an intercept of -1024. UIDs follow from
    ``seed``, so that the same volume gives the same bytes. ``instance_numbers`` defaults to 1..n
    from the first slice; files are named after them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = volume.shape[2]
    numbers = list(instance_numbers) if instance_numbers is not None else list(range(1, count + 1))
    common = _common(volume, seed)
    paths = []
    for k, number in zip(range(count), numbers, strict=True):
        path = folder / f"slice-{number:04d}.dcm"
        _slice(volume, common, k, number).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _common(volume: Volume, seed: str) -> dict[str, Any]:
    """Return what every slice says: identity of the series and the grid's directions."""
    lps = LPS_OF_RAS @ volume.affine
    spacing = spacing_of(lps)
    directions = lps[:3, :3] / spacing
    return {
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
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "StudyInstanceUID": generate_uid(entropy_srcs=[seed, "study"]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=[seed, "series"]),
        "FrameOfReferenceUID": generate_uid(entropy_srcs=[seed, "frame"]),
        "SeriesNumber": 1,
        "PositionReferenceIndicator": "",
        "ImageOrientationPatient": _decimals([*directions[:, 0], *directions[:, 1]]),
        "PixelSpacing": _decimals([spacing[1], spacing[0]]),
        "SliceThickness": _decimals([spacing[2]])[0],
        "KVP": "",
        "AcquisitionNumber": "",
        "Rows": volume.shape[1],
        "Columns": volume.shape[0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": INTERCEPT_HU,
        "RescaleType": "HU",
    }


def _slice(volume: Volume, common: dict[str, Any], k: int, number: int) -> Dataset:
    data = Dataset()
    for keyword, value in common.items():
        setattr(data, keyword, value)
    uid = generate_uid(entropy_srcs=[common["SeriesInstanceUID"], str(number)])
    data.SOPInstanceUID = uid
    data.InstanceNumber = number
    corner = LPS_OF_RAS[:3, :3] @ volume.voxel_to_world(np.array([0, 0, k]))
    data.ImagePositionPatient = _decimals(corner)
    # (column, row) in memory, (row, column) in the file
    hu = np.round(volume.array[:, :, k].T.astype(np.float32))
    stored = np.clip(hu - INTERCEPT_HU, -32768, 32767).astype("<i2")
    data.PixelData = stored.tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = uid
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return data


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Return numbers as DICOM decimal strings: at most 16 characters each."""
    return [np.format_float_positional(v, precision=9, trim="0")[:16] for v in values]
