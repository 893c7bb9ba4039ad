"""Answers on disk: equal digits in both files, whole files or none."""

import csv
import json
import math

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
