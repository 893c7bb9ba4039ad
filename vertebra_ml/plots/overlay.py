"""An answer drawn on the two MIPs it was read from.

Everything is laid out in inches on one pair of axes a case: x to the right, y down from the top.
No picture holds anything of the patient but the image and the case's id.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vertebra_ml.landmarks import Landmarks, Prediction, Truth
from vertebra_ml.mip import MipPair
from vertebra_ml.plots import style
from vertebra_ml.plots.points import draw_column
from vertebra_ml.plots.said import is_column, level_words
from vertebra_ml.plots.sheet import DASHES, HEAD_IN, LEFT_IN, LINE_IN, Sheet, spread, text_at

WINDOW_HU: Final = (-250, 1150)
"""Black to white: bone has contrast, and soft tissue stays as a grey ground."""


def overlay(pair: MipPair, prediction: Prediction, truth: Truth | None = None) -> Figure:
    """Draw both views, to one scale in mm, with a line at every level.

    Answers are solid and stand between the views with their score (and their error where the truth
    is known); truth is dashed, its labels on the left. Levels said not to be in the scan, and
    warnings, are listed below.
    """
    return gallery([(pair, prediction, truth)], columns=1)


def gallery(cases: Sequence[tuple[MipPair, Prediction, Truth | None]], columns: int = 2) -> Figure:
    """Draw the overlays of several cases on one sheet, row by row."""
    sheets = [Sheet.of(*case) for case in cases]
    width = max((sheet.size[0] for sheet in sheets), default=4.0)
    rows = [sheets[i : i + columns] for i in range(0, len(sheets), columns)]
    heights = [max(sheet.size[1] for sheet in row) for row in rows] or [1.0]
    total = (width * min(columns, max(1, len(sheets))), sum(heights))
    figure = Figure(figsize=total, facecolor=style.PAPER)
    for place, (case, sheet) in enumerate(zip(cases, sheets, strict=True)):
        row, column = divmod(place, columns)
        bottom = sum(heights[: row + 1]) - (heights[row] - sheet.size[1])
        rect = (column * width, total[1] - bottom, *sheet.size)
        axes = figure.add_axes([v / total[i % 2] for i, v in enumerate(rect)])  # type: ignore[call-overload]
        axes.set_axis_off()
        _draw(axes, sheet, *case[1:])
        axes.set(xlim=(0, sheet.size[0]), ylim=(sheet.size[1], 0))
    return figure


def _draw(axes: Axes, sheet: Sheet, prediction: Prediction, truth: Truth | None) -> None:
    pair = sheet.pair
    for mip, sides in ((pair.frontal, "RL"), (pair.sagittal, "AP")):
        left, right, top, bottom = sheet.box(mip)
        axes.imshow(
            mip.image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect="auto",
            extent=(left, right, bottom, top), interpolation="bilinear",
        )  # fmt: skip
        for side, x in zip(sides, (left + 0.08, right - 0.08), strict=True):
            text_at(axes, (x, top + 0.1), side, ("white", "center"), halo="black")
    _scale_bar(axes, sheet)
    text_at(axes, (LEFT_IN, HEAD_IN / 2), prediction.case, (style.INK, "left"), size=style.LARGE)
    if is_column(prediction):
        draw_column(axes, sheet, prediction, truth)
    else:
        _draw_levels(axes, sheet, prediction, truth)
    bottom = sheet.box(pair.sagittal)[3]
    for line, (text, colour) in enumerate(sheet.notes):
        text_at(
            axes,
            (LEFT_IN, bottom + LINE_IN * (line + 0.8)),
            text,
            (colour, "left"),
            size=style.SMALL,
        )


def _draw_levels(axes: Axes, sheet: Sheet, prediction: Prediction, truth: Truth | None) -> None:
    """Draw few levels: a line each across both views."""
    asked = {*prediction.landmarks.labels, *prediction.missing, *prediction.untold}
    _levels(axes, sheet, prediction.landmarks, "solid", style.ANSWER)
    if truth:
        _levels(axes, sheet, truth.landmarks.select(tuple(asked)), DASHES, style.TRUTH)
        _truth_labels(axes, sheet, truth, asked)
    _answer_labels(axes, sheet, prediction, truth)


def _levels(axes: Axes, sheet: Sheet, marks: Landmarks, dashes: Any, colour: str) -> None:
    for x_mm, y_mm, z_mm in marks.points_mm:
        y = sheet.y(z_mm)
        for mip, across in ((sheet.pair.frontal, x_mm), (sheet.pair.sagittal, y_mm)):
            left, right, *_ = sheet.box(mip)
            axes.plot([left, right], [y, y], color=colour, linestyle=dashes, linewidth=1.1)
            if np.isfinite(across):
                ring = {"marker": "o", "markersize": 6, "markerfacecolor": "none"}
                axes.plot([sheet.x(mip, across)], [y], color=colour, **ring)  # type: ignore[arg-type]


def _truth_labels(axes: Axes, sheet: Sheet, truth: Truth, asked: set[str]) -> None:
    """Name every labelled level at the left; those not asked for only faintly, with a tick."""
    marks = truth.landmarks
    heights = [sheet.y(z) for z in marks.points_mm[:, 2]]
    left = LEFT_IN
    for label, y, place in zip(marks.labels, heights, spread(heights, LINE_IN), strict=True):
        colour = style.TRUTH_WORDS if label in asked else style.FAINT
        axes.plot([left - 0.13, left - 0.03], [place, y], color=colour, linewidth=0.8)
        text_at(axes, (left - 0.16, place), label, (colour, "right"))


def _answer_labels(axes: Axes, sheet: Sheet, prediction: Prediction, truth: Truth | None) -> None:
    marks = prediction.landmarks
    words = [level_words(prediction, truth, label) for label in marks.labels]
    heights = [sheet.y(z) for z in marks.points_mm[:, 2]]
    lines = max((text.count("\n") + 1 for text, _ in words), default=1)
    left, right = sheet.box(sheet.pair.frontal)[1], sheet.box(sheet.pair.sagittal)[0]
    places = spread(heights, LINE_IN * lines)
    for (text, colour), y, place in zip(words, heights, places, strict=True):
        for ends in ([left, left + 0.1], [right, right - 0.1]):
            axes.plot(ends, [y, place], color=style.ANSWER, linewidth=0.9)
        text_at(axes, ((left + right) / 2, place), text, (colour, "center"))


def _scale_bar(axes: Axes, sheet: Sheet) -> None:
    left, right, _, bottom = sheet.box(sheet.pair.frontal)
    length_mm = 50 if (right - left) / sheet.scale > 100 else 20
    ends = [left + 0.12, left + 0.12 + length_mm * sheet.scale]
    outline = [withStroke(linewidth=3.5, foreground="black")]
    axes.plot(ends, [bottom - 0.1] * 2, color="white", linewidth=2, path_effects=outline)
    middle = (sum(ends) / 2, bottom - 0.2)
    text_at(axes, middle, f"{length_mm} mm", ("white", "center"), size=style.SMALL, halo="black")
