"""Answers on disk: equal digits in both files, whole files or none."""

import csv
import errno
import json
import math
import os

import numpy as np
import pandas as pd
import pytest

from vertebra_ml import outputs
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import (
    ROW_COLUMNS,
    Landmarks,
    ModelIdentity,
    Prediction,
    SliceReference,
)  # fmt: skip

IDENTITY = ModelIdentity("slice_spotter", "7", "run1", "md5")


def prediction(case: str = "a", warnings: tuple[str, ...] = ()) -> Prediction:
    marks = Landmarks(
        ("T12", "L3"),
        np.array([[math.nan, math.nan, 1 / 3], [1.5, -2.0, -1e-7]]),
        np.array([2 / 3, 1.0]),
        np.array([math.nan, 4.0]),
    )
    places = (SliceReference(0), SliceReference(41, 12, "1.2.3"))
    return Prediction(case, marks, ("L5",), places, IDENTITY, 0.12345, warnings, (0.98765,))


def written(folder, *predictions, failures=()):
    with outputs.Results(folder) as results:
        for each in predictions:
            results.add(each)
        results.finish(failures)
    text = (folder / "slices.csv").read_text()
    return text, json.loads((folder / "slices.json").read_text())


def test_the_table_has_the_promised_columns_and_cells(tmp_path):
    text, _ = written(tmp_path, prediction())
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == ROW_COLUMNS
    assert [row["level"] for row in rows] == ["T12", "L3", "L5"]
    assert (rows[0]["found"], rows[2]["found"]) == ("true", "false")
    assert rows[1]["z_mm"] == "0.0"  # never -0.0
    assert (rows[0]["x_mm"], rows[0]["z_mm"], rows[0]["score"]) == ("", "0.333", "0.667")
    assert (rows[1]["slice_index"], rows[1]["slice_number"]) == ("41", "42")
    assert (rows[1]["instance_number"], rows[1]["sop_instance_uid"]) == ("12", "1.2.3")
    assert (rows[2]["z_mm"], rows[2]["slice_index"], rows[2]["score"]) == ("", "", "0.988")


def test_csv_and_json_agree_to_the_digit(tmp_path):
    text, document = written(tmp_path, prediction("a"), prediction("b"))
    rows = list(csv.DictReader(text.splitlines()))
    levels = [
        {"case": case["case"], **level} for case in document["cases"] for level in case["levels"]
    ]
    assert len(rows) == len(levels) == 6
    for row, level in zip(rows, levels, strict=True):
        for name, value in level.items():
            written_as = str(value).lower() if isinstance(value, bool) else str(value)
            assert row[name] == ("" if value is None else written_as)


def test_json_says_who_answered_how_long_and_what_failed(tmp_path):
    _, document = written(tmp_path, prediction(warnings=("look, twice",)), failures=["x: found"])
    (case,) = document["cases"]
    assert case["model"] == {
        "kind": "slice_spotter", "version": "7", "run": "run1", "data_hash": "md5",
    }  # fmt: skip
    assert (case["seconds"], case["warnings"]) == (0.123, ["look, twice"])
    assert case["levels"][2] == {
        **dict.fromkeys(case["levels"][2]), "level": "L5", "found": False, "score": 0.988,
    }  # fmt: skip
    assert document["failures"] == ["x: found"]


def test_no_case_gives_an_empty_table_and_valid_json(tmp_path):
    text, document = written(tmp_path / "new" / "folder")
    assert text == ",".join(ROW_COLUMNS) + "\n"
    assert document["cases"] == []


def test_a_warning_with_commas_and_quotes_survives(tmp_path):
    written(tmp_path, prediction(warnings=('a "b", c\nd',)))
    table = pd.read_csv(tmp_path / "slices.csv")
    assert set(table["warning"]) == {'a "b", c\nd'}
    assert list(table["found"]) == [True, True, False]


def test_a_killed_run_leaves_what_it_had_and_no_half_table(tmp_path):
    def run() -> None:
        with outputs.Results(tmp_path) as results:
            results.add(prediction("done"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "slices.csv").exists()
    kept = (tmp_path / ".slices.csv.part").read_text()
    assert kept.count("done") == 3


def test_results_of_an_earlier_run_stay_until_the_new_ones_are_whole(tmp_path):
    written(tmp_path, prediction("old"))
    with outputs.Results(tmp_path) as results:
        results.add(prediction("new"))
        assert "old" in (tmp_path / "slices.csv").read_text()
        results.finish([])
    assert "old" not in (tmp_path / "slices.csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slices.csv", "slices.json"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="results that cannot be written") as caught:
        written(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_only_the_files_asked_for(tmp_path):
    with outputs.Results(tmp_path, ("json", "html")) as results:
        results.add(prediction())
        results.finish([])
    assert [path.name for path in tmp_path.iterdir()] == ["slices.json"]


def test_a_run_that_ends_before_its_first_case_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), outputs.Results(tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_utf8_does_not_break_the_files(tmp_path):
    text, document = written(tmp_path, prediction(warnings=("a\udce9b",)), failures=["\udce9: x"])
    assert document["failures"] == ["\udce9: x"]
    assert "a\\udce9b" in text


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    outputs.replace_text(path, "old")
    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(DatasetError, match="No space left on device") as caught:
        outputs.replace_text(path, "new")
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_made_or_refused_before_work_begins(tmp_path, monkeypatch):
    outputs.check_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(DatasetError, match="cannot be written"):
            outputs.check_folder(path)
    monkeypatch.setattr("pathlib.Path.touch", full_disk)
    with pytest.raises(DatasetError, match="cannot be written"):
        outputs.check_folder(tmp_path)


def test_formats_are_named_and_each_taken_once():
    assert outputs.check_formats(["html", "csv", "html"]) == ("html", "csv")
    with pytest.raises(DatasetError, match=r"'xml'.*csv,json,verse,slicer,png,html"):
        outputs.check_formats(["csv", "xml"])
    with pytest.raises(DatasetError):
        outputs.check_formats([])


def test_no_case_overwrites_the_file_of_another(tmp_path, monkeypatch):
    made = {"a": {"a-L3.png": b"slice of a"}, "a-l3": {"A-L3.png": b"overlay of a-l3"}}
    monkeypatch.setattr(outputs.formats, "import_module", lambda _: _Maker(made))
    delivery = outputs.Delivery(tmp_path, ["m:files"])
    delivery.write("m:files", _Case("a"))
    delivery.write("m:files", _Case("a"))
    with pytest.raises(DatasetError, match="a file of the case a"):
        delivery.write("m:files", _Case("a-l3"))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a-L3.png", b"slice of a")]


class _Case:
    def __init__(self, case: str) -> None:
        self.case = case


class _Maker:
    def __init__(self, made: dict) -> None:
        self.files = lambda answer: made[answer.case]


def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path, monkeypatch):
    write = outputs.Results._write

    def full(self, **texts: str) -> None:
        if "case" in texts["csv"]:
            write(self, csv="half", json="")
            full_disk()
        write(self, **texts)

    def run() -> None:
        with outputs.Results(tmp_path):
            raise AssertionError("it began")

    monkeypatch.setattr(outputs.Results, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        run()
    assert list(tmp_path.iterdir()) == []
