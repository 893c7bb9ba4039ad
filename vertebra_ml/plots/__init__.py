"""Every picture: answers on MIPs, axial slices, error histograms, reliability, training curves."""

from matplotlib.figure import Figure

from vertebra_ml.plots.charts import error_histograms, reliability_diagram, training_curves
from vertebra_ml.plots.columns import error_boxes, name_steps
from vertebra_ml.plots.overlay import gallery, overlay
from vertebra_ml.plots.slice import axial_slice
from vertebra_ml.plots.style import png

__all__ = [
    "Figure",
    "axial_slice",
    "error_boxes",
    "error_histograms",
    "gallery",
    "name_steps",
    "overlay",
    "png",
    "reliability_diagram",
    "training_curves",
]
