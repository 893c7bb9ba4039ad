"""Charts of an evaluation and of a training: drawn from tables, never from models."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vertebra_ml.anatomy import RANK
from vertebra_ml.plots import style

if TYPE_CHECKING:
    import pandas as pd

PANEL_IN: Final = (3.6, 2.5)
BIN_MM: Final = 1.0
BEYOND_MM: Final = 2.0
"""Width of the bar at either end that holds every error beyond ``gross_mm``."""
VALIDATION_PREFIXES: Final = ("val_", "validation_")


def error_histograms(table: "pd.DataFrame", *, gross_mm: float) -> Figure:
    """Draw, for each level, how far answers lie above (+) or below (-) the truth along z, mm.

    ``table`` as in ``metrics``. Levels present and found only; errors beyond ``gross_mm`` (of the
    whole distance) stand in the outermost bars.
    """
    placed = table[table["error_mm"].notna()]
    levels = sorted(placed["level"].unique(), key=RANK.__getitem__)
    panels = _panels(max(1, len(levels)), columns=2)
    for axes, level in zip(panels[1], levels, strict=False):
        part = placed[placed["level"] == level]
        _histogram(axes, part["dz_mm"].to_numpy(), part["error_mm"].to_numpy(), gross_mm)
        style.plain_axes(axes, level, "answer − truth, mm (+ is towards the head)", "scans")
    if not levels:
        _nothing(panels[1][0], "no level was both present and found")
    return panels[0]


def reliability_diagram(bins: "pd.DataFrame") -> Figure:
    """Draw how often answers of a score were right, beside how often each score was given.

    ``bins`` as ``metrics.reliability`` returns them. On the diagonal a score means what it says;
    below it the model is too sure of itself.
    """
    figure = Figure(figsize=(PANEL_IN[0], PANEL_IN[1] * 1.6), facecolor=style.PAPER)
    figure.set_layout_engine("constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    known = bins[bins["n"] > 0]
    upper.plot([0, 1], [0, 1], color=style.FAINT, linestyle=(0, (4, 3)), linewidth=1)
    share, count = known["right"].to_numpy(), known["n"].to_numpy()
    upper.errorbar(
        known["score"], share, yerr=_wilson(share, count), color=style.CALM, marker="o",
        markersize=5, linewidth=1.3, elinewidth=1, capsize=2,
    )  # fmt: skip
    upper.set(xlim=(0, 1.02), ylim=(-0.02, 1.05))
    style.plain_axes(upper, "Does a score mean what it says?", "", "share right")
    middle, width = (bins["low"] + bins["high"]) / 2, (bins["high"] - bins["low"]) * 0.9
    lower.bar(middle, bins["n"], width=width, color=style.CALM)
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    style.plain_axes(lower, "", "score of the answer", "answers")
    return figure


def training_curves(history: "pd.DataFrame") -> Figure:
    """Draw every column of a history (one row an epoch), training and validation in one panel.

    ``epoch`` is the abscissa where it is there, else the row; ``val_x`` or ``validation_x``
    belongs to ``x``.
    """
    epochs = history["epoch"] if "epoch" in history else history.index + 1
    numbers = history.select_dtypes("number").drop(columns="epoch", errors="ignore")
    families: dict[str, list[str]] = {}
    for name in map(str, numbers.columns):
        families.setdefault(_family(name), []).append(name)
    figure, panels = _panels(max(1, len(families)), columns=3)
    for axes, (family, names) in zip(panels, families.items(), strict=False):
        for name in names:
            validation = name.startswith(VALIDATION_PREFIXES)
            axes.plot(
                epochs, numbers[name], linewidth=1.4, marker="o", markersize=2.2,
                color=style.WRONG if validation else style.CALM,
                linestyle=(0, (4, 2)) if validation else "solid",
                label="validation" if validation else "training",
            )  # fmt: skip
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        style.plain_axes(axes, family.replace("_", " "), "epoch", "")
        if len(names) > 1:
            axes.legend(frameon=False, fontsize=style.SMALL)
        _scale(axes, numbers[names].to_numpy(dtype=np.float64))
    if not families:
        _nothing(panels[0], "no history")
    return figure


def _wilson(share: NDArray[Any], count: NDArray[Any]) -> NDArray[np.float64]:
    """Return (2, n): how far the 95 % interval reaches below and above (Wilson 1927)."""
    z2 = 1.96**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return np.maximum([share - (middle - half), middle + half - share], 0)


def _histogram(axes: Axes, dz: NDArray[Any], error: NDArray[Any], gross_mm: float) -> None:
    gross = error > gross_mm
    edges = np.arange(-gross_mm, gross_mm + BIN_MM / 2, BIN_MM)
    axes.hist(dz[~gross], bins=list(edges), color=style.CALM)
    ends = (-gross_mm - BEYOND_MM / 2, gross_mm + BEYOND_MM / 2)
    sides = (int((gross & (dz < 0)).sum()), int((gross & (dz >= 0)).sum()))
    axes.bar(ends, sides, width=BEYOND_MM * 0.8, color=style.WRONG, hatch="///", edgecolor="white")
    for x, count in zip(ends, sides, strict=True):
        if count:
            axes.text(x, count, str(count), ha="center", va="bottom", fontsize=style.SMALL)
    axes.axvline(0, color=style.FAINT, linewidth=0.8)
    axes.set_xlim(-gross_mm - BEYOND_MM * 1.2, gross_mm + BEYOND_MM * 1.2)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    words = f"n = {len(error)}\nmedian {np.median(error):.1f} mm\n{int(gross.sum())} gross"
    axes.text(
        0.98, 0.97, words, transform=axes.transAxes, ha="right", va="top", fontsize=style.SMALL,
        linespacing=1.4,
    )  # fmt: skip


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (PANEL_IN[0] * columns, PANEL_IN[1] * rows)
    figure = Figure(figsize=size, facecolor=style.PAPER)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    panels = list(grid.flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels


def _family(name: str) -> str:
    for prefix in VALIDATION_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _scale(axes: Axes, values: NDArray[np.float64]) -> None:
    """Use a logarithmic scale where positive values span more than two decades."""
    known = values[np.isfinite(values)]
    if known.size and known.min() > 0 and known.max() / known.min() > 100:
        axes.set_yscale("log")


def _nothing(axes: Axes, words: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=style.NORMAL, color=style.FAINT)
