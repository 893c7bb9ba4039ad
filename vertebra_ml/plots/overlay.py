"""An answer drawn on the two MIPs it was read from.

Everything is laid out in inches on one pair of axes a case: x to the right, y down from the top.
No picture holds anything of the patient but the image and the case's id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from vertebra_ml.landmarks import Landmarks, Prediction, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.plots import style

WINDOW_HU: Final = (-250, 1150)
"""Black to white: bone has contrast, and soft tissue stays as a grey ground."""
INCHES_PER_MM: Final = 1 / 62
HEIGHT_IN: Final = (3.2, 9.0)
"""Of the views: small crops are enlarged, long scans shrunk to a page."""
WIDTH_IN: Final = 12.0
LEFT_IN, MIDDLE_IN, RIGHT_IN, HEAD_IN, LINE_IN = 0.55, 1.0, 0.12, 0.36, 0.17
CHARACTER_IN: Final = 0.068
"""Mean width of a character of small text."""

Words = tuple[str, str]  # text and colour


@dataclass(frozen=True)
class Sheet:
    """Where things lie on the axes of one case, inches."""

    pair: MipPair
    scale: float  # inches a mm
    notes: tuple[Words, ...]

    @classmethod
    def of(cls, pair: MipPair, prediction: Prediction, truth: Truth | None) -> "Sheet":
        """Choose the scale that shows this case well, and the lines below the views."""
        tall = pair.rows * pair.frontal.spacing_mm[0]
        wide = sum(view.columns * view.spacing_mm[1] for view in (pair.frontal, pair.sagittal))
        inches = float(np.clip(tall * INCHES_PER_MM, *HEIGHT_IN))
        scale = min(inches / tall, WIDTH_IN / wide)
        room = wide * scale + LEFT_IN + MIDDLE_IN
        return cls(pair, scale, tuple(_notes(prediction, truth, int(room / CHARACTER_IN))))

    def box(self, mip: Mip) -> tuple[float, float, float, float]:
        """Return left, right, top and bottom of a view."""
        left = LEFT_IN
        if mip.view == "sagittal":
            left += self._width(self.pair.frontal) + MIDDLE_IN
        bottom = HEAD_IN + mip.rows * mip.spacing_mm[0] * self.scale
        return left, left + self._width(mip), HEAD_IN, bottom

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole."""
        _, right, _, bottom = self.box(self.pair.sagittal)
        return right + RIGHT_IN, bottom + LINE_IN * (len(self.notes) + 0.7)

    def y(self, z_mm: float) -> float:
        """Return how far down a world z lies."""
        frontal = self.pair.frontal
        row = float(frontal.row_of_z(z_mm)) + 0.5  # from the upper edge of row 0
        row = min(max(row, 0.0), float(frontal.rows))  # beyond the field: at its edge
        return HEAD_IN + row * frontal.spacing_mm[0] * self.scale

    def x(self, mip: Mip, across_mm: float) -> float:
        """Return how far right a world x (frontal) or y (sagittal) lies."""
        column = float(mip.column_of_across(across_mm)) + 0.5
        return self.box(mip)[0] + column * mip.spacing_mm[1] * self.scale

    def _width(self, mip: Mip) -> float:
        return mip.columns * mip.spacing_mm[1] * self.scale


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
            _text(axes, (x, top + 0.1), side, ("white", "center"), halo="black")
    _scale_bar(axes, sheet)
    _text(axes, (LEFT_IN, HEAD_IN / 2), prediction.case, (style.INK, "left"), size=style.LARGE)
    asked = {*prediction.landmarks.labels, *prediction.missing}
    _levels(axes, sheet, prediction.landmarks, "solid", style.ANSWER)
    if truth:
        _levels(axes, sheet, truth.landmarks.select(tuple(asked)), (0, (4, 3)), style.TRUTH)
        _truth_labels(axes, sheet, truth, asked)
    _answer_labels(axes, sheet, prediction, truth)
    bottom = sheet.box(pair.sagittal)[3]
    for line, (text, colour) in enumerate(sheet.notes):
        _text(
            axes,
            (LEFT_IN, bottom + LINE_IN * (line + 0.8)),
            text,
            (colour, "left"),
            size=style.SMALL,
        )


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
    for label, y, place in zip(marks.labels, heights, _spread(heights, LINE_IN), strict=True):
        colour = style.TRUTH_WORDS if label in asked else style.FAINT
        axes.plot([left - 0.13, left - 0.03], [place, y], color=colour, linewidth=0.8)
        _text(axes, (left - 0.16, place), label, (colour, "right"))


