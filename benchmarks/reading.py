"""Reading a scan from disk, against SimpleITK on the same files as a user would read them."""

from pathlib import Path

import pydicom
import SimpleITK
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from benchmarks.timing import Figure, alternately
from vertebra_ml.readers import open_volume
from vertebra_ml.readers.dicom_writer import Dress, write_series
from vertebra_ml.volume import Volume

AT_MOST = 1.2
DICOM = "DICOM, 400 slices"
COMPRESSED = "DICOM, JPEG-LS, 100 slices"
NIFTI = ".nii.gz"
FEW = 100
GROUPS = (0x0009, 0x0019, 0x0021, 0x0043)
ELEMENTS = 50
"""Private elements in each group: with them a header is as long as those of real scanners."""


def measure(volume: Volume, nifti: Path, scratch: Path, rounds: int) -> list[Figure]:
    """Write the CT as DICOM below ``scratch`` and time both readers; ``nifti`` holds it too."""
    few = Volume(volume.array[:, :, :FEW], volume.affine)
    folders = {DICOM: scratch / "dicom", COMPRESSED: scratch / "jpeg-ls"}
    write(folders[DICOM], volume, ExplicitVRLittleEndian)
    write(folders[COMPRESSED], few, JPEGLSLossless)
    return [_figure(name, path, rounds) for name, path in {**folders, NIFTI: nifti}.items()]


def _figure(name: str, path: Path, rounds: int) -> Figure:
    theirs = simpleitk_series if path.is_dir() else simpleitk_file
    seconds = alternately(
        {"SimpleITK": lambda: theirs(path), "ours": lambda: open_volume(path)}, rounds
    )
    ratio = seconds["ours"] / seconds["SimpleITK"]
    baseline, ours = (f"{seconds[reader]:.2f} s" for reader in ("SimpleITK", "ours"))
    bounded = name != COMPRESSED
    bound = f"at most {AT_MOST} of SimpleITK's time" if bounded else "for information"
    return Figure(f"read {name}", baseline, ours, ratio, bound, not bounded or ratio <= AT_MOST)


def write(folder: Path, volume: Volume, syntax: str) -> None:
    """Write a series whose headers are as long as a scanner's."""
    for path in write_series(folder, volume, seed="benchmark", dress=Dress(syntax)):
        data = pydicom.dcmread(path)
        for group in GROUPS:
            block = data.private_block(group, f"VENDOR {group:04x}", create=True)
            for element in range(ELEMENTS):
                block.add_new(element, "LO", f"setting {element}")
        data.save_as(path)


def simpleitk_series(folder: Path) -> SimpleITK.Image:
    """Read a DICOM folder as SimpleITK's own examples do."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def simpleitk_file(path: Path) -> SimpleITK.Image:
    """Read one file."""
    return SimpleITK.ReadImage(str(path))
