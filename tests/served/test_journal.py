"""The log of requests: a whole line a case, by many processes at once, in files that end."""

import json
import multiprocessing
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layouts import make_scan
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.served.journal import PATTERN, VARIABLE, Journal, answered, digest, refused

WHO = ModelIdentity("slice_spotter", "3", "run", "0f1e")
EACH, WRITERS = 200, 4


def lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob(PATTERN))
        for line in path.read_text().splitlines()
    ]


def prediction() -> Prediction:
    marks = Landmarks(
        ("T12",), np.array([[np.nan, np.nan, 3.0]]), np.array([0.91234]), np.array([np.nan])
    )
    return Prediction("Doe", marks, ("L3",), (None,), WHO, 0.1, ("a", "b"), (0.75,))


def _write_many(folder: str, name: int) -> None:
    journal = Journal(Path(folder), 20_000)
    for number in range(EACH):
        journal.write({"writer": name, "number": number, "filling": "x" * 300})


def test_an_answer_is_told_without_a_name(tmp_path: Path) -> None:
    Journal(tmp_path).write(
        {"scan": "abc", **answered(prediction(), 0.25), "facts": {"form": "ct"}}
    )
    (line,) = lines(tmp_path)
    assert line.pop("time").endswith("Z")
    assert line == {
        "scan": "abc", "model": "slice_spotter", "version": "3", "run": "run", "data_hash": "0f1e",
        "outcome": "answered", "found": ["T12"], "untold": [], "missing": ["L3"],
        "scores": {"T12": 0.912, "L3": 0.75}, "spread_mm": {}, "warnings": 2, "seconds": 0.25,
        "facts": {"form": "ct"},
    }  # fmt: skip


def test_a_refusal_is_its_class_and_not_its_words(tmp_path: Path) -> None:
    error = DatasetError("Doe-Jane", found="Jane", expected="x", fix="y")
    Journal(tmp_path).write(refused(WHO, error, 0.1))
    assert lines(tmp_path)[0]["outcome"] == "DatasetError"
    assert "Jane" not in next(tmp_path.glob(PATTERN)).read_text()


def test_many_processes_lose_no_line_and_tear_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(str(tmp_path), n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = [(line["writer"], line["number"]) for line in lines(tmp_path)]
    assert sorted(found) == [(w, n) for w in range(WRITERS) for n in range(EACH)]
    sizes = [path.stat().st_size for path in tmp_path.glob(PATTERN)]
    assert len(sizes) > 5
    assert max(sizes) < 20_000 + WRITERS * 500
    assert stat.S_IMODE(next(tmp_path.glob(PATTERN)).stat().st_mode) & 0o007 == 0


def test_a_full_disk_fails_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "log")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.open", full)
        for _ in range(3):
            journal.write({"a": 1})
    assert len(caplog.records) == 1
    journal.write({"a": 2})
    assert [line["a"] for line in lines(tmp_path / "log")] == [2]


def test_a_torn_line_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    journal, whole = Journal(tmp_path), os.write
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda place, data: whole(place, data[:10]))
        journal.write({"a": 1})
    journal.write({"a": 2})
    (path,) = tmp_path.glob(PATTERN)
    assert json.loads(path.read_text().splitlines()[-1])["a"] == 2


def test_digests(tmp_path: Path) -> None:
    data = make_scan().array.tobytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b").write_bytes(data)
    assert digest(data) == digest(tmp_path / "in" / "b")
    before = digest(tmp_path / "in")
    (tmp_path / "secret").write_bytes(b"not to be read")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    assert digest(tmp_path / "in") == before
    (tmp_path / "in" / "a").write_bytes(b"1")
    assert digest(tmp_path / "in") != before
    assert digest(tmp_path / "lost") is None


def test_a_log_asked_for_and_impossible_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "log"))
    with pytest.raises(LimitError, match=f"cannot be made.*{VARIABLE}"):
        Journal.of_environment()
    monkeypatch.delenv(VARIABLE)
    assert Journal.of_environment() is None
