"""What many tests share: the shipped model, and real scans where they are at hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REAL = ROOT.parent / "shared" / "real"


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the model folder named by dvc.lock, from DVC's cache or the travelling remote."""
    folder = tmp_path_factory.mktemp("shipped") / "slice_spotter"
    program = Path(sys.executable).parent / "dvc"
    result = subprocess.run(
        [program, "get", "--quiet", ".", "models/slice_spotter", "-o", folder],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of real scans; skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip("needs the real scans of ../shared/real, which are not in the repository")
    return REAL
