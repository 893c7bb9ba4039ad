"""No room on the disk, or no leave to write: one line, exit status 1, nothing half-written."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.layouts import POINTS_MM, TRUTH, make_scan
from vertebra_ml.cli import app
from vertebra_ml.readers.writers import write_case

FORBIDDEN = Path("/sys/kernel/vertebra-ml")
"""Nobody makes a folder there, root neither."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one labelled scan, and its landmarks as candidates without names."""
    root = tmp_path_factory.mktemp("disk")
    write_case(root / "scans", "a", make_scan(), TRUTH, "plain")
    points = [{"point_mm": point} for point in POINTS_MM.values()]
    (root / "keypoints.json").write_text(json.dumps({"frame": "RAS", "keypoints": points}))
    return root


def words(command: str, data: Path, model: Path, out: Path) -> list[str]:
    scan = data / "scans" / "a" / "ct.nii.gz"
    asked: dict[str, list[object]] = {
        "locate": [scan, "--model", model, "--out", out],
        "pictures": [scan, "--model", model, "--format", "html,png", "--overlay", "--out", out],
        "evaluate": ["--data", data / "scans", "--model", model, "--out", out],
        "mips": [scan, "--out", out],
        "check": [data / "scans", "--out", out],
        "phantom": [out, "--count", 1, "--workers", 1],
    }
    name = {"pictures": "locate"}.get(command, command)
    return [name, *map(str, asked[command])]


ALL = ("locate", "pictures", "evaluate", "mips", "check", "phantom")


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process or of one that it starts grow by a byte, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def in_one_line(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert line.startswith("error: ")
    assert "; expected " in line
    return line


@pytest.mark.parametrize("command", ALL)
def test_a_full_disk(command: str, data: Path, untrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with no_room():
        result = CliRunner().invoke(app, words(command, data, untrained, out))
    assert "File too large" in in_one_line(result)
    named = [path.name for path in out.rglob("*") if path.is_file()]
    assert [name for name in named if not name.startswith(".")] == []


@pytest.mark.parametrize("command", ALL)
def test_a_folder_that_may_not_be_written(command: str, data: Path, untrained: Path) -> None:
    result = CliRunner().invoke(app, words(command, data, untrained, FORBIDDEN / "out"))
    assert str(FORBIDDEN) in in_one_line(result)
