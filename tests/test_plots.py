"""Pictures: lines where they belong, one scale, valid files, nothing left unsaid."""

import io
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from vertebra_ml import metrics, plots
from vertebra_ml.anatomy import LEVELS
from vertebra_ml.id_rates import Vertebra
from vertebra_ml.landmarks import Landmarks, ModelIdentity, Prediction, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.plots.said import spans
from vertebra_ml.plots.sheet import Sheet, spread


def pair(rows: int = 300, columns: tuple[int, int] = (260, 180), pixel: float = 1.0) -> MipPair:
    """A dark body with a light column and one bright bar a vertebra."""
    views = []
    for view, count, across in (("frontal", columns[0], 100.0), ("sagittal", columns[1], 80.0)):
        image = np.full((rows, count), -1024, np.int16)
        image[:, 10:-10] = 60
        image[:, count // 2 - 15 : count // 2 + 15] = 300
        image[::30, count // 2 - 25 : count // 2 + 25] = 900
        views.append(Mip(image, (pixel, pixel), (500.0, across), view))
    return MipPair(views[0], views[1], (0.0, 0.0))


def answer(missing: tuple[str, ...] = ("L5",), warnings: tuple[str, ...] = ()) -> Prediction:
    marks = Landmarks.of({"T12": (math.nan, math.nan, 440.0), "L3": (-20.0, 0.0, 330.0)})
    marks = Landmarks(marks.labels, marks.points_mm, np.array([0.97, math.nan]))
    return Prediction(
        "case-1", marks, missing, (None, None), ModelIdentity("m"), 0.1, warnings, (0.8,)
    )


TRUTH = Truth(
    Landmarks.of({"T11": (0, 0, 468), "T12": (0, 0, 439), "L5": (0, 0, 260)}), ("T11", "T12", "L5")
)


def words(figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_a_line_lies_at_the_height_of_its_level():
    sheet = Sheet.of(pair(), answer(), None)
    figure = plots.overlay(pair(), answer(), None)
    (axes,) = figure.axes
    _, _, top, bottom = sheet.box(sheet.pair.frontal)
    # z 440 is row 60 of 300; row 0's centre lies half a pixel below the upper edge.
    expected = top + (bottom - top) * 60.5 / 300
    level = [line for line in axes.lines if len(set(line.get_ydata())) == 1]
    heights = {round(float(line.get_ydata()[0]), 4) for line in level}
    assert round(expected, 4) in heights
    assert sheet.y(440.0) == pytest.approx(expected)


def test_both_views_have_one_scale_in_mm():
    for case in (pair(), pair(70, (109, 50)), pair(1500, (400, 300)), pair(40, (900, 700))):
        sheet = Sheet.of(case, answer(), None)
        scales = []
        for mip in (case.frontal, case.sagittal):
            left, right, top, bottom = sheet.box(mip)
            scales += [(right - left) / mip.columns, (bottom - top) / mip.rows]
        assert np.ptp(scales) < 1e-9
        assert sheet.box(case.frontal)[1] + 0.9 < sheet.box(case.sagittal)[0]  # room for labels
        assert max(sheet.size) < 16


def test_a_ring_marks_a_full_point_in_each_view():
    figure = plots.overlay(pair(), answer(), None)
    sheet = Sheet.of(pair(), answer(), None)
    rings = {
        round(float(line.get_xdata()[0]), 4)
        for line in figure.axes[0].lines
        if line.get_marker() == "o"
    }
    # x -20 lies 120 mm from the right edge's origin 100; y 0 lies 80 mm behind the front.
    lefts = [sheet.box(mip)[0] for mip in (sheet.pair.frontal, sheet.pair.sagittal)]
    assert rings == {
        round(lefts[0] + 120.5 * sheet.scale, 4), round(lefts[1] + 80.5 * sheet.scale, 4),
    }  # fmt: skip


def test_words_say_score_error_absence_and_warnings():
    said = words(plots.overlay(pair(), answer(warnings=("score is low",)), TRUTH))
    assert "case-1" in said
    assert "T12  0.97\n+1.0 mm" in said
    assert "L3\nnot in scan" in said
    assert "L5 said not to be in this scan (score 0.80), but it is labelled there" in said
    assert "Warning: score is low" in said
    assert "T11" in said


def test_levels_beyond_the_field_stay_on_the_sheet():
    marks = Landmarks.of({"L3": (math.nan, math.nan, 9e4), "L4": (math.nan, math.nan, -9e4)})
    far = Prediction("far", marks, (), (None, None), ModelIdentity("m"), 0.1)
    sheet = Sheet.of(pair(), far, None)
    _, _, top, bottom = sheet.box(sheet.pair.frontal)
    assert (sheet.y(9e4), sheet.y(-9e4)) == (top, bottom)
    plots.png(plots.overlay(pair(), far, None), 40)


def test_labels_are_spread_without_changing_order():
    places = spread([1.0, 1.0, 1.05, 3.0], 0.3)
    assert np.diff(places).min() >= 0.3 - 1e-3
    assert places == sorted(places)
    assert spread([], 0.3) == []
    assert spread([2.0, 1.0], 0.3) == [2.0, 1.0]


def test_a_picture_carries_no_text_chunks():
    slice_ = plots.axial_slice(np.zeros((9, 9)), (1.0, 1.0), ("L3", "a"), ["words"])
    for figure in (plots.overlay(pair(), answer(), TRUTH), slice_):
        with Image.open(io.BytesIO(plots.png(figure, 50))) as image:
            image.load()
            assert image.format == "PNG"
            assert set(image.info) <= {"dpi"}


def test_equal_answers_give_equal_files():
    files = {plots.png(plots.overlay(pair(), answer(), TRUTH), 50) for _ in range(2)}
    assert len(files) == 1


def test_a_gallery_holds_each_case_once():
    figure = plots.gallery([(pair(), answer(), None)] * 3, columns=2)
    assert len(figure.axes) == 3
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[0].y0 > boxes[2].y1 - 1e-9
    assert boxes[0].x1 <= boxes[1].x0 + 1e-9
    plots.png(plots.gallery([]), 40)


def errors() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"case": f"c{i}", "group": "x", "level": level, "present": True, "found": True,
         "error_mm": abs(dz), "dz_mm": dz, "error_slices": abs(dz), "score": 0.9}
        for level in ("T12", "L3")
        for i, dz in enumerate([*rng.normal(0, 2, 20), -34.0])
    ]  # fmt: skip
    rows += [{**row, "case": "aside", "error_mm": 25.0, "dz_mm": 3.0} for row in rows[::21]]
    return metrics.as_table(rows)


def test_histograms_hold_every_error_once():
    figure = plots.error_histograms(errors(), gross_mm=20)
    assert [axes.get_title("left") for axes in figure.axes] == ["T12", "L3"]
    for axes in figure.axes:
        assert sum(bar.get_height() for bar in axes.patches) == 22
        assert "2 gross" in words(axes)  # one of them off to the side: 25 mm, of which 3 along z


def test_reliability_shows_only_scores_that_occur():
    bins = metrics.reliability(errors(), 5, right_mm=20)
    figure = plots.reliability_diagram(bins)
    upper = figure.axes[0]
    drawn = upper.lines[1].get_ydata()
    assert list(drawn) == [pytest.approx(40 / 44)]
    (bars,) = upper.collections
    low, high = bars.get_segments()[0][:, 1]
    assert (low, high) == (pytest.approx(0.788, abs=1e-3), pytest.approx(0.964, abs=1e-3))


def test_training_curves_pair_validation_with_training():
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [2.0, 0.001],
            "val_loss": [3.0, 1.0],
            "learning_rate": [1e-3, 1e-4],
        }
    )
    figure = plots.training_curves(history)
    assert [axes.get_title("left") for axes in figure.axes] == ["loss", "learning rate"]
    assert len(figure.axes[0].lines) == 2
    assert figure.axes[0].get_yscale() == "log"


