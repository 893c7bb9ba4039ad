"""Cases to disk in the layouts that `readers` reads: for the phantom and for tests."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from vertebra_ml.case import check_id
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Truth
from vertebra_ml.volume import Volume

Writer = Callable[[Path, str, Volume, Truth | None, str], Path]

WRITERS: Final[dict[str, str]] = {
    "dicom": "vertebra_ml.readers.dicom_layout:write",
    "glocker": "vertebra_ml.readers.glocker:write",
    "masks": "vertebra_ml.readers.mask_writer:write",
    "plain": "vertebra_ml.readers.plain:write",
    "plain-dicom": "vertebra_ml.readers.plain:write_dicom",
    "raw": "vertebra_ml.readers.raw:write",
    "sarcopenia": "vertebra_ml.readers.sarcopenia:write",
    "verse": "vertebra_ml.readers.verse:write",
}
"""How a case is written -> ``module:function`` with ``write(root, case, volume, truth, patient)``,
which returns the scan's path; the module is imported on use."""


def write_case(
    root: Path,
    case: str,
    volume: Volume,
    truth: Truth | None,
    layout: str,
    *,
    patient: str = "",
) -> Path:
    """Write one case below ``root``, each file whole or not at all; return its scan.

    ``layout`` is a name of WRITERS; what a layout cannot hold (docs/data.md) is left out. The
    volume keeps its own grid; ``patient`` defaults to the case.

    Raises DatasetError for an unknown layout or an id that cannot name a file.
    """
    if layout not in WRITERS:
        raise DatasetError(
            root,
            found=f"the layout name {layout!r}",
            expected=f"one of {', '.join(sorted(WRITERS))}",
            fix="correct the name",
        )
    module, function = WRITERS[layout].split(":")
    writer: Writer = getattr(import_module(module), function)
    return writer(root, check_id(case, root), volume, truth, check_id(patient or case, root))


def write_nifti(path: Path, volume: Volume) -> None:
    """Write a volume as .nii or .nii.gz with its own grid, in sform and qform, and its own HU."""
    import nibabel as nib

    image = nib.Nifti1Image(volume.array, volume.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.affine, code=1)
    image.set_qform(volume.affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    nib.save(image, partial)
    partial.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write a small JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)
