"""Layout ``dicom``: a folder or a zip a patient, straight from the scanner or the archive.

    root/PATIENT/...      DICOM files in any depth, of any name; or root/PATIENT.zip
    root/CASE.json        optional landmarks of a case, as ``landmarks.json`` of ``plain``

Each CT series is a case: PATIENT where there is one, PATIENT-s3 (from its SeriesNumber) where there
are several. Ids and patients come from the names of folders and files, never from a header: a
PatientID is no pseudonym.
"""

from functools import partial
from pathlib import Path
from typing import Final

from vertebra_ml.case import Case, check_id
from vertebra_ml.errors import DatasetError, VertebraError
from vertebra_ml.landmarks import Truth
from vertebra_ml.readers.given import is_dicom, series_cases
from vertebra_ml.readers.plain import (
    patient_in,
    read_landmarks,
    write_dicom_folder,
    write_landmarks,
)
from vertebra_ml.readers.roots import check_within
from vertebra_ml.volume import Volume

LAYOUT: Final = "dicom"
ARCHIVE: Final = ".zip"


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of each CT series of each folder and zip directly below ``root``.

    Headers are read, no pixel. The patient is the ``patient`` that the landmarks of the folder's
    cases name, else the folder. A folder that cannot be read is a case that fails when opened.

    Raises DatasetError for a name that cannot be an id, and for DICOM files directly in the root.
    """
    cases: list[Case] = []
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() or path.suffix.lower() == ARCHIVE:
            cases += _patient_cases(root, path, voxels_max=voxels_max)
        elif is_dicom(path):
            raise DatasetError(
                path,
                found="a DICOM file directly in the root",
                expected="a folder or zip a patient",
                fix="put the files of each patient into a folder of its own",
            )
    return cases


def _patient_cases(root: Path, path: Path, *, voxels_max: int) -> list[Case]:
    name = check_id(path.stem if path.is_file() else path.name, path)
    try:
        check_within(root, path)
        found = series_cases(path, path, name, voxels_max=voxels_max)
        labels = {case.id: root / f"{case.id}.json" for case in found}
        patient = _the_patient(root, path, list(labels.values())) or name
    except VertebraError as error:
        return [Case(name, name, path, LAYOUT, partial(_fail, error))]
    several = root / f"{name}.json" if name not in labels else None
    openers = [_opener(root, labels[case.id], several) for case in found]
    return [
        Case(case.id, patient, path, LAYOUT, case.open_volume, opener)
        for case, opener in zip(found, openers, strict=True)
    ]


def _opener(root: Path, labels: Path, several: Path | None) -> partial[Truth] | None:
    if several is not None and _is_there(several):
        return partial(_ambiguous, several, labels)
    return partial(read_landmarks, labels, root) if _is_there(labels) else None


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _the_patient(root: Path, path: Path, labels: list[Path]) -> str:
    """Return the one patient that the label files of a folder name; none is no fault."""
    named = {patient_in(root, each) for each in labels} - {""}
    if len(named) > 1:
        raise DatasetError(
            path,
            found=f"{len(named)} patients in the landmarks of its series",
            expected="one patient in a folder",
            fix="put each patient into a folder of its own",
        )
    return named.pop() if named else ""


def _ambiguous(given: Path, wanted: Path) -> Truth:
    raise DatasetError(
        given,
        found="landmarks of a folder that holds several series",
        expected=f"landmarks named after a series, such as {wanted.name}",
        fix="rename the file after the series it belongs to",
    )


def _fail(error: VertebraError) -> Volume:
    raise error


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case as a folder of slices, its landmarks and its patient beside; return the folder.

    Without a truth no file names the patient, who is then the case.
    """
    folder = root / case
    write_dicom_folder(folder, volume, seed=case)
    write_landmarks(root / f"{case}.json", truth, patient)
    return folder