def test_charts_of_nothing_are_drawn():
    empty = metrics.as_table([])
    for figure in (
        plots.error_histograms(empty, gross_mm=20),
        plots.reliability_diagram(metrics.reliability(empty, 4, right_mm=20)),
        plots.training_curves(pd.DataFrame()),
    ):
        assert plots.png(figure, 40).startswith(b"\x89PNG")


SPINE = {level: (5.0, -4.0, 480.0 - 11 * i) for i, level in enumerate(LEVELS)}


def whole(moved_mm: float = 2.0, without: tuple[str, ...] = ("C1", "L6")) -> Prediction:
    """Return an answer that names a whole column, each point moved to the left."""
    points = {k: (x - moved_mm, y, z) for k, (x, y, z) in SPINE.items() if k not in without}
    marks = Landmarks.of(points)
    places = (None,) * len(marks)
    return Prediction("case-2", marks, without, places, ModelIdentity("m"), 0.1, ("a gap",))


def test_a_whole_column_is_drawn_as_points_with_names_in_both_views():
    truth = Truth(Landmarks.of(SPINE), tuple(SPINE))
    figure, sheet = plots.overlay(pair(), whole(), truth), Sheet.of(pair(), whole(), truth)
    (axes,) = figure.axes
    rings = [line for line in axes.lines if line.get_marker() == "o"]
    hollow = [line for line in rings if line.get_markerfacecolor() == "none"]
    assert (len(hollow), len(rings) - len(hollow)) == (2 * len(LEVELS), 2 * (len(LEVELS) - 2))
    drawn = {round(float(line.get_xdata()[0]), 4) for line in rings if line not in hollow}
    mips = (sheet.pair.frontal, sheet.pair.sagittal)
    across = [sheet.x(mip, mm) for mip, mm in zip(mips, (3.0, -4.0), strict=True)]
    assert drawn == {round(x, 4) for x in across}
    names = [text.get_text() for text in figure.findobj(Text)]
    assert all(names.count(level) == 2 for level in LEVELS)  # labels, at either side
    assert sum(name.endswith("  2.0 mm") for name in names) == len(LEVELS) - 2
    said = "\n".join(names)
    assert "Labelled, but not found: C1, L6." in said
    assert "Warning: a gap" in said
    places = [t.get_position()[1] for t in figure.findobj(Text) if t.get_text() in LEVELS]
    assert np.diff(sorted(places)[::2]).min() > 0.15  # names do not lie on each other


