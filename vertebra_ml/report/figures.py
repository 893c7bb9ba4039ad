"""The figures of a page, and how they are put into it."""

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from vertebra_ml import id_rates, metrics, plots

if TYPE_CHECKING:
    import pandas as pd

RELIABILITY_BINS: Final = 10
PICTURE_DPI, CHART_DPI = 96, 144


def standard_figures(
    table: "pd.DataFrame",
    *,
    gross_mm: float,
    overlays: Sequence[plots.Figure] = (),
    history: "pd.DataFrame | None" = None,
    vertebrae: Sequence[id_rates.Vertebra] = (),
) -> dict[str, list[plots.Figure]]:
    """Return the figures every evaluation shows: errors, reliability, worst cases, training.

    Of answers that name columns, given as ``vertebrae``, errors are boxes, one a level, and the
    names that were given to neighbours are counted.
    """
    bins = metrics.reliability(table, RELIABILITY_BINS, right_mm=gross_mm)
    if vertebrae:
        errors = {
            "Errors by level": [plots.error_boxes(vertebrae, limit_mm=id_rates.IDENTIFIED_MM)],
            "Where each name was put": [plots.name_steps(vertebrae)],
        }
    else:
        errors = {"Errors": [plots.error_histograms(table, gross_mm=gross_mm)]}
    return errors | {
        "Reliability of the score": [plots.reliability_diagram(bins)],
        "Worst cases": list(overlays),
        "Training": [] if history is None else [plots.training_curves(history)],
    }


def section(heading: str, figures: Sequence[plots.Figure]) -> str:
    """Return figures below a heading, each as part of the page."""
    dpi = CHART_DPI if len(figures) == 1 else PICTURE_DPI
    images = []
    for number, figure in enumerate(figures, start=1):
        data = base64.b64encode(plots.png(figure, dpi)).decode("ascii")
        label = escape(heading if len(figures) == 1 else f"{heading} {number}")
        width = round(figure.get_size_inches()[0] * 96)
        source = f"data:image/png;base64,{data}"
        images.append(f'<figure><img alt="{label}" width="{width}" src="{source}"></figure>')
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(images)
