"""Products made one by one: kept after a failure or a kill, made anew when their key changes."""

from functools import partial
from pathlib import Path

import pytest

from pipelines.products import make_all, product_key
from vertebra_ml.errors import DatasetError


def make(log: Path, text: str, fault: Path, path: Path) -> None:
    """Write ``text``, note it in ``log``; refuse where ``fault`` exists."""
    with log.open("a") as file:
        file.write(text)
    if text == "b" and fault.exists():
        raise DatasetError("b", found="nothing", expected="something", fix="mend it")
    path.write_text(text)


def test_what_is_finished_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log, fault, folder = tmp_path / "log", tmp_path / "fault", Path("prepared/things")
    tasks = {f"{text}.txt": partial(make, log, text, fault) for text in "abc"}
    fault.touch()
    with pytest.raises(DatasetError, match=r"1 of 3 failed: \.?.*b: found nothing"):
        make_all(tasks, folder=folder, key="one", workers=1)
    assert not folder.exists()  # no half a folder
    (tmp_path / ".cache/things/one/.1-c.txt").touch()  # what a killed worker leaves
    fault.unlink()
    make_all(tasks, folder=folder, key="one", workers=1)
    assert sorted(log.read_text()) == list("abbc")  # b alone was made again
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        f"{text}.txt": text for text in "abc"
    }
    make_all({"a.txt": tasks["a.txt"]}, folder=folder, key="one", workers=1)
    assert [p.name for p in folder.iterdir()] == ["a.txt"]  # nothing of an older run stays
    make_all(tasks, folder=folder, key="two", workers=1)
    assert sorted(log.read_text()) == list("aabbbcc")
    assert [p.name for p in (tmp_path / ".cache/things").iterdir()] == ["two"]


def test_key_follows_code_and_settings() -> None:
    key = product_key(("vertebra_ml.prepare",), {"spacing_mm": 1.0})
    assert key == product_key(("vertebra_ml.prepare",), {"spacing_mm": 1.0})
    assert key != product_key(("vertebra_ml.prepare",), {"spacing_mm": 2.0})
    assert key != product_key(("vertebra_ml.archive",), {"spacing_mm": 1.0})
