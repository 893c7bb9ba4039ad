"""A made-up patient in every corner of a DICOM series, and a search for any trace of it.

Each element holds a marker that occurs nowhere else, so that a hit names the element that leaked.
"""

import base64
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

TEXTS: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientNames", "PatientBirthName",
    "PatientMotherBirthName", "PatientAddress", "PatientTelephoneNumbers", "PatientComments",
    "PatientReligiousPreference", "EthnicGroup", "Occupation", "MedicalRecordLocator",
    "AdditionalPatientHistory", "CountryOfResidence", "MilitaryRank", "ReferringPhysicianName",
    "ReferringPhysicianAddress", "PerformingPhysicianName", "NameOfPhysiciansReadingStudy",
    "OperatorsName", "RequestingPhysician", "PhysiciansOfRecord",
    "ScheduledPerformingPhysicianName",
    "AccessionNumber", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName",
    "StationName", "DeviceSerialNumber", "GantryID", "PlateID", "DetectorID", "ProtocolName",
    "StudyID", "StudyDescription", "SeriesDescription", "RequestedProcedureDescription",
    "PerformedProcedureStepDescription", "PerformedProcedureStepID", "RequestedProcedureID",
    "AdmissionID", "CurrentPatientLocation", "PatientInstitutionResidence", "ImageComments",
    "FrameComments", "DerivationDescription", "ReasonForStudy", "AcquisitionComments",
    "SoftwareVersions", "Manufacturer", "ManufacturerModelName", "ContrastBolusAgent",
    "TextString", "FilterType", "ConvolutionKernel",
)  # fmt: skip
DATES: Final = (
    "PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate",
    "PerformedProcedureStepStartDate", "AdmittingDate", "InstanceCreationDate",
    "DateOfLastCalibration", "LastMenstrualDate",
)  # fmt: skip
TIMES: Final = (
    "PatientBirthTime", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime",
    "InstanceCreationTime", "PerformedProcedureStepStartTime",
)  # fmt: skip
UIDS: Final = (
    "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "InstanceCreatorUID",
    "IrradiationEventUID", "DeviceUID",
)  # fmt: skip
PRIVATE_GROUPS: Final = (0x0009, 0x0019, 0x00E1, 0x7053)
EVERY_WAY: Final = ("utf-8", "utf-16-le", "utf-16-be")
ENCODED: Final = re.compile(rb"base64,([A-Za-z0-9+/=\s]+)")
INSTANCE: Final = "1.2.826.0.1.3680043.8.498.77"
"""What every SOPInstanceUID here begins with. They alone may stand, as DESIGN section 6 has it, in
slices.csv, in slices.json and in answers of a server: whoever asks finds the slice again by them.
"""

Markers = Mapping[str, str]


def _markers() -> Iterator[tuple[str, str]]:
    for number, keyword in enumerate(TEXTS):
        yield keyword, f"QXZ{number:03d}{keyword[:4].upper()}"[:16]
    for number, keyword in enumerate(DATES):
        yield keyword, f"{1871 + number}0713"
    for number, keyword in enumerate(TIMES):
        yield keyword, f"0317{41 + number}.918273"
    for number, keyword in enumerate(UIDS):
        yield keyword, f"1.2.826.0.1.3680043.8.498.55{number}918273"
    for group in PRIVATE_GROUPS:
        yield f"private {group:04x}", f"QXZPRIV{group:04X}"
    yield "nested sequence", "QXZNESTED"
    yield "preamble", "QXZPREAMBLE"
    yield "overlay", "QXZOVERLAY"
    yield "patient of other ids", "QXZOTHERID"


MARKERS: Final[Markers] = dict(_markers())


def fill(folder: Path) -> Path:
    """Write the patient into every file of a DICOM folder; return it."""
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        data = pydicom.dcmread(path)
        _fill(data, number)
        data.save_as(path, enforce_file_format=True)
    return folder


