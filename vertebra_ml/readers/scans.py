"""One scan, whatever its format: file, folder or zip to a volume in HU and RAS+ mm."""

from pathlib import Path
from typing import Final

from vertebra_ml.errors import DatasetError
from vertebra_ml.volume import Volume

VOXELS_MAX: Final = 1_500_000_000
"""Voxels that a header may claim before it is refused: 3 GB as int16, a whole body at 0.5 mm."""


def open_volume(path: Path, *, voxels_max: int = VOXELS_MAX) -> Volume:
    """Read one NIfTI file, ``.raw``, DICOM folder or zip of one as a volume in HU and RAS+ mm.

    Raises DatasetError for what is no CT, broken or mixed, GeometryError for a grid that no CT can
    have, LimitError above ``voxels_max`` voxels.
    """
    if path.is_dir():
        from vertebra_ml.readers.dicom import read_folder

        return read_folder(path, voxels_max=voxels_max)
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise DatasetError(
            path, found="neither a file nor a folder", expected="a scan", fix="check the path"
        )
    if path.suffix.lower() == ".zip":
        from vertebra_ml.readers.dicom import read_zip

        return read_zip(path, path, voxels_max=voxels_max)
    if path.suffix.lower() == ".raw":
        from vertebra_ml.readers.raw import read_volume as read_raw

        return read_raw(path, voxels_max=voxels_max)
    from vertebra_ml.readers.nifti import read_volume

    return read_volume(path, path, voxels_max=voxels_max)
