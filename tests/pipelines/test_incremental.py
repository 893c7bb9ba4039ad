"""One more scan costs that scan: what is made after an addition, a change, a removal, a kill."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipelines import index, split, validate
from pipelines import project as stage
from pipelines.closure import code_hash
from pipelines.stage import PARAMS, read_table, write_text
from tests.layouts import TRUTH, Grid
from tests.pipelines.conftest import change_params, moved, scan_of
from vertebra_ml.archive import read_archive
from vertebra_ml.config import load
from vertebra_ml.readers.writers import write_case

STAGES = (index, validate, split, stage)
WORKERS = 2
ALONE = {"phantoms.workers": 1}
"""In this process: workers are kept for the next test, in the folder of the one before."""

MIPS = Path("prepared/mips")
DATA = Path("data/plain")
Made = tuple[set[str], int]


def _inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.glob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def _own_code(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to the project and take its copy of the code for the code: a test may change that."""
    monkeypatch.chdir(project)
    for module in ("products", "facts"):
        monkeypatch.setattr(f"pipelines.{module}.code_hash", partial(code_hash, root=project))


@pytest.fixture
def go(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Made]:
    """Return what runs the stages and tells which archives were made and how many facts found."""
    change_params(project, ALONE)
    # The clock of a file's change cannot be turned back; a test does not wait for it.
    monkeypatch.setattr("pipelines.fingerprint.FRESH_S", 0.0)
    for module in ("validate", "split", "project"):  # what gates do is tested beside
        monkeypatch.setattr(f"pipelines.{module}.gate", lambda *tables, **where: None)

    def call() -> Made:
        before, facts = _inodes(MIPS), set(_inodes(Path(".cache/facts/raw")))
        for each in STAGES:
            each.main(load(PARAMS))
        after = _inodes(MIPS)
        made = {name for name, inode in after.items() if before.get(name) != inode}
        assert set(after) == {f"{case}.npz" for case in _cases()}
        return made, len(set(_inodes(Path(".cache/facts/raw"))) - facts)

    assert call() == ({f"{case}.npz" for case in ("a1", "a2", "b", "c", "sub-d")}, 5)
    assert call() == (set(), 0)
    return call


def _cases() -> list[str]:
    return [row.split(",")[0] for row in Path("prepared/index.csv").read_text().splitlines()[1:]]


def test_added_changed_and_removed(go: Callable[[], Made]) -> None:
    parts = read_table(Path("prepared/split.csv")).set_index("case")["part"].to_dict()
    write_case(DATA, "e", scan_of(21), TRUTH, "plain")
    assert go() == ({"e.npz"}, 1)

    write_case(DATA, "b", scan_of(22), TRUTH, "plain-dicom")
    assert go() == ({"b.npz"}, 1)

    write_case(DATA, "c", scan_of(4), moved(L3=(-8.25, 26.0, -31.5)), "plain")
    assert go() == ({"c.npz"}, 1)
    truth = read_archive(MIPS / "c.npz").truth
    assert truth is not None
    assert truth.landmarks["L3"][2] == -31.5

    shutil.rmtree(DATA / "a2")
    assert go() == (set(), 0)
    assert not list(Path(".cache/mips").glob("*a2*"))

    now = read_table(Path("prepared/split.csv")).set_index("case")["part"].to_dict()
    assert {case: now[case] for case in parts if case in now} == {
        case: part for case, part in parts.items() if case != "a2"
    }


def test_only_content_counts(go: Callable[[], Made]) -> None:
    path = DATA / "c" / "ct.nii.gz"
    path.touch()  # as a copy or a checkout does
    assert go() == (set(), 0)

    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[4] ^= 1  # the time stamp in gzip's header: equal size, and equal voxels
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert go() == ({"c.npz"}, 1)

    shutil.rmtree(".cache")  # as in a fresh clone after `dvc pull`
    assert go() == (set(), 5)
    (MIPS / "b.npz").write_bytes(b"spoilt")
    shutil.rmtree(".cache")
    assert go() == ({"b.npz"}, 5)


def test_settings_and_code_make_all_anew(go: Callable[[], Made]) -> None:
    change_params(Path(), {"projection.sagittal_slab_mm": 40.0})
    assert go()[0] == {f"{case}.npz" for case in _cases()}
    with Path("vertebra_ml/projected.py").open("a") as code:
        code.write("# another way\n")
    assert go() == ({f"{case}.npz" for case in _cases()}, 0)
    change_params(Path(), {"limits.gap_sigmas": 6.5})  # judged by, not made by
    assert go() == (set(), 0)


def test_the_index_opens_no_image() -> None:
    for path in Path("data").rglob("*.nii.gz"):
        path.write_bytes(b"no image")
    index.main(load(PARAMS))
    assert len(_cases()) == 5


def test_a_kill_loses_the_scans_in_hand(project: Path) -> None:
    names = [f"s{number:02d}" for number in range(60)]  # seconds of work, whoever is late to kill
    for number, name in enumerate(names):
        scan = scan_of(number, Grid(spacing_mm=(1.0, 1.0, 1.5)))
        write_case(DATA, name, scan, TRUTH, "plain")
    table = ["case,patient,part", *(f"{name},{name},train" for name in names)]
    write_text(Path("prepared/split.csv"), "\n".join(table))
    cache = Path(".cache/mips")
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.project"], cwd=project, start_new_session=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while len(list(cache.glob("*.npz"))) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the stage and its workers, as when power fails
        process.wait()
    finished = {name: i for name, i in _inodes(cache).items() if not name.startswith(".")}
    assert 3 <= len(finished) < len(names)
    in_hand = {name for name in names for path in cache.glob(".*") if name in path.name}
    assert len(in_hand) <= WORKERS
    assert not MIPS.exists()

    change_params(project, ALONE)
    stage.main(load(PARAMS))
    after = _inodes(cache)
    assert finished.items() <= after.items()  # none of them was made again
    assert set(_inodes(MIPS)) == {f"{name}.npz" for name in names}
    assert len(after) == len(names)  # and nothing half made is left
