"""Colours, sizes and files that all pictures share.

Figures are made without pyplot, so nothing is global and threads may draw. Colours are those of
Okabe and Ito (jfly.uni-koeln.de/color), which colour-blind readers tell apart; what a colour says,
line style or place says too.
"""

import io
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, PAPER, FAINT, GRID = "#1a1a1a", "#ffffff", "#6e6e6e", "#dcdcdc"
ANSWER, TRUTH, WRONG, CALM = "#E69F00", "#56B4E9", "#D55E00", "#0072B2"
TRUTH_WORDS: Final = "#0072B2"
"""Truth in words: the light blue of its lines is too pale on paper."""
FONT: Final = "DejaVu Sans"
"""Comes with matplotlib: the same on every machine."""
SMALL, NORMAL, LARGE = 7.5, 8.5, 10.0  # points
DPI: Final = 150


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """Return the figure as PNG, without a date or a program's name in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def plain_axes(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Give a chart its words, a light grid, and no box."""
    axes.set_title(title, loc="left", fontsize=LARGE, color=INK, family=FONT)
    axes.set_xlabel(xlabel, fontsize=NORMAL, color=INK, family=FONT)
    axes.set_ylabel(ylabel, fontsize=NORMAL, color=INK, family=FONT)
    axes.tick_params(labelsize=SMALL, colors=INK, length=3)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
