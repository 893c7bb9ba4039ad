"""Samples: what is good passes, and each fault is named by its rule."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vertebra_ml.limits import SAMPLE_RULES, check_row, describe_sample

ROW_MM = 6.0
LABELS = ("T12", "L1", "L2", "L3", "L4")
Arrays = dict[str, Any]


def sample() -> Arrays:
    """Return a sample of five vertebrae 30 mm apart, 5 rows of 6 mm each."""
    heights = 100.0 - 30 * np.arange(5)
    points = np.stack([np.zeros(5), np.zeros(5), heights], axis=1)
    rows = 3.0 + 5 * np.arange(5)
    codes = np.full((30, 8, 8), 10, dtype=np.uint8)
    return {
        "case": np.array("a"), "patient": np.array("p"), "group": np.array("plain"),
        "labels": np.array(LABELS), "points_mm": points, "codes": codes,
        "places": np.stack([rows * 0 + 4, rows * 0 + 4, rows], axis=1),
    }  # fmt: skip


def facts(folder: Path, arrays: Arrays) -> dict[str, object]:
    """Write the arrays and return what is said of them, in a part and with a patient."""
    np.savez(folder / "a.npz", allow_pickle=False, **arrays)
    row = describe_sample(folder / "a.npz", row_mm=ROW_MM)
    return row | {"part": "train", "parts_of_patient": 1}


def test_a_good_sample_breaks_no_rule(tmp_path: Path) -> None:
    row = facts(tmp_path, sample())
    assert check_row(row, SAMPLE_RULES) == ()
    assert row["stretch"] == 1.0
    assert (row["labels"], row["shape"], row["pieces"]) == ("T12 L1 L2 L3 L4", "30x8x8", 30)


def test_the_edge_of_a_tilted_or_coarse_grid_is_no_fault(tmp_path: Path) -> None:
    arrays = sample()
    arrays["codes"] = arrays["codes"][:23]  # the last landmark lies on row 23, just below
    arrays["codes"][8] = 0
    assert check_row(facts(tmp_path, arrays), SAMPLE_RULES) == ()


def test_a_bowed_column_is_measured_along_its_vertebrae(tmp_path: Path) -> None:
    arrays = sample()
    points = arrays["points_mm"]
    points[:, 1] = [0, 20, 40, 20, 0]  # 36.06 mm from centre to centre, 30 of them in height
    arrays["places"] = arrays["places"] * [1, 1, np.hypot(30, 20) / 30]
    arrays["codes"] = np.full((40, 8, 8), 10, dtype=np.uint8)
    row = facts(tmp_path, arrays)
    assert row["stretch"] == pytest.approx(1.0, abs=1e-3)
    assert check_row(row, SAMPLE_RULES) == ()


def _empty_plane(arrays: Arrays) -> None:
    arrays["codes"][7:10] = 0
    arrays["codes"][7:10, :4] = 255


def _set(name: str, value: Any) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: value(arrays[name]) if callable(value) else value})


FAULTS: dict[str, tuple[Callable[[Arrays], object], str, str]] = {
    "no points": (lambda a: a.pop("points_mm"), "fault", "no array points_mm"),
    "no picture": (lambda a: a.pop("codes"), "fault", "no array of three dimensions"),
    "another's": (_set("case", np.array("b")), "fault", "found that of b"),
    "a place that is none": (_set("places", lambda p: p * np.nan), "not_finite", "places"),
    "an unknown level": (_set("labels", np.array([*LABELS[:4], "S1"])), "unknown", "S1"),
    "a level twice": (_set("labels", np.array([*LABELS[:4], "L3"])), "repeated", "L3"),
    "a place too few": (_set("places", lambda p: p[1:]), "unplaced", "1"),
    "a landmark below the picture": (_set("codes", lambda c: c[:22]), "outside", "L4"),
    "nothing at a landmark": (_empty_plane, "not_shown", "L1"),
    "half the spacing": (_set("places", lambda p: p * [1, 1, 0.4]), "stretch", "0.4"),
    "feet first": (_set("places", lambda p: p[::-1]), "stretch", "-1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named(name: str, tmp_path: Path) -> None:
    plant, rule, said = FAULTS[name]
    arrays = sample()
    plant(arrays)
    found = check_row(facts(tmp_path, arrays), SAMPLE_RULES)
    assert [finding.rule.column for finding in found] == [rule]
    assert said in found[0].text


def test_pieces_without_an_answer_are_at_fault(tmp_path: Path) -> None:
    arrays = sample()
    del arrays["places"], arrays["codes"]
    arrays |= {"hu": np.zeros((2, 4, 4, 4), np.int16), "mask": np.zeros((2, 4, 4, 4), np.uint8)}
    (found,) = check_row(facts(tmp_path, arrays), SAMPLE_RULES)
    assert found.rule.column == "taught"
    arrays["mask"][1, 2] = 1
    assert check_row(facts(tmp_path, arrays), SAMPLE_RULES) == ()


def test_a_file_cut_short_and_none_at_all(tmp_path: Path) -> None:
    facts(tmp_path, sample())
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes()[:300])
    assert "cannot be read" in str(describe_sample(path)["fault"])
    assert "no such file" in str(describe_sample(tmp_path / "b.npz")["fault"])


def test_a_ct_without_landmarks_has_nothing_to_learn(tmp_path: Path) -> None:
    arrays = sample()
    for name in ("codes", "places"):
        del arrays[name]
    arrays |= {"labels": np.array([], dtype="U3"), "points_mm": np.empty((0, 3))}
    assert facts(tmp_path, arrays)["pieces"] == 0
