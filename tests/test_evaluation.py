"""What an evaluation leaves behind: files that agree with each other."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from vertebra_ml import metrics
from vertebra_ml.batch import Evaluation, Picture
from vertebra_ml.evaluation import Measures, in_words, write_comparison, write_evaluation
from vertebra_ml.id_rates import SCAN_COLUMNS, Scan
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import Source

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
    assert lines[1].split()[:5] == ["L3", "5", "5", "0", "2.0"]


def test_nothing_found_is_told(tmp_path):
    summary = write_evaluation(tmp_path, Evaluation(), MEASURES, title="t", facts={})
    assert "Nothing was measured" in in_words(Evaluation(), summary)


SPINE = {level: (0.0, 0.0, 300.0 - 30 * i) for i, level in enumerate(("C7", "T1", "T2", "L1"))}


def column(*moved_mm: float) -> Evaluation:
    """Return answers of a model that names columns: a case each, all its points moved along x."""
    evaluation = Evaluation(failures=["x: failed"])
    for number, mm in enumerate(moved_mm):
        marks = Landmarks.of({name: (x + mm, y, z) for name, (x, y, z) in SPINE.items()})
        said = Prediction(
            f"c{number}", marks, ("L2",), (None,) * 4, ModelIdentity("m"), 1.0, ("a; <b>",)
        )
        truth = Truth(Landmarks.of(SPINE), tuple(SPINE))
        source = Source(np.diag([1.0, 1.0, 2.0, 1.0]), (50, 50, 200))
        evaluation.rows.extend(metrics.score(said.case, "plain", truth, said, source))
        evaluation.predictions.append(said)
        evaluation.scans.append(Scan(said.case, "plain", truth, said))
    return evaluation


def test_answers_that_name_columns_have_rates_and_a_row_a_scan(tmp_path):
    evaluation = column(0.0, 3.0, 25.0)
    summary = write_evaluation(tmp_path, evaluation, MEASURES, title="t", facts={})
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary
    named = summary["identification"]
    assert (named["overall"]["identified"], named["overall"]["labelled"]) == (8, 12)
    assert list(named["regions"]) == ["cervical", "thoracic", "lumbar"]
    assert named["overall"]["mean_mm"] == 1.5
    scans = pd.read_csv(tmp_path / "scans.csv")
    assert tuple(scans.columns) == SCAN_COLUMNS
    assert list(scans["identified"]) == [4, 4, 0]
    assert list(scans["all_right"]) == [True, True, False]
    words = in_words(evaluation, summary)
    assert "all: 8 of 12 named right (66.7 %), mean 1.5 mm, 0 invented" in words
    assert words.endswith("all right: 2 of 3 scans")


def test_heights_alone_leave_no_rates(tmp_path):
    summary = written(tmp_path)
    assert "identification" not in summary
    assert "Vertebrae named right" not in (tmp_path / "report.html").read_text()


def test_models_stand_side_by_side(tmp_path):
    models = {
        "good": (tmp_path / "g", column(0.0, 1.0)), "<bad>": (tmp_path / "b", column(22.0, 0.0)),
        "heights": (tmp_path / "h", found()),
    }  # fmt: skip
    summaries = write_comparison(tmp_path, models, MEASURES, title="three", facts={"data": "d"})
    table = pd.read_csv(tmp_path / "models.csv")
    assert list(table["model"]) == ["good", "<bad>", "heights"]
    assert list(table["id_rate"])[:2] == [1.0, 0.5]
    assert np.isnan(table["id_rate"][2])
    assert list(table["failed"]) == [1, 1, 1]
    assert table["mean_identified_mm"][0] == 0.5
    for name, (folder, _) in models.items():
        assert json.loads((folder / "metrics.json").read_text()) == summaries[name]
        assert (folder / "scans.csv").exists() == (name != "heights")
        assert not (folder / "report.html").exists()
    page = (tmp_path / "report.html").read_text()
    assert "<bad>" not in page
    assert page.index("Models side by side") < page.index('<h1 class="model">good')
    assert page.count("<h2>Vertebrae named right</h2>") == 2
    assert "nan" not in page.split("<body>")[1].lower().split("data:")[0]
