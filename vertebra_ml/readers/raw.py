"""Layout and format ``raw``: voxels without a header, and a YAML sidecar that says everything.

    root/.../NAME.raw
    root/.../NAME.yaml | NAME.yml    what `sidecar` reads
    root/.../NAME.json               optional landmarks, as ``landmarks.json`` of ``plain``

Nothing is guessed: a key that is missing, unknown, given twice or unclear is an error by name, and
the file must be exactly as long as the sidecar says.
"""

from functools import partial
from pathlib import Path

import numpy as np

from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Truth
from vertebra_ml.readers.plain import patient_in, read_landmarks, write_landmarks
from vertebra_ml.readers.roots import check_within, files_below
from vertebra_ml.volume import Volume

ENDING = ".raw"
SIDECARS = (".yaml", ".yml")


def find(root: Path, *, voxels_max: int) -> list[Case]:
    """Make a case of each NAME.raw below ``root``, in any depth, that is not hidden.

    The patient is the optional ``patient`` of NAME.json, else the case itself. A case whose files
    links lead out of ``root`` fails when it is opened.

    Raises LimitError for a linked folder that leads out, DatasetError for a name that is no id.
    """
    scans = [path for path in files_below(root) if path.suffix.lower() == ENDING]
    return [_case(root, path, voxels_max) for path in scans if not path.name.startswith(".")]


def _case(root: Path, scan: Path, voxels_max: int) -> Case:
    labels = scan.with_suffix(".json")
    return Case(
        scan.stem,
        patient_in(root, labels) or scan.stem,
        scan,
        "raw",
        partial(read_volume, scan, root=root, voxels_max=voxels_max),
        partial(read_landmarks, labels, root) if labels.exists() or labels.is_symlink() else None,
    )


def read_volume(scan: Path, *, voxels_max: int, root: Path | None = None) -> Volume:
    """Read NAME.raw as NAME.yaml describes it: HU on a grid in RAS+ mm.

    Whole HU are kept as int16, others as float32, as from a NIfTI file.

    Raises DatasetError where the two do not fit or either is broken, GeometryError for a bad grid,
    LimitError above ``voxels_max`` voxels or where links lead out of ``root``.
    """
    from vertebra_ml.readers.sidecar import read_sidecar
    from vertebra_ml.readers.voxels import read_voxels

    sidecar = _sidecar_of(scan)
    if root is not None:
        check_within(root, scan)
        check_within(root, sidecar)
    said = read_sidecar(sidecar, voxels_max=voxels_max)
    try:
        _check_size(scan, scan.stat().st_size, said.nbytes, sidecar.name)
        with scan.open("rb") as stream:
            stream.seek(said.offset)
            voxels = read_voxels(stream, said.stored, said.shape, scan)
    except OSError as error:
        raise DatasetError(
            scan,
            found=f"a file that cannot be read ({error.strerror})",
            expected="voxels",
            fix="check the path and its permissions",
        ) from None
    return Volume(voxels, said.affine)


def _sidecar_of(scan: Path) -> Path:
    beside = [path for ending in SIDECARS if (path := scan.with_suffix(ending)).is_file()]
    if len(beside) != 1:
        raise DatasetError(
            scan,
            found=f"{' and '.join(path.name for path in beside) or 'no description'} beside it",
            expected=f"one {' or '.join(scan.with_suffix(e).name for e in SIDECARS)}",
            fix="describe the voxels there; docs/data.md shows how",
        )
    return beside[0]


def _check_size(scan: Path, size: int, wanted: int, sidecar: str) -> None:
    if size != wanted:
        raise DatasetError(
            scan,
            found=f"{size:,} bytes",
            expected=f"exactly {wanted:,}: offset and shape x dtype of {sidecar}",
            fix="correct shape, dtype or offset there, or copy the file again",
        )


def write(root: Path, case: str, volume: Volume, truth: Truth | None, patient: str) -> Path:
    """Write a case as CASE.raw, CASE.yaml and, with a truth, CASE.json; return the first."""
    scan = root / f"{case}{ENDING}"
    scan.parent.mkdir(parents=True, exist_ok=True)
    partial_scan = scan.with_name(f".partial-{scan.name}")
    stored = volume.array.astype(volume.array.dtype.newbyteorder("<"), copy=False)
    partial_scan.write_bytes(stored.tobytes(order="F"))
    partial_sidecar = scan.with_name(f".partial-{case}.yaml")
    partial_sidecar.write_text(describe(volume), encoding="utf-8")
    partial_scan.replace(scan)
    partial_sidecar.replace(scan.with_name(f"{case}.yaml"))
    write_landmarks(scan.with_name(f"{case}.json"), truth, patient)
    return scan


def describe(volume: Volume) -> str:
    """Return the sidecar of a volume's own numbers, little-endian, x fastest."""
    rows = ", ".join(f"[{', '.join(map(repr, row))}]" for row in volume.affine.tolist())
    return (
        f"shape: {list(volume.shape)}\n"
        f"dtype: {np.dtype(volume.array.dtype).name}\n"
        "byte_order: little\n"
        "slope: 1\n"
        "intercept: 0\n"
        "frame: RAS\n"
        f"affine: [{rows}]\n"
    )
