"""One picture of a search: the error of each trial, and which settings made it."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vertebra_ml.tuning.proposal import Row, best_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEST, OTHER, FAILED = "#c2410c", "#64748b", "#dc2626"
WORST = 0.9
"""Errors beyond this quantile share the axis's end: one wild trial would flatten the rest."""

WIDE = 5.0
"""Errors that differ by more than this ratio are drawn on a log scale."""


def picture(rows: Sequence[Row], title: str) -> bytes:
    """Return a PNG: errors trial by trial, and a line a trial through its settings to its error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    _errors(left, rows)
    _settings(right, rows)
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110, metadata={"Software": None})
    return content.getvalue()


def _errors(axes: "Axes", rows: Sequence[Row]) -> None:
    best, so_far, least = best_of(rows), [], float("inf")
    for place, row in enumerate(rows):
        least = least if row.error is None else min(least, row.error)
        so_far.append(least)
        if row.error is None:
            axes.axvline(place, color=FAILED, lw=1, ls=":", label="failed")
        else:
            axes.plot(place, row.error, "o", color=BEST if row is best else OTHER)
    axes.step(range(len(rows)), so_far, where="post", color=BEST, lw=1, label="best so far")
    axes.set(xlabel="trial", ylabel="validation error")
    done = [row.error for row in rows if row.error is not None]
    if done and max(done) > WIDE * min(done) > 0:
        axes.set_yscale("log")
    axes.set_xticks(range(len(rows)), [row.trial for row in rows], rotation=90, fontsize=7)
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    axes.legend(list(named.values()), list(named), fontsize=8)


def _settings(axes: "Axes", rows: Sequence[Row]) -> None:
    done = [row for row in rows if row.error is not None]
    names = list(dict.fromkeys(name for row in done for name in row.values))
    scales = [_Scale([row.values.get(name) for row in done]) for name in names]
    errors = _Scale([row.error for row in done], WORST)
    best = best_of(rows)
    for row in sorted(done, key=lambda row: row is best):
        heights = [scale.at(row.values.get(n)) for scale, n in zip(scales, names, strict=True)]
        colour, width = (BEST, 2.5) if row is best else (OTHER, 0.9)
        axes.plot([*heights, errors.at(row.error)], marker="o", ms=3, color=colour, lw=width)
    for place, scale in enumerate([*scales, errors]):
        axes.axvline(place, color="black", lw=0.5)
        for text, height in scale.ticks():
            axes.text(place, height, f" {text}", fontsize=7, va="center")
    axes.set_xticks(range(len(names) + 1), [*names, "error"], rotation=15, fontsize=8)
    axes.set_yticks([])


class _Scale:
    """Heights 0 to 1 of numbers in their range, or of words one above the other."""

    def __init__(self, values: Sequence[Any], part: float = 1.0) -> None:
        known = [value for value in values if value is not None]
        self.words = [] if all(isinstance(v, int | float) for v in known) else sorted(set(known))
        if not self.words:
            ordered = sorted(known) or [0.0]
            self.low, self.high = ordered[0], ordered[int(part * (len(ordered) - 1))]
            self.beyond = "" if self.high == ordered[-1] else " and more"

    def at(self, value: Any) -> float:
        if value is None:
            return float("nan")
        if self.words:
            return float(self.words.index(value) / max(1, len(self.words) - 1))
        return float(min(1.0, (value - self.low) / ((self.high - self.low) or 1.0)))

    def ticks(self) -> list[tuple[str, float]]:
        if self.words:
            return [(str(word), self.at(word)) for word in self.words]
        return [(f"{self.low:.3g}", 0.0), (f"{self.high:.3g}{self.beyond}", 1.0)]
