"""The bench of real scans: figures, pictures, page and row, on boxes and answers made here."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmarks import real, real_figures, real_models, real_pages, real_table
from benchmarks.real_figures import Figures, Share
from benchmarks.real_models import Asked
from vertebra_ml.batch import Evaluation, compare_all
from vertebra_ml.case import Case
from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth
from vertebra_ml.models.contract import Contract
from vertebra_ml.readers.writers import write_json, write_nifti
from vertebra_ml.volume import Volume

LEVELS = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
TRUE_Z = {"T12": 120.0, "L1": 90.0, "L2": 60.0, "L3": 30.0}
GROSS_MM = 20.0
IDENTITY = ModelIdentity("fixed", "1")


def volume() -> Volume:
    array = np.full((40, 30, 40), -1000, np.int16)
    array[4:36, 4:26] = 40
    array[18:22, 8:12] = 700
    return Volume(array, np.diag([5.0, 5.0, 4.0, 1.0]))


def truth(**heights: float) -> Truth:
    """Labels where asked for; L4 is visible without a label."""
    points = {level: (100.0, 50.0, z) for level, z in (heights or TRUE_Z).items()}
    return Truth(Landmarks.of(points), (*points, "L4"))


@dataclass
class Fixed:
    """Answers (x, y, z) and scores of its own choosing, case by case."""

    answers: dict[str, dict[str, tuple[float, float, float]]]
    scores: dict[str, float] = field(default_factory=dict)
    levels: tuple[str, ...] = LEVELS
    kind: str = "fixed"
    identity: ModelIdentity = IDENTITY

    def locate(self, volume: Volume, case: str) -> Prediction:
        said = {k: v for k, v in self.answers.get(case, {}).items() if k in self.levels}
        marks = Landmarks.of(said) if said else Landmarks.empty()
        scores = np.array([self.scores.get(level, 0.9) for level in marks.labels])
        marks = Landmarks(marks.labels, marks.points_mm, scores) if said else marks
        missing = tuple(level for level in self.levels if level not in said)
        places = tuple(volume.origin.slice_at(np.nan_to_num(p)) for p in marks.points_mm)
        absent = (0.8,) * len(missing)
        return Prediction(case, marks, missing, places, self.identity, 0.1, (), absent)

    def locate_mips(self, pair, source, case: str) -> Prediction:
        raise NotImplementedError


def points(step_mm: float = 0.0, **heights: float) -> dict[str, tuple[float, float, float]]:
    return {k: (100.0, 50.0, z + step_mm) for k, z in (heights or TRUE_Z).items()}


def heights(**of: float) -> dict[str, tuple[float, float, float]]:
    return {level: (math.nan, math.nan, z) for level, z in of.items()}


def evaluated(tmp_path: Path, model: Fixed, truths: dict[str, Truth | None]) -> Evaluation:
    cases = [
        Case(name, name, tmp_path, "plain", volume, (lambda t=t: t) if t else None)
        for name, t in truths.items()
    ]
    return compare_all({tmp_path / "out": model}, cases, worst=9)[tmp_path / "out"]


def figures_of(tmp_path: Path, model: Fixed, truths: dict[str, Truth | None]) -> Figures:
    found = evaluated(tmp_path, model, truths)
    asked = Asked("fixed", model, model.levels, 0.6)
    views = real.measured([asked], [found], GROSS_MM)
    return views["fixed, all levels"][real.ALL]


def test_figures_of_a_column_that_is_right(tmp_path: Path) -> None:
    each = figures_of(tmp_path, Fixed({"a": points(4.0)}), {"a": truth()})
    assert (each.median_mm, each.p90_mm, each.shift_mm) == pytest.approx((4.0, 4.0, 4.0))
    assert (each.median_slices, each.p90_slices) == pytest.approx((1.0, 1.0))
    assert (each.within, each.gross, each.off_by_one) == (Share(4, 4), Share(0, 4), Share(0, 4))
    assert (each.identified, each.mean_mm) == (Share(4, 4), pytest.approx(4.0))
    assert (each.missed, each.invented, each.presence) == (Share(0, 4), Share(0, 2), Share(6, 6))


def test_a_column_off_by_one_is_gross_and_counted_as_such(tmp_path: Path) -> None:
    each = figures_of(tmp_path, Fixed({"a": points(-30.0)}), {"a": truth()})
    assert (each.within, each.gross, each.off_by_one) == (Share(0, 4), Share(4, 4), Share(4, 4))
    assert (each.identified, each.mean_mm, each.shift_mm) == (Share(0, 4), None, -30.0)


def test_missed_invented_and_visible_without_a_label(tmp_path: Path) -> None:
    said = points(T12=120.0, L4=0.0, L5=10.0)  # L4 is neither right nor wrong; L5 is invented
    each = figures_of(tmp_path, Fixed({"a": said}), {"a": truth(), "bare": None})
    assert (each.scans, each.within, each.missed) == (1, Share(1, 4), Share(3, 4))
    assert (each.invented, each.presence) == (Share(1, 2), Share(2, 6))


def test_scores_are_held_against_the_warning_threshold(tmp_path: Path) -> None:
    said = points(T12=120.0, L1=125.0, L2=95.0, L3=30.0)
    model = Fixed({"a": said}, {"T12": 0.5, "L1": 0.59, "L2": 0.61, "L3": 0.7})
    each = figures_of(tmp_path, model, {"a": truth()})
    assert (each.doubted_gross, each.doubted_right) == (Share(1, 2), Share(1, 2))


def test_heights_alone_have_no_id_rate(tmp_path: Path) -> None:
    each = figures_of(tmp_path, Fixed({"a": heights(L3=33.0)}), {"a": truth(L3=30.0)})
    assert (each.identified, each.mean_mm, each.median_mm) == (None, None, pytest.approx(3.0))


def test_shown_levels_and_all_levels_are_two_views(tmp_path: Path) -> None:
    model = Fixed({"a": heights(T12=125.0, L1=90.0)})
    asked = Asked("spotter", model, ("T12", "L3"), 0.6)
    views = real.measured([asked], [evaluated(tmp_path, model, {"a": truth()})], GROSS_MM)
    assert list(views) == ["spotter, T12 and L3", "spotter, all levels"]
    assert [each[real.ALL].within for each in views.values()] == [Share(1, 2), Share(2, 4)]
    text = "\n".join(real.lines(views))
    assert "50 % (1/2)" in text
    assert "1 scans, 4 labelled levels" in text


def test_a_share_of_nothing_is_not_zero() -> None:
    assert (Share(0, 0).rate, str(Share(0, 0)), Share(1, 4).rate) == (None, "-", 0.25)


def test_every_head_is_asked_for_and_answers_stay_the_same(untrained: Path, tmp_path: Path) -> None:
    from vertebra_ml.models import load_model

    before = (untrained / "model.json").read_text()
    asked = real_models.slice_spotter(untrained, tmp_path / "all")
    heads = Contract.read(untrained).settings.heads
    assert (asked.shown, asked.localiser.levels) == (("T12", "L3"), heads)
    assert (untrained / "model.json").read_text() == before
    few = load_model(untrained).locate(volume(), "a").landmarks
    every = asked.localiser.locate(volume(), "a").landmarks.select(("T12", "L3"))
    assert few.labels == every.labels == ("T12", "L3")
    np.testing.assert_array_equal(few.points_mm, every.points_mm)


def test_a_model_of_the_other_kind_is_refused(untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"slice_spotter.*--two-stage"):
        real_models.two_stage(untrained)
    with pytest.raises(ModelError, match="dvc pull"):
        real_models.slice_spotter(tmp_path / "none", tmp_path)


def test_no_scans_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert real.main(["--scans", str(tmp_path / "nowhere")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "nowhere: found no folder of scans" in said
    assert "SCANS=FOLDER" in said


def test_the_whole_bench(
    untrained: Path, untrained_two_stage: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("a", "bare"):
        write_nifti(tmp_path / "scans" / name / "ct.nii.gz", volume())
    write_json(
        tmp_path / "scans" / "a" / "landmarks.json",
        {"frame": "RAS", "unit": "mm", "landmarks": {"L3": [100, 50, 30]}, "visible": ["L3"]},
    )
    table = tmp_path / "real.md"
    table.write_text(f"# Text\n\n{real_table.head()}\n\nMore.\n")
    given = ["--scans", tmp_path / "scans", "--slice-spotter", untrained, "--two-stage",
             untrained_two_stage, "--out", tmp_path / "out", "--table", table]  # fmt: skip
    assert real.main([*map(str, given), "--note", "a | b; c"]) == 0
    assert "1 scans, 1 labelled levels" in capsys.readouterr().out
    out = tmp_path / "out"
    for kind in ("two_stage", "slice_spotter"):
        assert {p.stem for p in (out / kind).glob("*.png")} == {"a", "bare"}
    assert (out / real_pages.SHEET).read_bytes().startswith(b"\x89PNG")
    row = table.read_text().splitlines()[4]
    assert row.count(" | ") + 1 == len(real_table.COLUMNS)
    assert "a / b; c | 1 scans, 1 levels" in row
    assert len((out / "figures.csv").read_text().splitlines()) == 1 + 2 * 3
    real.main(list(map(str, given)))
    assert len(table.read_text().splitlines()) == 7


def test_a_row_goes_below_the_last_and_needs_the_table(tmp_path: Path) -> None:
    each = figures_of(tmp_path, Fixed({"a": points()}), {"a": truth()})
    path = tmp_path / "real.md"
    path.write_text(f"{real_table.head()}\n| old |\n\nText.\n")
    views = ({"a": each, real.ALL: each},) * 3
    real_table.append(path, "new", *views, root=tmp_path)
    lines = path.read_text().splitlines()
    assert (lines[2], lines[4:]) == ("| old |", ["", "Text."])
    assert "| none | new | 1 scans, 4 levels | 100 % (4/4) |" in lines[3]
    path.write_text("no table\n")
    with pytest.raises(DatasetError, match="no table of measurements"):
        real_table.append(path, "new", *views, root=tmp_path)


def test_cells_name_every_figure(tmp_path: Path) -> None:
    each = figures_of(tmp_path, Fixed({"a": points(4.0)}), {"a": truth()})
    said = real_figures.cells(each)
    assert list(said) == list(real_figures.HEADINGS.values())
    assert (said["median mm"], said["median slices"], said["id rate"]) == (
        "4.0",
        "1.00",
        "100 % (4/4)",
    )