def _answer_labels(axes: Axes, sheet: Sheet, prediction: Prediction, truth: Truth | None) -> None:
    marks = prediction.landmarks
    words = [_answer_words(prediction, truth, label) for label in marks.labels]
    heights = [sheet.y(z) for z in marks.points_mm[:, 2]]
    lines = max((text.count("\n") + 1 for text, _ in words), default=1)
    left, right = sheet.box(sheet.pair.frontal)[1], sheet.box(sheet.pair.sagittal)[0]
    places = _spread(heights, LINE_IN * lines)
    for (text, colour), y, place in zip(words, heights, places, strict=True):
        for ends in ([left, left + 0.1], [right, right - 0.1]):
            axes.plot(ends, [y, place], color=style.ANSWER, linewidth=0.9)
        _text(axes, ((left + right) / 2, place), text, (colour, "center"))


def _answer_words(prediction: Prediction, truth: Truth | None, label: str) -> Words:
    marks = prediction.landmarks
    score = float(marks.scores[marks.labels.index(label)])
    text = label if np.isnan(score) else f"{label}  {score:.2f}"
    if truth is None:
        return text, style.INK
    if label in truth.landmarks:
        step = float(marks[label][2] - truth.landmarks[label][2])
        return f"{text}\n{step:+.1f} mm".replace("-", "−"), style.INK
    if label in truth.visible:
        return f"{text}\nnot labelled", style.INK
    return f"{text}\nnot in scan", style.WRONG


def _notes(prediction: Prediction, truth: Truth | None, room: int) -> list[Words]:
    scores = dict(zip(prediction.missing, prediction.absent_scores, strict=False))
    lines: list[Words] = []
    for label in prediction.missing:
        score = f" (score {scores[label]:.2f})" if label in scores else ""
        missed = truth is not None and label in truth.landmarks
        end = ", but it is labelled there" if missed else ""
        lines.append(
            (
                f"{label} said not to be in this scan{score}{end}",
                style.WRONG if missed else style.INK,
            )
        )
    if not prediction.missing and not len(prediction.landmarks):
        lines.append(("No level was asked for.", style.INK))
    lines += [(f"Warning: {warning}", style.INK) for warning in prediction.warnings]
    return [(part, colour) for text, colour in lines for part in wrap(text, max(room, 20))]


def _spread(wanted: Sequence[float], least: float) -> list[float]:
    """Return places near the wanted ones, in their order, at least ``least`` apart."""
    order = np.argsort(wanted, kind="stable")
    places = np.array(wanted, dtype=np.float64)[order]
    for _ in range(200):
        overlap = least - np.diff(places)
        if not (overlap > 1e-6).any():
            break
        push = np.maximum(overlap, 0) / 2
        places[:-1] -= push
        places[1:] += push
    answer = np.empty_like(places)
    answer[order] = places
    return [float(place) for place in answer]


def _scale_bar(axes: Axes, sheet: Sheet) -> None:
    left, right, _, bottom = sheet.box(sheet.pair.frontal)
    length_mm = 50 if (right - left) / sheet.scale > 100 else 20
    ends = [left + 0.12, left + 0.12 + length_mm * sheet.scale]
    outline = [withStroke(linewidth=3.5, foreground="black")]
    axes.plot(ends, [bottom - 0.1] * 2, color="white", linewidth=2, path_effects=outline)
    middle = (sum(ends) / 2, bottom - 0.2)
    _text(axes, middle, f"{length_mm} mm", ("white", "center"), size=style.SMALL, halo="black")


def _text(
    axes: Axes, place: tuple[float, float], text: str, look: tuple[str, str],
    *, size: float = style.NORMAL, halo: str = "",
) -> None:  # fmt: skip
    """Write ``text``, vertically centred; ``look`` is colour and horizontal alignment."""
    effects = [withStroke(linewidth=2, foreground=halo)] if halo else None
    axes.text(
        *place, text, color=look[0], ha=look[1], va="center", fontsize=size, family=style.FONT,
        path_effects=effects, parse_math=False, linespacing=1.15,
    )  # fmt: skip
