"""Charts of named columns: how far off each level is, and onto which neighbour names were put."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vertebra_ml.anatomy import RANK
from vertebra_ml.id_rates import Vertebra
from vertebra_ml.plots import style

BOXES_IN: Final = (10.6, 4.0)
HEADROOM: Final = 1.18
"""Of the limit: above it stands how many answers lie beyond."""
STEPS: Final = (-2, -1, 0, 1, 2)
STEP_WORDS: Final = (
    "further\nup", "2\nup", "1\nup", "right", "1\ndown", "2\ndown", "further\ndown", "no\nanswer",
)  # fmt: skip
CELL_IN: Final = (0.62, 0.23)


def error_boxes(vertebrae: Sequence[Vertebra], *, limit_mm: float) -> Figure:
    """Draw a box of distances to the label for each level, head to foot, mm.

    All answers of labelled levels, right or wrong. Boxes hold the middle half, whiskers reach 1.5
    times as far (Tukey 1977), each answer beyond is a dot; how many lie beyond ``limit_mm`` is
    written above it. Below each level: how many were answered.
    """
    figure = Figure(figsize=BOXES_IN, facecolor=style.PAPER)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    levels = _levels([each for each in vertebrae if each.labelled and each.answered])
    errors = [
        np.array([v.error_mm for v in vertebrae if v.level == level and v.answered and v.labelled])
        for level in levels
    ]
    if levels:
        _boxes(axes, errors, limit_mm)
    axes.set_xticks(
        range(1, len(levels) + 1),
        [f"{name}\n{each.size}" for name, each in zip(levels, errors, strict=True)],
    )
    axes.set(xlim=(0.3, max(len(levels), 1) + 0.7), ylim=(0, limit_mm * HEADROOM))
    title = "Distance from the answer of a name to its label"
    style.plain_axes(axes, title, "level, and how many answers", "mm")
    if not levels:
        axes.text(0.5, 0.5, "no labelled level was answered", ha="center", color=style.FAINT,
                  transform=axes.transAxes, fontsize=style.NORMAL)  # fmt: skip
    return figure


def name_steps(vertebrae: Sequence[Vertebra]) -> Figure:
    """Draw, for each labelled level, on which vertebra the answer of its name lies.

    Columns are steps along the patient's own column, from the right one (middle) towards the head
    (left) and the feet (right), and no answer at all. Numbers count, shades are shares of a row.
    """
    labelled = [each for each in vertebrae if each.labelled]
    levels = _levels(labelled)
    counts = np.zeros((len(levels), len(STEP_WORDS)), dtype=int)
    for each in labelled:
        counts[levels.index(each.level), _step(each)] += 1
    size = (CELL_IN[0] * len(STEP_WORDS) + 0.8, CELL_IN[1] * max(len(levels), 1) + 1.1)
    figure = Figure(figsize=size, facecolor=style.PAPER)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    title = "On which vertebra the answer of a name lies"
    style.plain_axes(axes, title, "", "labelled level")
    axes.grid(visible=False)
    if levels:
        _cells(axes, counts)
    axes.set_xticks(range(len(STEP_WORDS)), STEP_WORDS)
    axes.set_yticks(range(len(levels)), levels)
    axes.tick_params(length=0)
    return figure


def _boxes(axes: Axes, errors: Sequence[NDArray[np.float64]], limit_mm: float) -> None:
    """Draw the boxes at 1, 2, ...; ``errors`` are (n,) mm of each."""
    drawn = axes.boxplot(
        list(errors), widths=0.6, patch_artist=True,
        boxprops={"facecolor": style.TRUTH, "edgecolor": style.CALM, "alpha": 0.55},
        medianprops={"color": style.INK, "linewidth": 1.6},
        whiskerprops={"color": style.CALM}, capprops={"color": style.CALM},
        flierprops={"marker": "o", "markersize": 2.6, "markerfacecolor": style.WRONG,
                    "markeredgecolor": "none"},
    )  # fmt: skip
    for line in drawn["fliers"]:
        x, y = (np.asarray(each) for each in line.get_data())
        line.set_data(x[y <= limit_mm], y[y <= limit_mm])
    axes.axhline(limit_mm, color=style.FAINT, linestyle=(0, (4, 3)), linewidth=0.9)
    for place, each in enumerate(errors, start=1):
        beyond = int((each > limit_mm).sum())
        if beyond:
            axes.text(
                place, limit_mm * (1 + HEADROOM) / 2, f"{beyond} ↑", ha="center", va="center",
                fontsize=style.SMALL, color=style.WRONG, family=style.FONT,
            )  # fmt: skip


def _cells(axes: Axes, counts: NDArray[np.int64]) -> None:
    """Draw (levels, steps) counts as shaded cells; errors are shaded in the colour of wrong."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.set(xlim=(-0.5, counts.shape[1] - 0.5), ylim=(counts.shape[0] - 0.5, -0.5))
    for (row, column), count in np.ndenumerate(counts):
        if not count:
            continue
        colour = style.CALM if STEP_WORDS[column] == "right" else style.WRONG
        alpha = 0.15 + 0.6 * float(shares[row, column])
        axes.fill_between(
            [column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=colour, alpha=alpha, lw=0
        )
        axes.text(
            column, row, str(count), ha="center", va="center", fontsize=style.SMALL,
            color=style.INK, family=style.FONT,
        )  # fmt: skip


def _step(each: Vertebra) -> int:
    """Return which of ``STEP_WORDS`` a labelled vertebra belongs to."""
    if not each.answered:
        return len(STEP_WORDS) - 1
    off = int(each.levels_off or 0)  # with no labelled neighbour there is none to lie on
    return int(np.clip(off - STEPS[0] + 1, 0, len(STEPS) + 1))


def _levels(vertebrae: Sequence[Vertebra]) -> list[str]:
    return sorted({each.level for each in vertebrae}, key=RANK.__getitem__)
