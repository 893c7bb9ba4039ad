"""Processes of this machine: how many, and that they go when they should."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.many.conftest import ROOT, killed
from tests.many.fake import begun, loaded
from vertebra_ml.many.journal import NAME
from vertebra_ml.many.workers import (
    BASE_BYTES,
    JOBS_EACH,
    free_bytes,
    planned,
    settings_of,
    threads_each,
)

GB = 10**9


@pytest.mark.parametrize(
    ("jobs", "cores", "free", "count"),
    [
        (1, 8, 64 * GB, 1),
        (JOBS_EACH * 2 - 1, 8, 64 * GB, 1),
        (JOBS_EACH * 2, 8, 64 * GB, 2),
        (1000, 8, 64 * GB, 8),
        (1000, 64, 10 * GB, 8 * GB // BASE_BYTES),
        (1000, 8, 0, 1),
        (0, 8, 64 * GB, 1),
    ],
)
def test_processes_by_scans_cores_and_memory(jobs: int, cores: int, free: int, count: int) -> None:
    assert planned(jobs, cores=cores, free=free) == count


def test_threads_are_shared() -> None:
    assert [threads_each(count, 8) for count in (1, 3, 8, 16)] == [8, 2, 1, 1]
    assert settings_of(3)["TF_NUM_INTRAOP_THREADS"] == "3"


def test_a_containers_memory_counts(tmp_path: Path) -> None:
    machine = free_bytes(tmp_path)
    assert machine > 0
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert abs(free_bytes(tmp_path) - machine) < 2 * GB  # another program's doing
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_bytes(tmp_path) == 4000


def batch(folder: Path, pause_s: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.many.fake", folder, "12", "2", str(pause_s)], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_killed_in_mid_run_and_repeated(tmp_path: Path) -> None:
    """Nothing done is lost or done twice, and no process stays behind."""
    notes, journal = tmp_path / "notes", tmp_path / "out" / NAME
    running = batch(tmp_path, 0.3)
    killed(running, journal)
    done = journal.read_bytes().count(b"\n")
    assert 3 <= done < 12
    assert not (tmp_path / "out" / "slices.csv").exists()
    assert loaded(notes) == 2

    with journal.open("ab") as file:
        file.write(b'{"key": "half a li')
    assert batch(tmp_path, 0).wait() == 0
    often = begun(notes)
    assert set(often) == {f"s{number:03d}" for number in range(12)}
    assert sum(often.values()) <= 12 + 2  # those in work when it was killed
    table = (tmp_path / "out" / "slices.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in table[1::2]] == sorted(often)
