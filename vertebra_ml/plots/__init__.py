"""Every picture: answers drawn on MIPs, error histograms, reliability, training curves."""

from matplotlib.figure import Figure

from vertebra_ml.plots.charts import error_histograms, reliability_diagram, training_curves
from vertebra_ml.plots.overlay import gallery, overlay
from vertebra_ml.plots.style import png, save_png

__all__ = [
    "Figure",
    "error_histograms",
    "gallery",
    "overlay",
    "png",
    "reliability_diagram",
    "save_png",
    "training_curves",
]
