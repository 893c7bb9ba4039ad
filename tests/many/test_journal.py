"""The journal: healed after a kill, one writer at a time, nothing taken for done that is not."""

from pathlib import Path
from typing import Any

import pytest

from vertebra_ml.errors import DatasetError
from vertebra_ml.many.journal import NAME, Journal


def add(journal: Journal, key: str, **options: Any) -> None:
    journal.add(key, {"case": key}, **({"files": (), "formats": (), "whole": True} | options))


@pytest.fixture
def three(tmp_path: Path) -> Path:
    with Journal(tmp_path) as journal:
        for key in ("a", "b", "c"):
            add(journal, key)
    return tmp_path


def keys(folder: Path, **options: Any) -> list[str]:
    with Journal(folder, **options) as journal:
        found = []
        for key in ("a", "b", "c", "d"):
            place = journal.place(key, ())
            if place:
                assert journal.read(place)["entry"] == {"case": key}
                found.append(key)
        return found


def test_what_was_written_is_found_again(three: Path) -> None:
    assert keys(three) == ["a", "b", "c"]


def test_a_line_cut_off_anywhere_is_healed_and_the_next_one_is_whole(three: Path) -> None:
    path = three / NAME
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        assert keys(three) == ["a", "b"]
        assert path.read_bytes() == whole[:last]
    path.write_bytes(whole[: last + 9])
    with Journal(three) as journal:
        add(journal, "d")
    assert keys(three) == ["a", "b", "d"]


def test_a_line_that_a_disk_has_spoilt_is_passed_over(three: Path) -> None:
    path = three / NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 40 + b"\n" + b"[1]\n" + b'{"key": 3}\n' + lines[2])
    assert keys(three) == ["a", "c"]


def test_anew_forgets(three: Path) -> None:
    assert keys(three, anew=True) == []
    assert keys(three) == []


def test_the_last_word_of_a_scan_counts(three: Path) -> None:
    with Journal(three) as journal:
        journal.add("a", {"case": "later"}, files=(), formats=(), whole=True)
    with Journal(three) as journal:
        place = journal.place("a", ())
        assert place
        assert journal.read(place)["entry"] == {"case": "later"}


def test_a_scan_without_its_files_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with Journal(tmp_path) as journal:
        add(journal, "a", files=["a.png"], formats=["png"])
        add(journal, "b", files=["b.png"], formats=["png"])
        add(journal, "c", whole=False)
    with Journal(tmp_path) as journal:
        assert journal.place("a", ["png"])
        assert journal.place("a", [])
        assert not journal.place("a", ["png", "html"])
        assert not journal.place("b", ["png"])
        assert not journal.place("c", [])


def test_two_do_not_write_at_once(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        add(journal, "a")
        with (
            pytest.raises(DatasetError, match="another command that is writing"),
            Journal(tmp_path),
        ):
            pass
        add(journal, "b")
    assert keys(tmp_path) == ["a", "b"]


def test_nothing_done_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot be written"), Journal(tmp_path / "file"):
        pass
