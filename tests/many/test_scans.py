"""A folder of scans: only what is missing is done, by one process or several, with one result."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.many.fake import Fake, begun, loaded, scans
from vertebra_ml.errors import ModelError
from vertebra_ml.many import engines
from vertebra_ml.many.scans import Wanted, locate_many

NAMES = [f"s{number:02d}" for number in range(8)]


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., tuple[int, list[str]]]:
    """Return what locates the scans of these names into ``out``."""

    def call(
        names: list[str], *, workers: int = 1, formats: Any = ("csv", "json"), **options: Any
    ) -> tuple[int, list[str]]:
        overlay, again = options.pop("overlay", False), options.pop("again", False)
        fake = Fake(tmp_path / "notes", **options)
        fake.notes.mkdir(exist_ok=True)
        wanted = Wanted(tmp_path / "out", formats, overlay, fake.mark, again)
        engine = engines.here(fake, fake.build, workers)
        return locate_many(scans(tmp_path / "scans", names), wanted, engine)

    return call


def rows(folder: Path) -> list[str]:
    with (folder / "out" / "slices.csv").open(newline="") as file:
        return [row["case"] for row in csv.DictReader(file)]


def twice(names: list[str]) -> list[str]:
    return [name for name in names for _ in range(2)]  # T12 and L3


def test_done_once_and_not_again_until_asked(go: Any, tmp_path: Path) -> None:
    assert go(NAMES) == (8, [])
    table = (tmp_path / "out" / "slices.csv").read_bytes()
    document = (tmp_path / "out" / "slices.json").read_bytes()
    assert rows(tmp_path) == twice(NAMES)
    assert go(NAMES) == (8, [])
    assert set(begun(tmp_path / "notes").values()) == {1}
    assert loaded(tmp_path / "notes") == 1  # nor is a model loaded for nothing
    assert (tmp_path / "out" / "slices.csv").read_bytes() == table
    assert (tmp_path / "out" / "slices.json").read_bytes() == document
    assert go(NAMES, again=True) == (8, [])
    assert set(begun(tmp_path / "notes").values()) == {2}


def test_new_changed_and_dropped_scans(go: Any, tmp_path: Path) -> None:
    go(NAMES[:4])
    (tmp_path / "scans" / "s01.nii.gz").write_bytes(b"another")
    os.utime(tmp_path / "scans" / "s02.nii.gz", (1, 1))
    assert go([*NAMES[1:3], "s03", "new"])[0] == 4
    assert begun(tmp_path / "notes") == {"s00": 1, "s01": 2, "s02": 2, "s03": 1, "new": 1}
    assert rows(tmp_path) == twice(["s01", "s02", "s03", "new"])


def test_the_order_is_that_of_the_input(go: Any, tmp_path: Path) -> None:
    go(["s05", "s02"])
    go(["s07", "s05", "s00", "s02"])
    assert rows(tmp_path) == twice(["s07", "s05", "s00", "s02"])


def test_a_failure_is_a_line_and_is_tried_again(go: Any, tmp_path: Path) -> None:
    for _ in range(2):
        located, failures = go(["s00", "bad-1", "s01", "bad-2"])
        assert located == 2
        assert [("bad-1" in line, "bad-2" in line) for line in failures] == [(1, 0), (0, 1)]
    assert begun(tmp_path / "notes") == {"s00": 1, "s01": 1, "bad-1": 2, "bad-2": 2}
    document = json.loads((tmp_path / "out" / "slices.json").read_text())
    assert document["failures"] == failures


def test_files_of_a_scan_are_made_where_they_lack(go: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(NAMES[:2])
    go(NAMES[:2], formats=("csv", "verse"))
    assert set(begun(tmp_path / "notes").values()) == {2}
    made = out / "s01_ctd.json"
    content = made.read_bytes()
    made.unlink()
    go(NAMES[:2], formats=("verse",))
    assert made.read_bytes() == content
    go(NAMES[:2])
    assert begun(tmp_path / "notes") == {"s00": 2, "s01": 3}


def test_a_name_of_another_scans_file_is_not_taken(go: Any, tmp_path: Path) -> None:
    """Also where that other scan was done by an earlier command."""
    go(["a"], formats=("csv", "png"))
    picture = (tmp_path / "out" / "a-L3.png").read_bytes()
    located, (line,) = go(["a", "a-L3"], formats=("csv", "png"), overlay=True, workers=1)
    assert located == 2
    assert "the name of a file of the case a" in line
    assert (tmp_path / "out" / "a-L3.png").read_bytes() == picture
    assert (tmp_path / "out" / "a.png").exists()
    assert (tmp_path / "out" / "a-L3-L3.png").exists()


def test_several_processes_do_the_same_and_outlive_a_killer(go: Any, tmp_path: Path) -> None:
    names = [*NAMES[:3], "killer", *NAMES[3:], "bad"]
    located, (first, second) = go(names, workers=2, formats=("csv", "json", "verse"))
    assert located == 8
    assert "killer.nii.gz: found a scan during which two processes ended" in first
    assert "bad.nii.gz: found ValueError" in second
    assert begun(tmp_path / "notes") == dict.fromkeys(NAMES, 1) | {"killer": 2, "bad": 1}
    assert 3 <= loaded(tmp_path / "notes") <= 4  # two, and one or two for those that were killed
    assert (tmp_path / "out" / "s07_ctd.json").exists()
    table = (tmp_path / "out" / "slices.csv").read_bytes()
    names = [name for name in names if name != "killer"]
    assert go(names, workers=1, again=True)[0] == 8
    # The heights are those of the places in the list, so that of every scan behind it has changed.
    assert (tmp_path / "out" / "slices.csv").read_bytes().count(b"\n") == table.count(b"\n")


def test_a_model_that_does_not_load_is_one_error(go: Any, tmp_path: Path) -> None:
    for workers in (1, 2):
        with pytest.raises(ModelError, match="found a broken model"):
            go(NAMES, workers=workers, broken=True)
    assert not list((tmp_path / "out").iterdir())
