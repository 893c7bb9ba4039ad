"""The fit: what an example says, folds without a patient in two, and the shipped numbers."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.chain.columns import candidates, with_more
from vertebra_ml.anatomy import USUAL
from vertebra_ml.chain import statistics
from vertebra_ml.chain.examples import EXTRA, UNKNOWN, Example, read_examples
from vertebra_ml.chain.factors import fit_factors
from vertebra_ml.chain.fit import fit, main
from vertebra_ml.chain.folds import FOLDS, Tally, fold_of, kind_of, measure, patients
from vertebra_ml.chain.labelling import label
from vertebra_ml.chain.statistics import segment_cells
from vertebra_ml.errors import DatasetError

REAL = Path(__file__).parents[3] / "shared" / "real" / "keypoints"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real keypoints are not here")


def example(first: str, last: str, more: list[list[float]]) -> Example:
    column, names = candidates(USUAL[USUAL.index(first) : USUAL.index(last) + 1])
    return Example("a", with_more(column, more), tuple(names), column.points_mm)


def test_what_lies_beyond_the_truth_is_a_vertebra_an_extra_one_or_none() -> None:
    plain = example("T9", "L5", [])
    top, bottom = plain.points_mm[0], plain.points_mm[-1]
    steps = [
        (top, [0, 2, 24]),
        (bottom, [0, -15, -30]),
        (top, [150, 0, 30]),
        (bottom, [0, 0, -200]),
    ]
    more = [(end + np.array(step, dtype=float)).tolist() for end, step in steps]
    names = example("T9", "L5", more).names()
    assert names == [*plain.levels, UNKNOWN, EXTRA, "", ""]


def test_the_nearest_candidate_is_a_vertebras_and_the_copy_is_none() -> None:
    plain = example("T9", "L3", [])
    seen = example("T9", "L3", [(plain.points_mm[2] + np.array([3.0, 0, 0])).tolist()])
    assert seen.names()[-1] == ""
    assert seen.nearest() == list(range(len(plain.levels)))


def test_known_factors_come_back_from_rows_with_holes() -> None:
    random = np.random.default_rng(5)
    loadings = np.array([[2.0], [1.0], [-1.5], [0.5]])
    rows = random.standard_normal((4000, 1)) @ loadings.T + random.standard_normal((4000, 4))
    rows[random.random(rows.shape) < 0.3] = np.nan
    model = fit_factors(rows, 1)
    scale = np.sign(model["loadings"][0, 0])
    np.testing.assert_allclose(scale * model["loadings"], loadings, atol=0.15)
    np.testing.assert_allclose(model["noise"], 1.0, atol=0.1)


def test_cells_tell_which_segment_how_surely_and_what_else() -> None:
    shown = np.array([[0.0, 0.99, 0.02], [0.0, 0.99, 0.6], [0.3, 0.99, 0.0], [0, 0, 1], [0, 0, 0]])
    cells = segment_cells(shown)
    assert len(set(cells.tolist())) == len(shown)
    assert cells.max() < statistics.CELLS


def test_a_folder_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no detections"):
        read_examples(tmp_path)
    with pytest.raises(DatasetError, match="no list of scans"):
        patients(tmp_path / "scans.txt")


def test_patients_stay_whole(tmp_path: Path) -> None:
    lines = [
        "a, verse19/x/rawdata/sub-verse408/sub-verse408_split-verse223_ct.mha",
        "b, verse20/y/rawdata/sub-verse408/sub-verse408_ct.mha",
        "c, COLONOG/COLO3/1.3.0573/01/6.0-PRON",
        "d, COLONOG/COLO3/1.3.0573/01/7.0-SUP",
        "e, Pancreas-CT/data/PANCREAS_0001.nii.gz",
    ]
    (tmp_path / "scans.txt").write_text("\n".join(lines) + "\n")
    people = patients(tmp_path / "scans.txt")
    assert people["a"] == people["b"] == "sub-verse408"
    assert people["c"] == people["d"] == "1.3.0573"
    assert people["e"] == "PANCREAS_0001.nii.gz"
    folds = fold_of(people)
    assert folds["a"] == folds["b"]
    assert set(folds.values()) < set(range(FOLDS))


def test_a_tally_counts_what_a_labelling_gets_right() -> None:
    spine, tally = example("T9", "L5", []), Tally()
    tally.add(spine, label(spine.found))
    assert (tally.spines, tally.complete, tally.complete_right) == (1, 1, 1)
    assert (tally.vertebrae, tally.found, tally.right) == (9, 9, 9)
    assert kind_of(spine) == "nothing special"


@real
def test_the_command_rebuilds_the_shipped_file_byte_for_byte(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipped = Path(statistics.__file__).with_name("statistics.json").read_bytes()
    monkeypatch.setattr("vertebra_ml.chain.fit.__file__", str(tmp_path / "fit.py"))
    main([str(REAL)])
    assert (tmp_path / "statistics.json").read_bytes() == shipped
    assert json.loads(shipped)["source"].startswith("1,947 spine CTs of ImFusion VID")


@real
def test_one_fold_of_real_detections_by_statistics_of_the_others() -> None:
    examples, folds = read_examples(REAL), fold_of(patients(REAL / "scans.txt"))
    parts: dict[int, list[Example]] = defaultdict(list)
    for each in examples:
        parts[folds[each.name]].append(each)
    learnt = fit([e for fold in range(1, FOLDS) for e in parts[fold]])
    one = dict.fromkeys((e.name for e in parts[0]), 0)
    tally = measure(parts[0], one, lambda _: learnt)
    assert tally.right > 0.94 * tally.found
    assert tally.complete_right > 0.92 * tally.complete
