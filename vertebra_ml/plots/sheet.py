"""Where things lie on the picture of an answer, in inches: x to the right, y down from the top."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from vertebra_ml.landmarks import Prediction, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.plots import style
from vertebra_ml.plots.said import Words, column_notes, is_column, level_notes

INCHES_PER_MM: Final = 1 / 62
HEIGHT_IN: Final = (3.2, 9.0)
"""Of the views: small crops are enlarged, long scans shrunk to a page."""
WIDTH_IN: Final = 12.0
LEFT_IN, MIDDLE_IN, RIGHT_IN, HEAD_IN, LINE_IN = 0.55, 1.0, 0.12, 0.36, 0.17
COLUMN_MIDDLE_IN, COLUMN_RIGHT_IN = 1.45, 0.55
"""Room for names between the views and at the right, where a whole column is named."""
DASHES: Final = (0, (4, 3))
"""Of what is known, beside the solid of what was answered."""
CHARACTER_IN: Final = 0.068
"""Mean width of a character of small text."""


@dataclass(frozen=True)
class Sheet:
    """Where things lie on the axes of one case, inches."""

    pair: MipPair
    scale: float  # inches a mm
    notes: tuple[Words, ...]
    middle: float = MIDDLE_IN  # between the views
    right: float = RIGHT_IN  # of the views

    @classmethod
    def of(cls, pair: MipPair, prediction: Prediction, truth: Truth | None) -> "Sheet":
        """Choose the scale that shows this case well, and the lines below the views."""
        tall = pair.rows * pair.frontal.spacing_mm[0]
        wide = sum(view.columns * view.spacing_mm[1] for view in (pair.frontal, pair.sagittal))
        inches = float(np.clip(tall * INCHES_PER_MM, *HEIGHT_IN))
        scale = min(inches / tall, WIDTH_IN / wide)
        if is_column(prediction):
            middle, right, lines = (
                COLUMN_MIDDLE_IN,
                COLUMN_RIGHT_IN,
                column_notes(prediction, truth),
            )
        else:
            middle, right, lines = MIDDLE_IN, RIGHT_IN, level_notes(prediction, truth)
        room = int((wide * scale + LEFT_IN + middle) / CHARACTER_IN)
        return cls(pair, scale, tuple(_wrapped(lines, room)), middle, right)

    def box(self, mip: Mip) -> tuple[float, float, float, float]:
        """Return left, right, top and bottom of a view."""
        left = LEFT_IN
        if mip.view == "sagittal":
            left += self._width(self.pair.frontal) + self.middle
        bottom = HEAD_IN + mip.rows * mip.spacing_mm[0] * self.scale
        return left, left + self._width(mip), HEAD_IN, bottom

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole."""
        _, right, _, bottom = self.box(self.pair.sagittal)
        return right + self.right, bottom + LINE_IN * (len(self.notes) + 0.7)

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


def spread(wanted: Sequence[float], least: float) -> list[float]:
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


def text_at(
    axes: Axes, place: tuple[float, float], words: str, look: tuple[str, str],
    *, size: float = style.NORMAL, halo: str = "",
) -> None:  # fmt: skip
    """Write ``words``, vertically centred; ``look`` is colour and horizontal alignment."""
    effects = [withStroke(linewidth=2, foreground=halo)] if halo else None
    axes.text(
        *place, words, color=look[0], ha=look[1], va="center", fontsize=size, family=style.FONT,
        path_effects=effects, parse_math=False, linespacing=1.15,
    )  # fmt: skip


def _wrapped(lines: Sequence[Words], room: int) -> list[Words]:
    return [(part, colour) for text, colour in lines for part in wrap(text, max(room, 20))]