def _fill(data: Dataset, number: int) -> None:
    for keyword in (*TEXTS, *DATES, *TIMES, *UIDS):
        setattr(data, keyword, MARKERS[keyword])
    data.PatientSex, data.PatientAge, data.BurnedInAnnotation = "F", "087Y", "YES"
    data.SOPInstanceUID = f"{INSTANCE}{number}"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    for group in PRIVATE_GROUPS:
        block = data.private_block(group, "QXZ", create=True)
        block.add_new(0x01, "LO", MARKERS[f"private {group:04x}"])
        block.add_new(0x02, "UT", MARKERS[f"private {group:04x}"])
        block.add_new(0x03, "OB", MARKERS[f"private {group:04x}"].encode())
    inner = Dataset()
    inner.PatientID, inner.CodeMeaning = MARKERS["patient of other ids"], MARKERS["nested sequence"]
    data.OtherPatientIDsSequence = Sequence([inner])
    data.RequestAttributesSequence = Sequence([inner])
    data.add_new((0x6000, 0x4000), "LT", MARKERS["overlay"])
    data.add_new((0x6000, 0x0022), "LO", MARKERS["overlay"])
    data.preamble = MARKERS["preamble"].encode().ljust(128, b"\0")


def traces(root: Path, *, markers: Markers = MARKERS, apart_from: Path | None = None) -> list[str]:
    """Return ``file: element`` for each trace of the patient below ``root``, packed or not.

    Names of files are searched too. SOPInstanceUIDs are let pass where they may stand; a folder of
    input, which other tests fill with broken files, is left out by ``apart_from``.
    """
    found = []
    for path in sorted(root.rglob("*")):
        if apart_from and path.is_relative_to(apart_from):
            continue
        name = path.relative_to(root).as_posix()
        found += [f"{name}: {element} in its name" for element in _in(name.encode(), markers)]
        if path.is_file():
            allowed = path.name in ("slices.csv", "slices.json", ".slices.jsonl")
            known = markers if allowed else {**markers, "SOPInstanceUID": INSTANCE}
            for part, content in _unpacked(name, path.read_bytes()):
                found += [f"{part}: {element}" for element in _in(content, known)]
    return found


def traces_in(text: str, *, markers: Markers = MARKERS) -> list[str]:
    """Return the elements of which there is a trace in a text."""
    return _in(text.encode(), {**markers, "SOPInstanceUID": INSTANCE})


def _in(content: bytes, markers: Markers) -> list[str]:
    lowered = content.lower()  # bytes.lower touches ASCII alone, in UTF-16 as well
    return [element for element, each in markers.items() if _any_form(each, lowered)]


def _any_form(marker: str, content: bytes) -> bool:
    forms = [marker.lower()]
    if len(marker) == 8 and marker.isdigit():  # a date
        year, month, day = marker[:4], marker[4:6], marker[6:]
        forms += [f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{month}/{day}/{year}"]
    return any(form.encode(way) in content for form in forms for way in EVERY_WAY)


def _unpacked(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file's bytes, and of what it packs: zip members, gzip, PNG text, base64 of pages."""
    yield name, content
    if zipfile.is_zipfile(BytesIO(content)) and content.startswith(b"PK"):
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for info in archive.infolist():
                yield f"{name} entry", info.filename.encode()
                yield from _unpacked(f"{name}:{info.filename}", archive.read(info))
    elif content.startswith(b"\x1f\x8b"):
        yield from _unpacked(f"{name}:", zlib.decompress(content, 31))
    elif content.startswith(b"\x89PNG"):
        yield from _png(name, content)
    for number, match in enumerate(ENCODED.finditer(content)):
        inner = base64.b64decode(match[1] + b"===")
        yield from _unpacked(f"{name}:data {number}", inner)


def _png(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the texts that a PNG holds compressed (zTXt, iTXt)."""
    place = 8
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 :][:4]
        data = content[place + 8 : place + 8 + length]
        if kind in (b"zTXt", b"iTXt"):
            for start in (at.end() for at in re.finditer(rb"\0", data)):
                try:
                    yield f"{name}:{kind.decode()}", zlib.decompress(data[start:].lstrip(b"\0"))
                except zlib.error:
                    continue
        place += 12 + length
