"""A whole column on the two views: points, with names beside them, so that the spine shows."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from vertebra_ml.landmarks import Landmarks, Prediction, Truth
from vertebra_ml.plots import style
from vertebra_ml.plots.said import Words, column_words
from vertebra_ml.plots.sheet import DASHES, LINE_IN, Sheet, spread, text_at


def draw_column(axes: Axes, sheet: Sheet, prediction: Prediction, truth: Truth | None) -> None:
    """Draw many points: names stand beside the views, so that the spine stays in sight.

    Answers are filled and led to the middle; truth is a ring, led to the outer margins. Where both
    are known a line joins them.
    """
    pair, marks = sheet.pair, prediction.landmarks
    inner = (sheet.box(pair.frontal)[1], sheet.box(pair.sagittal)[0])
    outer = (sheet.box(pair.frontal)[0], sheet.box(pair.sagittal)[1])
    if truth:
        _points(axes, sheet, truth.landmarks, outer, ("none", style.TRUTH, DASHES))
        for label in (each for each in truth.landmarks.labels if each in marks):
            _joined(axes, sheet, truth.landmarks[label], marks[label])
        names = [
            (each, style.TRUTH_WORDS if each in marks else style.WRONG)
            for each in truth.landmarks.labels
        ]
        for edge, way, align in ((outer[0], -1, "right"), (outer[1], 1, "left")):
            _margin(axes, sheet, truth.landmarks, names, (edge, way, align))
    _points(axes, sheet, marks, inner, (style.ANSWER, style.ANSWER, "solid"))
    words = [column_words(prediction, truth, label) for label in marks.labels]
    heights = [sheet.y(z) for z in marks.points_mm[:, 2]]
    for (text, colour), y, place in zip(words, heights, spread(heights, LINE_IN), strict=True):
        for x, way in ((inner[0], 1), (inner[1], -1)):
            axes.plot([x, x + way * 0.1], [y, place], color=style.ANSWER, linewidth=0.9)
        text_at(axes, (sum(inner) / 2, place), text, (colour, "center"), size=style.SMALL)


def _points(
    axes: Axes,
    sheet: Sheet,
    marks: Landmarks,
    edges: tuple[float, float],
    look: tuple[str, str, Any],
) -> None:
    """Mark each point in both views and lead it to an edge; ``look``: fill, colour, dashes."""
    fill, colour, dashes = look
    for x_mm, y_mm, z_mm in marks.points_mm:
        y = sheet.y(z_mm)
        views = ((sheet.pair.frontal, x_mm), (sheet.pair.sagittal, y_mm))
        for (mip, across), edge in zip(views, edges, strict=True):
            left, right, *_ = sheet.box(mip)
            known = bool(np.isfinite(across))
            start = min(max(sheet.x(mip, across), left), right) if known else left + right - edge
            axes.plot(
                [start, edge], [y, y], color=colour, linestyle=dashes, linewidth=0.7, alpha=0.7
            )
            if known:
                size, width = (3.6, 0.5) if fill != "none" else (6.5, 1.3)
                edge_colour = style.INK if fill != "none" else colour
                axes.plot(
                    [start], [y], marker="o", markersize=size, markerfacecolor=fill,
                    markeredgecolor=edge_colour, markeredgewidth=width, color=colour,
                )  # fmt: skip


def _joined(axes: Axes, sheet: Sheet, first_mm: Any, second_mm: Any) -> None:
    """Draw a line from a label to the answer of its name, in each view."""
    for axis, mip in enumerate((sheet.pair.frontal, sheet.pair.sagittal)):
        across = [first_mm[axis], second_mm[axis]]
        if np.isfinite(across).all():
            ends = [sheet.x(mip, each) for each in across]
            heights = [sheet.y(first_mm[2]), sheet.y(second_mm[2])]
            axes.plot(ends, heights, color=style.WRONG, linewidth=1.4)


def _margin(
    axes: Axes, sheet: Sheet, marks: Landmarks, names: list[Words], side: tuple[float, int, str]
) -> None:
    """Write names beside a view; ``side``: its edge, the way out (-1 or 1), and the alignment."""
    edge, way, align = side
    heights = [sheet.y(z) for z in marks.points_mm[:, 2]]
    for (text, colour), y, place in zip(names, heights, spread(heights, LINE_IN), strict=True):
        ends = [edge + way * 0.03, edge + way * 0.13]
        axes.plot(ends, [y, place], color=colour, linewidth=0.8)
        text_at(axes, (edge + way * 0.16, place), text, (colour, align))
