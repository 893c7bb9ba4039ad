"""A second opinion on names: a slice spotter, carried along, asked about places found by others.

Its network looks at two projections of the whole scan and was taught the height of every level;
the two stages look at the column alone. They share neither input nor weights, and seldom the same
mistake.
"""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from vertebra_ml import prepare
from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.landmarks import ModelIdentity
from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.contract import Contract
from vertebra_ml.models.inputs import Grid, regrid
from vertebra_ml.models.slice_spotter import SliceSpotter
from vertebra_ml.models.slice_spotter import load as load_spotter
from vertebra_ml.two_stage.carried import FOLDER
from vertebra_ml.volume import Volume

Doubles = NDArray[np.float64]

NEAR_MM: Final = 10.0
"""How far from a candidate what a level says of its height speaks of that candidate: half a lower
thoracic gap is 12 mm, half a cervical one 9."""


class Anchor:
    """A loaded slice spotter. ``chances`` may be called from many threads."""

    def __init__(self, spotter: SliceSpotter, contract: Contract) -> None:
        self._spotter = spotter
        self._contract = contract

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Load the model folder of a slice spotter. Raises ModelError where it is none."""
        contract = Contract.read(folder)
        return cls(load_spotter(folder, contract, ModelIdentity(contract.kind)), contract)

    def chances(self, volume: Volume, points_mm: Doubles) -> Doubles | None:
        """Return (n, 26): how much of each level's word, 0..1, speaks for (n, 3) RAS mm.

        None where the scan shows no body. Raises GeometryError where it cannot be projected.
        """
        how = self._contract.preparation
        pair = prepare.project(
            volume,
            spacing_mm=how["spacing_mm"],
            body_threshold_hu=how["body_threshold_hu"],
            slab_mm=how["sagittal_slab_mm"],
        )
        if pair.is_air:
            return None
        shape = architecture(self._contract.settings.architecture)
        grid = regrid(pair, spacing_mm=shape.spacing_mm, widths_mm=shape.widths_mm)
        masses = near(self._spotter.distributions(grid), grid, points_mm[:, 2])
        return over_levels(masses, self._contract.settings.heads)


def beside(folder: Path) -> Anchor | None:
    """Return the slice spotter that a two-stage model folder carries, None where it has none."""
    carried = folder / FOLDER
    return Anchor.of(carried) if carried.is_dir() else None


def near(distributions: Doubles, grid: Grid, z_mm: Doubles) -> Doubles:
    """Return (n, heads): the mass of each level's own distribution near (n,) heights.

    ``distributions`` is (heads, rows + 1), the last "not here". A row of the projections is a
    world height on every grid: tilted ones are straightened first, and what is left of a tilt
    (1 degree, see ``prepare``) moves a vertebra by a millimetre.
    """
    rows_mm = (np.arange(grid.rows) - grid.row_of_z(z_mm)[:, None]) * grid.spacing_mm
    bell = np.exp(-((rows_mm / NEAR_MM) ** 4))  # flat on top: a few mm aside cost nothing
    masses: Doubles = bell @ distributions[:, : grid.rows].T
    return masses


def over_levels(masses: Doubles, heads: tuple[str, ...]) -> Doubles:
    """Return (n, 26) of (n, heads): levels without a head share what the others leave."""
    unheard = len(LEVELS) - len(heads)
    left = np.maximum(0.0, 1 - masses.sum(axis=1, keepdims=True)) / max(1, unheard)
    every = np.repeat(left, len(LEVELS), axis=1)
    every[:, [RANK[level] for level in heads]] = masses
    return every
