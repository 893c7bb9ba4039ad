"""What a killed ``dvc`` leaves half written is put right, and nothing else is touched."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pipelines import mend
from tests.kills.killing import attempt

ROOT = Path(__file__).parents[2]
WHOLE = (ROOT / "dvc.lock").read_text()
STAGES: dict[str, Any] = yaml.safe_load(WHOLE)["stages"]
TORN = WHOLE[: WHOLE.index("      md5:", 5000) + 8]  # in the middle of a word: no YAML any more


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)


def held() -> dict[str, Any]:
    stages: dict[str, Any] = yaml.safe_load(mend.LOCK.read_text())["stages"]
    return stages


@pytest.mark.parametrize("part", [0.0, 0.001, 0.013, 0.2, 0.37, 0.5, 0.71, 0.9, 0.99])
def test_a_lock_cut_anywhere_keeps_its_whole_stages(part: float) -> None:
    text = WHOLE[: int(len(WHOLE) * part)]
    mend.LOCK.write_text(text)
    list(mend.mend_lock())
    found = held() if mend.LOCK.exists() else {}
    begun = sum(f"\n  {name}:\n" in text for name in STAGES)
    assert len(found) >= begun - 1  # the one in the making is lost
    last = list(STAGES)[begun - 1] if begun else ""
    assert all(STAGES[name] == stage for name, stage in found.items() if name != last)


def test_what_is_lost_comes_from_the_last_commit() -> None:
    mend.LOCK.write_text(WHOLE)
    git("init", "-q")
    git("add", "dvc.lock")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")
    newer = "0a" * 16
    changed = WHOLE.replace(STAGES["index"]["deps"][1]["md5"], newer)
    cut = changed[: changed.index("      md5:", len(WHOLE) // 3) + 8]  # in the middle of a word
    mend.LOCK.write_text(cut)
    (said,) = mend.mend_lock()
    assert "it was cut off" in said
    assert list(held()) == list(STAGES)
    assert held()["index"]["deps"][1]["md5"] == newer
    assert mend.KEPT.read_text() == cut
    mend.LOCK.write_text("")
    list(mend.mend_lock())
    assert held() == STAGES


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True, capture_output=True)


@pytest.mark.parametrize("text", [WHOLE, f"<<<<<<< ours\n{WHOLE}", None])
def test_a_lock_that_is_whole_or_a_persons_is_left(text: str | None) -> None:
    if text is not None:
        mend.LOCK.write_text(text)
    assert list(mend.mend_lock()) == []
    assert (mend.LOCK.read_text() if mend.LOCK.exists() else None) == text


@pytest.fixture
def zombie() -> Iterator[int]:
    """Return a process that ended and that nobody has collected yet."""
    process = subprocess.Popen(["true"])
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    yield process.pid
    process.wait()


@pytest.fixture
def running() -> Iterator[int]:
    """Return a process whose command names dvc."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "dvc"])
    yield process.pid
    process.kill()
    process.wait()


def note(**pids: int) -> None:
    entries = {path: {"pid": pid, "cmd": "dvc repro"} for path, pid in pids.items()}
    read = {path: [entry] for path, entry in entries.items()}
    mend.RWLOCK.write_text(json.dumps({"read": read, "write": entries}))


def test_only_a_dvc_that_runs_keeps_its_notes(zombie: int, running: int) -> None:
    note(dead=2**22 + 1, zombie=zombie, another=os.getpid(), mine=running)
    (said,) = mend.mend_rwlock()
    assert "cleared" in said
    noted = json.loads(mend.RWLOCK.read_text())
    assert set(noted["read"]) == set(noted["write"]) == {"mine"}
    assert list(mend.mend_rwlock()) == []


def test_a_number_used_again_holds_nothing(running: int) -> None:
    note(old=running)
    os.utime(mend.RWLOCK, (0, 0))  # noted long before that process began
    list(mend.mend_rwlock())
    assert json.loads(mend.RWLOCK.read_text()) == {"read": {}, "write": {}}


def test_notes_cut_off_go() -> None:
    for text in ("", '{"read": {"a', "[]", '{"read": []}'):
        mend.RWLOCK.write_text(text)
        (said,) = mend.mend_rwlock()
        assert "cut off" in said
        assert not mend.RWLOCK.exists()


def test_a_dvc_that_is_busy_is_not_disturbed(capsys: pytest.CaptureFixture[str]) -> None:
    mend.LOCK.write_text(TORN)
    mend.RWLOCK.write_text("{")
    with (mend.DVC / "tmp" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mend.main()
    assert mend.LOCK.read_text() == TORN
    mend.main()
    assert mend.LOCK.read_text() != TORN
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_half_an_entry_of_the_run_cache_goes() -> None:
    folder = mend.RUNS / "ab" / ("ab" * 32)
    folder.mkdir(parents=True)
    whole, torn = folder / ("cd" * 32), folder / ".Xa9.tmp"
    for path in (whole, torn):
        path.write_text("cmd: echo")
    assert len(list(mend.mend_runs())) == 1
    assert whole.exists()
    assert not torn.exists()


PIPELINE = """
stages:
  one: {cmd: echo 1 > one.txt, deps: [source.txt], outs: [one.txt]}
  two: {cmd: cat one.txt > two.txt, deps: [one.txt], outs: [two.txt]}
"""


@pytest.mark.server
def test_the_real_dvc_stumbles_and_is_helped(tmp_path: Path, zombie: int) -> None:
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    shutil.copy(ROOT / ".dvc" / "config", project / ".dvc" / "config")
    (project / "dvc.yaml").write_text(PIPELINE)
    (project / "source.txt").write_text("source")
    shutil.copytree(ROOT / "pipelines", project / "pipelines")
    (project / "vertebra_ml").symlink_to(ROOT / "vertebra_ml")
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    repro, mended = ["dvc", "repro"], [sys.executable, "-m", "pipelines.mend"]
    assert attempt(repro, project).status == 0
    lock, rwlock = project / mend.LOCK, project / mend.RWLOCK
    text = lock.read_text()

    lock.write_text(text[: text.index("path: one.txt\n", text.index("two:")) + 3])
    stopped = attempt(repro, project)
    assert stopped.status not in (0, None)
    assert "dvc.lock" in stopped.said  # corrupted

    assert attempt(mended, project).status == 0
    again = attempt(repro, project)
    assert again.status == 0, again.said
    assert "Stage 'two' is cached - skipping run" in again.said
    assert lock.read_text() == text

    entry = {"pid": zombie, "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"read": {}, "write": {str(project / "one.txt"): entry}}))
    (project / "source.txt").write_text("another")
    stopped = attempt(repro, project)
    assert stopped.status not in (0, None)
    assert f"PID {zombie}" in stopped.said
    assert attempt(mended, project).status == 0
    assert attempt(repro, project).status == 0
