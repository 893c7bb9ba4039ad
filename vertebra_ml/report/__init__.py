"""The report of an evaluation: one HTML page of one model, or of several side by side."""

from vertebra_ml.report.cells import NONE
from vertebra_ml.report.figures import RELIABILITY_BINS, standard_figures
from vertebra_ml.report.page import (
    Measured,
    comparison,
    measured_on,
    page,
    write_comparison,
    write_report,
)

__all__ = [
    "NONE",
    "RELIABILITY_BINS",
    "Measured",
    "comparison",
    "measured_on",
    "page",
    "standard_figures",
    "write_comparison",
    "write_report",
]
