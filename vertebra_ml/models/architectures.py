"""The architectures of the slice spotter, in one table; a network is imported when it is built."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from vertebra_ml.errors import ModelError


@dataclass(frozen=True)
class Architecture:
    """A network and the grid that it was drawn for.

    Parameters
    ----------
    build : "module:function", (levels, (frontal columns, sagittal columns)) -> keras model.
    spacing_mm : of rows and columns.
    widths_mm : of the frontal and the sagittal view.
    activation : how logits become distributions, a key of ``decoding.ACTIVATIONS``.
    column : how levels are weighed against each other, a key of ``decoding.JOINTS``.
    """

    build: str
    spacing_mm: float
    widths_mm: tuple[float, float]
    activation: str
    column: str

    @property
    def columns(self) -> tuple[int, int]:
        """Columns of the frontal and the sagittal view."""
        frontal, sagittal = (round(width / self.spacing_mm) for width in self.widths_mm)
        return (frontal, sagittal)

    def network(self, levels: int) -> Any:
        """Build the network for so many levels. Imports keras."""
        module, _, function = self.build.partition(":")
        return getattr(import_module(module), function)(levels, self.columns)


ARCHITECTURES: Final = {
    "compact": Architecture(
        build="vertebra_ml.models.compact:build",
        spacing_mm=2.0,
        widths_mm=(256.0, 192.0),
        activation="softmax",
        column="chain",
    ),
    "pair": Architecture(
        build="vertebra_ml.models.pair:build",
        spacing_mm=2.0,
        widths_mm=(256.0, 192.0),
        activation="members",
        column="chain",
    ),
    "kanavati": Architecture(
        build="vertebra_ml.models.kanavati:build",
        spacing_mm=1.0,
        widths_mm=(512.0, 16.0),
        activation="sigmoid",
        column="peak",
    ),
    "own": Architecture(
        build="vertebra_ml.models.own:build",
        spacing_mm=1.0,
        widths_mm=(512.0, 16.0),
        activation="sigmoid",
        column="peak",
    ),
    "efficientnet": Architecture(
        build="vertebra_ml.models.efficientnet:build",
        spacing_mm=1.0,
        widths_mm=(512.0, 16.0),
        activation="sigmoid",
        column="peak",
    ),
}


def architecture(name: str) -> Architecture:
    """Return the architecture ``name``. Raises ModelError naming those there are."""
    if name not in ARCHITECTURES:
        raise ModelError(
            "architecture",
            found=repr(name),
            expected=f"one of {', '.join(ARCHITECTURES)}",
            fix="correct models.slice_spotter.architecture in params.yaml",
        )
    return ARCHITECTURES[name]
