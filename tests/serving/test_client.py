"""The client by itself: names, packing, and what it says where nobody answers."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from serving.client import ServerError, case_name, locate, scan_bytes

ROOT = Path(__file__).parents[2]
NAMES = {
    "study-17/ct.nii.gz": "study-17",
    "study-17/ct": "study-17",
    "a/HEAD.NII.GZ": "HEAD",
    "b.nii": "b",
    "study.1.npz": "study.1",
    "dicom": "dicom",
    "x.zip": "x",
}


@pytest.mark.parametrize("path", NAMES)
def test_case_names(path: str) -> None:
    assert case_name(Path(path)) == NAMES[path]


def test_a_folder_travels_as_a_zip(tmp_path: Path) -> None:
    for name in ("2.dcm", "deep/1.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    archive = zipfile.ZipFile(io.BytesIO(scan_bytes(tmp_path)))
    assert {n: archive.read(n) for n in archive.namelist()} == {
        "2.dcm": b"2.dcm",
        "deep/1.dcm": b"deep/1.dcm",
    }


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.nii: found nothing; expected"):
        locate("http://127.0.0.1:9", [tmp_path / "none.nii"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "file:///etc/passwd", "localhost"])
def test_nobody_there_is_one_line(url: str) -> None:
    with pytest.raises(ServerError, match=r"found no (answer|http address)") as refusal:
        locate(url, [Path("a.nii.gz")], send="path", timeout_s=5)
    assert "\n" not in str(refusal.value)


def test_it_loads_no_network_and_no_library() -> None:
    code = (
        "import sys; sys.argv = ['client']; import serving.client;"
        "print({'tensorflow', 'keras', 'mlflow', 'vertebra_ml', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