def test_a_column_says_what_is_wrong_with_a_name():
    truth = Truth(Landmarks.of({"L1": SPINE["L1"]}), ("L1", "L2"))
    said = words(plots.overlay(pair(), whole(30.0), truth))
    for line in (
        "L1  30.0 mm",
        "L2  not labelled",
        "T12  not in scan",
        "not to be in this scan: C1",
    ):
        assert line in said
    assert "No vertebra was found." in words(plots.overlay(pair(), whole(without=LEVELS), truth))
    plots.png(plots.overlay(pair(), whole()), 40)


def test_a_level_that_is_not_told_is_not_called_lost():
    """It is seen, and its name would be a guess: neither absent nor found."""
    truth = Truth(Landmarks.of({name: SPINE[name] for name in ("L1", "L2", "L3")}), ("L1",))
    answer = whole(without=("L1", "L2"))
    answer = replace(answer, missing=("L1",), untold={"L2": 0.3})
    said = words(plots.overlay(pair(), answer, truth))
    assert "Labelled, but not found: L1." in said
    assert "Labelled, but not told: L2." in said
    guesses = replace(whole(without=LEVELS), missing=(), untold=dict.fromkeys(LEVELS, 0.1))
    said = words(plots.overlay(pair(), guesses, None))
    assert "No vertebra is told." in said
    assert "No vertebra was found." not in said


SPANS = [
    (("C1",), "C1"),
    (("C1", "C2", "C3", "C7", "T1"), "C1–C3, C7, T1"),
    (("T12", "L1", "L2", "L5", "L6"), "T12, L1–L2, L5–L6"),
    (("T11", "T12", "T13"), "T11–T13"),
    ((), ""),
]


@pytest.mark.parametrize(("levels", "expected"), SPANS)
def test_levels_are_drawn_together_in_words(levels, expected):
    assert ", ".join(spans(reversed(levels))) == expected


def judged() -> list[Vertebra]:
    return [
        Vertebra(f"c{i}", "x", level, labelled=True, answered=i != 3, levels_off=float(i % 2),
                 error_mm=math.nan if i == 3 else 1.0 + i + 30 * (i == 8))
        for level in LEVELS
        for i in range(9)
    ] + [Vertebra("c9", "x", "L6", labelled=False, answered=True)]  # fmt: skip


def test_boxes_hold_every_level_and_count_what_lies_beyond():
    figure = plots.error_boxes(judged(), limit_mm=20)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [f"{n}\n8" for n in LEVELS]
    assert words(axes).count("1 ↑") == len(LEVELS)
    plots.png(figure, 60)  # lays it out
    boxes = [tick.get_window_extent() for tick in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))  # names stand apart


def test_names_are_counted_by_the_vertebra_they_were_put_on():
    figure = plots.name_steps([v for v in judged() if v.level in ("T12", "L1")])
    (axes,) = figure.axes
    cells = {(t.get_position()[::-1], t.get_text()) for t in axes.texts}
    # even cases lie right (five), odd ones a step down (three), one has no answer
    assert cells == {((row, x), n) for row in (0, 1) for x, n in ((3, "5"), (4, "3"), (7, "1"))}


def test_charts_of_no_column_are_drawn():
    for figure in (plots.error_boxes([], limit_mm=20), plots.name_steps([])):
        assert plots.png(figure, 40).startswith(b"\x89PNG")
