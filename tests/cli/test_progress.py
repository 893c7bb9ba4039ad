"""How far work has come, where nobody watches: a line a minute, with the time left."""

import pytest

from vertebra_ml.cli import progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that is set by hand."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_with_the_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.Progress(1100, "locate") as told:
        told.resume(100)  # done by an earlier run: they took no time now
        for _ in range(240):
            clock[0] += 0.5
            told.update()
    assert capsys.readouterr().err.splitlines() == [
        "note: locate: 220 of 1,100 scans, about 7 min left",
        "note: locate: 340 of 1,100 scans, about 6 min left",
    ]


def test_hours_are_hours(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Progress(1001, "locate") as told:
        clock[0] += 61
        told.update()
    assert capsys.readouterr().err == "note: locate: 1 of 1,001 scans, about 16.9 h left\n"


def test_short_work_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Progress(10, "locate") as told:
        clock[0] += 59
        told.update(10)
    assert capsys.readouterr().err == ""
