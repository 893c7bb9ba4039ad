"""Products made one by one: kept after a failure or a kill, made anew when their key changes."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipelines.products import forget, make_all, product_key
from vertebra_ml.errors import DatasetError

FOLDER, CACHE = Path("prepared/things"), Path(".cache/things")


def make(log: Path, text: str, fault: Path, path: Path) -> None:
    """Write ``text``, note it in ``log``; refuse where ``fault`` exists."""
    with log.open("a") as file:
        file.write(text)
    if text == "b" and fault.exists():
        raise DatasetError("b", found="nothing", expected="something", fix="mend it")
    path.write_text(text)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what makes products of one letter each and tells which were made, in order."""
    monkeypatch.chdir(tmp_path)

    def call(letters: str, key: str = "one", **keys: str) -> str:
        log = tmp_path / "log"
        log.write_text("")
        tasks = {f"{a}.txt": partial(make, log, a, tmp_path / "fault") for a in letters}
        of = {f"{a}.txt": keys.get(a, key) for a in letters}
        try:
            make_all(tasks, folder=FOLDER, keys=of, workers=1)
        finally:
            told = "".join(sorted(log.read_text()))
        assert {p.name for p in FOLDER.iterdir()} == set(tasks)  # nothing else stays
        assert {p.read_text() for p in FOLDER.iterdir()} == set(letters)
        assert len(list(CACHE.iterdir())) == len(tasks)
        return told

    return call


def test_what_is_finished_is_kept(made: Callable[..., str], tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    fault.touch()
    with pytest.raises(DatasetError, match=r"1 of 3 failed: b: .*b: found nothing"):
        made("abc")
    assert not FOLDER.exists()  # no half a folder
    (CACHE / ".1-c.txt").touch()  # what a killed worker leaves
    fault.unlink()
    assert made("abc") == "b"
    assert made("abc") == ""


def test_each_product_has_its_own_key(made: Callable[..., str]) -> None:
    assert made("abc") == "abc"
    assert made("abcd") == "d"
    assert made("abcd", c="two") == "c"
    assert made("abd") == ""
    assert made("abd", "three") == "abd"


def test_a_folder_fetched_from_elsewhere_is_taken_up(made: Callable[..., str]) -> None:
    made("abc")
    shutil.rmtree(".cache")
    (FOLDER / "b.txt").unlink()
    (FOLDER / "b.txt").write_text("B")  # not what was made
    assert made("abc") == "b"
    shutil.rmtree(".cache")
    assert made("abcd", a="two") == "ad"
    shutil.rmtree(".cache")
    FOLDER.with_name("things.made.json").write_text('{"a.txt": 1}')  # a file that says nothing
    assert made("ab", a="two") == "ab"


def test_what_a_gate_found_wanting_is_made_anew(made: Callable[..., str]) -> None:
    made("abc")
    forget(FOLDER, ["b.txt", "unknown.txt"])
    assert made("abc") == "b"


def test_key_follows_code_and_settings() -> None:
    key = product_key(("vertebra_ml.prepare",), {"spacing_mm": 1.0})
    assert key == product_key(("vertebra_ml.prepare",), {"spacing_mm": 1.0})
    assert key != product_key(("vertebra_ml.prepare",), {"spacing_mm": 2.0})
    assert key != product_key(("vertebra_ml.archive",), {"spacing_mm": 1.0})
