"""What an evaluation leaves behind: files that agree with each other."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from vertebra_ml import metrics
from vertebra_ml.batch import Evaluation, Picture
from vertebra_ml.evaluation import Measures, in_words, write_evaluation
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction
from vertebra_ml.mip import Mip, MipPair

MEASURES = Measures(gross_mm=20, bootstrap=20, seed=1)


def found() -> Evaluation:
    rows = [
        {"case": f"c{i}", "group": "plain", "level": "L3", "present": True, "found": True,
         "error_mm": float(i), "dz_mm": float(-i), "error_slices": i / 2, "score": 0.9}
        for i in range(5)
    ]  # fmt: skip
    views = [
        Mip(np.zeros((60, 40), np.int16), (1.0, 1.0), (0.0, 0.0), v)
        for v in ("frontal", "sagittal")
    ]
    pair = MipPair(views[0], views[1], (0.0, 0.0))
    prediction = Prediction("c4", Landmarks.empty(), ("L3",), (), ModelIdentity("m"), 0.1)
    return Evaluation(
        rows, [prediction], ["bare"], ["x: failed"], [Picture(pair, prediction, None)]
    )


def written(folder: Path) -> dict:
    history = pd.DataFrame({"epoch": [1.0, 2.0], "loss": [1.0, 0.5]})
    return write_evaluation(
        folder, found(), MEASURES, title="t", facts={"kind": "m"}, history=history
    )


def test_files_agree_with_what_is_returned(tmp_path):
    summary = written(tmp_path / "new")
    assert json.loads((tmp_path / "new/metrics.json").read_text()) == summary
    assert summary["overall"]["median_mm"] == 2
    again = metrics.as_table(pd.read_csv(tmp_path / "new/table.csv").to_dict("records"))
    assert metrics.summarise(again, gross_mm=20, bootstrap=20, seed=1) == summary
    page = (tmp_path / "new/report.html").read_text()
    for word in ("Training", "Worst cases", "scans that failed", "scans without labels", "kind"):
        assert word in page
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in files) == [
        "new/metrics.json", "new/report.html", "new/table.csv", "new/worst/c4.png",
    ]  # fmt: skip


def test_equal_answers_leave_equal_bytes(tmp_path):
    for name in ("a", "b"):
        written(tmp_path / name)
    for path in (tmp_path / "a").rglob("*.*"):
        twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == twin.read_bytes()


def test_words_for_a_terminal():
    evaluation = found()
    summary = metrics.summarise(
        metrics.as_table(evaluation.rows), gross_mm=20, bootstrap=20, seed=1
    )
    first, *lines = in_words(evaluation, summary).splitlines()
    assert first == "Measured on 5 scans: labelled data sets: 5 of plain."
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split()[:4] == ["L3", "5", "5", "2.0"]


def test_nothing_found_is_told(tmp_path):
    summary = write_evaluation(tmp_path, Evaluation(), MEASURES, title="t", facts={})
    assert "Nothing was measured" in in_words(Evaluation(), summary)
