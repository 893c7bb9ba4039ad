"""One axial slice as it hangs on a viewing box: front up, the patient's right at the left.

Laid out in inches on one pair of axes: x to the right, y down from the top. Words stand above and
below the slice, never on it, but for the four sides and the scale bar.
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from vertebra_ml.plots import style

WINDOW_HU: Final = (-150, 250)
"""Soft tissue: width 400, level 50. Muscle and fat, which are measured here, part clearly."""
LONG_IN: Final = 6.0
"""The longer side of the slice."""
WIDTH_MIN_IN: Final = 3.6
"""Room for the words below a narrow slice."""
HEAD_IN, LINE_IN, EDGE_IN = 0.34, 0.19, 0.1
CHARACTER_IN: Final = 0.072
GROUND, WORDS, QUIET = "#000000", "#f2f2f2", "#a8a8a8"
SIDES: Final = (("R", 0.0, 0.5), ("L", 1.0, 0.5), ("A", 0.5, 0.0), ("P", 0.5, 1.0))


def axial_slice(
    image: NDArray[Any],
    spacing_mm: tuple[float, float],
    title: tuple[str, str],
    lines: Sequence[str],
) -> Figure:
    """Draw a slice, square millimetres, in the soft tissue window.

    ``image`` is (row, col) HU, row 0 the patient's front, column 0 the patient's right; ``title``
    the level and the case; ``lines`` stand below.
    """
    rows_mm, columns_mm = np.array(image.shape) * spacing_mm
    scale = LONG_IN / max(rows_mm, columns_mm)  # inches a mm
    width, height = columns_mm * scale, rows_mm * scale
    total = max(width, WIDTH_MIN_IN)
    room = max(int((total - 2 * EDGE_IN) / CHARACTER_IN), 20)
    words = [part for line in lines for part in wrap(line, room)]
    size = (total, HEAD_IN + height + LINE_IN * len(words) + EDGE_IN)
    figure = Figure(figsize=size, facecolor=GROUND)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    left = (total - width) / 2
    box = (left, left + width, HEAD_IN, HEAD_IN + height)
    axes.imshow(
        image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], aspect="auto",
        extent=(box[0], box[1], box[3], box[2]), interpolation="bilinear",
    )  # fmt: skip
    _sides(axes, box)
    _scale_bar(axes, box, scale)
    _text(axes, (EDGE_IN, HEAD_IN / 2), title[0], (WORDS, "left"), style.LARGE + 1.5)
    _text(axes, (total - EDGE_IN, HEAD_IN / 2), title[1][-room + 6 :], (QUIET, "right"))
    for number, line in enumerate(words):
        place = (EDGE_IN, box[3] + LINE_IN * (number + 0.75))
        _text(axes, place, line, (WORDS, "left"), style.NORMAL)
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    return figure


def _sides(axes: Axes, box: tuple[float, float, float, float]) -> None:
    left, right, top, bottom = box
    for letter, across, down in SIDES:
        x = np.clip(left + across * (right - left), left + 0.13, right - 0.13)
        y = np.clip(top + down * (bottom - top), top + 0.13, bottom - 0.13)
        _text(axes, (float(x), float(y)), letter, (WORDS, "center"), halo=GROUND)


def _scale_bar(axes: Axes, box: tuple[float, float, float, float], scale: float) -> None:
    left, right, _, bottom = box
    wide_mm = (right - left) / scale
    length_mm = 50 if wide_mm > 150 else 20 if wide_mm > 60 else 10
    ends = [right - 0.25 - length_mm * scale, right - 0.25]
    outline = [withStroke(linewidth=3.5, foreground=GROUND)]
    axes.plot(ends, [bottom - 0.12] * 2, color=WORDS, linewidth=2, path_effects=outline)
    middle = (sum(ends) / 2, bottom - 0.24)
    _text(axes, middle, f"{length_mm} mm", (WORDS, "center"), style.SMALL, halo=GROUND)


def _text(
    axes: Axes, place: tuple[float, float], text: str, look: tuple[str, str],
    size: float = style.NORMAL, halo: str = "",
) -> None:  # fmt: skip
    effects = [withStroke(linewidth=2, foreground=halo)] if halo else None
    axes.text(
        *place, text, color=look[0], ha=look[1], va="center", fontsize=size, family=style.FONT,
        path_effects=effects, parse_math=False,
    )  # fmt: skip
