"""A pair of MIPs on the grid of a network: the same for training, validation and serving."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vertebra_ml.augment import Picture, Sample
from vertebra_ml.landmarks import Landmarks, Truth
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.targets import ABSENT, LABELLED, UNKNOWN, Floats, Tensor
from vertebra_ml.volume import AIR_HU

WINDOW_HU: Final = (-250.0, 1250.0)
"""The fixed window, fat to dense bone, mapped to 0..1; never an image's own range."""

BUCKET_ROWS: Final = 64
"""Heights are padded to a multiple of this, so that few shapes are met."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Both views at one spacing, of fixed widths, the spine in the middle column.

    Parameters
    ----------
    frontal, sagittal : (rows, columns) int16 HU, AIR_HU beyond the MIP.
    spacing_mm : distance between rows, and between columns.
    top_mm : world z of row 0.
    """

    frontal: Picture
    sagittal: Picture
    spacing_mm: float
    top_mm: float

    @property
    def rows(self) -> int:
        """Number of rows of both views."""
        return int(self.frontal.shape[0])

    def z_of_row(self, row: float) -> float:
        """World z (mm) of a fractional row."""
        return self.top_mm - row * self.spacing_mm

    def row_of_z(self, z_mm: Any) -> Any:
        """Fractional row of a world z (mm), scalar or array."""
        return (self.top_mm - np.asarray(z_mm, dtype=np.float64)) / self.spacing_mm


def regrid(pair: MipPair, *, spacing_mm: float, widths_mm: tuple[float, float]) -> Grid:
    """Put a pair on the grid of a network; pixels are averaged by area, outer faces stay."""
    frontal, sagittal = (
        _regrid_view(mip, spacing_mm, middle, width)
        for mip, middle, width in zip(
            (pair.frontal, pair.sagittal), pair.spine_mm, widths_mm, strict=True
        )
    )
    step = pair.frontal.spacing_mm[0]
    return Grid(frontal, sagittal, spacing_mm, pair.frontal.origin_mm[0] + (step - spacing_mm) / 2)


def sample_of(grid: Grid, truth: Truth | None, levels: Sequence[str]) -> Sample:
    """Join a grid with what is known of ``levels``: their rows and states."""
    truth = truth or Truth(Landmarks.empty(), tuple(levels))
    positions, states = np.full(len(levels), np.nan), np.full(len(levels), ABSENT, dtype=np.int8)
    for i, level in enumerate(levels):
        if level in truth.landmarks:
            positions[i] = grid.row_of_z(truth.landmarks[level][2])
            states[i] = LABELLED
        elif level in truth.visible:
            states[i] = UNKNOWN
    return Sample(grid.frontal, grid.sagittal, positions, states, grid.spacing_mm)


def bucket(rows: int) -> int:
    """Round a number of rows up to the next height that networks are fed."""
    return -(-rows // BUCKET_ROWS) * BUCKET_ROWS


def tensors(pictures: Sequence[tuple[Picture, Picture]], rows: int) -> list[Tensor]:
    """Stack (frontal, sagittal) pictures to two tensors (n, rows, columns, 2).

    Channel 0 is the windowed HU, 0..1; channel 1 is 1 where a body was crossed. Rows added at the
    foot are 0 in both.
    """
    stacks = []
    for view in zip(*pictures, strict=True):
        stack = np.zeros((len(view), rows, view[0].shape[1], 2), dtype=np.float32)
        for slot, picture in zip(stack, view, strict=True):
            slot[: len(picture), :, 0] = window(picture)
            slot[: len(picture), :, 1] = picture > AIR_HU
        stacks.append(stack)
    return stacks


def window(picture: Picture) -> Tensor:
    """Map HU to 0..1 by the fixed window."""
    low, high = WINDOW_HU
    scaled = (picture.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    result: Tensor = np.clip(scaled, 0, 1)
    return result


def _regrid_view(mip: Mip, spacing_mm: float, middle_mm: float, width_mm: float) -> Picture:
    """Give (rows, columns) int16, columns = width / spacing, ``middle_mm`` at their centre."""
    step_rows, step_columns = mip.spacing_mm
    rows = max(1, round(mip.rows * step_rows / spacing_mm))
    columns = round(width_mm / spacing_mm)
    edges = np.arange(rows + 1, dtype=np.float64) * (spacing_mm / step_rows)
    image = area_mean(mip.image.astype(np.float64), edges)
    first = float(mip.column_of_across(middle_mm)) + 0.5 - width_mm / 2 / step_columns
    sides = first + np.arange(columns + 1, dtype=np.float64) * (spacing_mm / step_columns)
    image = area_mean(image.T, sides).T
    return np.clip(np.round(image), AIR_HU, 32767).astype(np.int16)


def area_mean(image: Floats, edges: Floats) -> Floats:
    """Give the means of ``image`` between ``edges`` along axis 0, in pixels from its outer face.

    What lies beyond the image counts as air.
    """
    sums = np.zeros((len(image) + 1, image.shape[1]))
    np.cumsum(image - AIR_HU, axis=0, out=sums[1:])
    place = np.clip(edges, 0, len(image))
    low = np.minimum(place.astype(np.intp), len(image) - 1)
    weight = (place - low)[:, None]
    at_edges = sums[low] + (sums[low + 1] - sums[low]) * weight
    result: Floats = np.diff(at_edges, axis=0) / np.diff(edges)[:, None] + AIR_HU
    return result
