"""The answer beside the mask: two sections that follow the spine, in one scale of mm.

A straight section leaves a curved spine. Here each row of a view is taken at the place of the
spine at that height: the frontal view through the bodies' middles from side to side, the side view
through their middles from front to back.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.landmarks import Truth
from vertebra_ml.plots import style
from vertebra_ml.readers import open_volume
from vertebra_ml.readers.mask_tables import TOTALSEGMENTATOR
from vertebra_ml.volume import Volume

WINDOW_HU: Final = (-300, 1000)
HALF_WIDTH_MM: Final = 90.0
SLAB_MM: Final = 6.0
"""Thickness over which the CT is averaged: less noise, and pedicles stay visible."""
BODY_MM: Final = 20.0
"""Bodies reach about this far from their middles."""
NAMED_MM: Final = 2.0
"""Of mean height in a view: less of a vertebra is not named."""
NAMES_MM: Final = (42.0, -34.0)
"""Where names stand in each view, from the bodies' middles."""
INCHES_PER_MM: Final = 1 / 42
TINTS: Final = ("#56B4E9", "#F0E442")
"""Neighbours differ; both are told apart by colour-blind readers."""
HALO: Final = [withStroke(linewidth=2.2, foreground="black")]

Rows = Sequence[dict[str, str]]
Array = NDArray[np.float64]


def draw(ct: Volume, mask_path: Path, truth: Truth, rows: Rows) -> Figure:
    """Draw both sections with the mask's outlines, its body centres, and the located levels."""
    ct, mask = ct.reorient(), open_volume(mask_path).reorient()
    height = ct.shape[2] * ct.spacing_mm[2]
    size = (2 * 2 * HALF_WIDTH_MM * INCHES_PER_MM + 1.6, height * INCHES_PER_MM + 0.8)
    figure = Figure(figsize=size, facecolor=style.PAPER)
    part = 2 * HALF_WIDTH_MM * INCHES_PER_MM / size[0]
    tall = height * INCHES_PER_MM / size[1]
    spine = _spine(ct, truth)
    for number, across in enumerate((0, 1)):
        left = (0.25 + number * (2 * HALF_WIDTH_MM * INCHES_PER_MM + 0.9)) / size[0]
        axes = figure.add_axes((left, 0.6 / size[1], part, tall))
        image, numbers = _sections(ct, mask, spine, across)
        _view(axes, image, spine[:, 2], across)
        _outlines(axes, numbers, spine[:, 2], truth, across)
        _centres(axes, truth, spine, across)
        _answers(axes, truth, rows, named=number == 0)
    _words(figure, size, rows)
    return figure


def _spine(ct: Volume, truth: Truth) -> Array:
    """Return the (x, y, z) mm of the spine at each slice, from the bodies' centres."""
    points = truth.landmarks.points_mm[np.argsort(truth.landmarks.points_mm[:, 2])]
    z = ct.voxel_to_world(np.array([[0, 0, k] for k in range(ct.shape[2])], float))[:, 2]
    return np.stack([*(_along(z, points[:, 2], points[:, a]) for a in (0, 1)), z], axis=1)


def _along(z: Array, heights: Array, values: Array) -> Array:
    """Interpolate, and go on beyond either end as steeply as the last two bodies lie."""
    if len(heights) < 2:
        return np.interp(z, heights, values)
    slope = np.diff(values)[[0, -1]] / np.diff(heights)[[0, -1]]
    below, above = np.minimum(z - heights[0], 0), np.maximum(z - heights[-1], 0)
    return np.interp(z, heights, values) + slope[0] * below + slope[1] * above


def _view(axes: Axes, image: Array, z: Array, across: int) -> None:
    """Show one section: ``across`` is the world axis from left to right, 0 for x and 1 for y."""
    half = (z[1] - z[0]) / 2
    extent = (-HALF_WIDTH_MM, HALF_WIDTH_MM, z[0] - half, z[-1] + half)
    axes.imshow(
        image, cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1], extent=extent, origin="lower",
        interpolation="bicubic", aspect="auto",
    )  # fmt: skip
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    ends = ((0.02, "left"), (0.98, "right"))
    for text, (x, side) in zip(("RL", "AP")[across], ends, strict=True):
        axes.text(
            x, 0.985, text, transform=axes.transAxes, color="white", ha=side, va="top",
            family=style.FONT, fontsize=style.LARGE, path_effects=HALO,
        )  # fmt: skip


def _outlines(axes: Axes, numbers: Array, z: Array, truth: Truth, across: int) -> None:
    """Draw the outline of every vertebra, and name those that have no cross to be named at."""
    places = np.linspace(-HALF_WIDTH_MM, HALF_WIDTH_MM, numbers.shape[1])
    for number in np.unique(numbers).astype(int):
        level = TOTALSEGMENTATOR.get(int(number), "")
        if level not in LEVELS:
            continue
        inside, tint = (numbers == number).astype(float), TINTS[number % 2]
        axes.contourf(places, z, inside, levels=[0.5, 2], colors=[tint], alpha=0.16)
        axes.contour(places, z, inside, levels=[0.5], colors=[tint], linewidths=0.9)
        weights = inside[:, np.abs(places) < BODY_MM].mean(axis=1)
        if level not in truth.landmarks and weights.sum() * (z[1] - z[0]) > NAMED_MM:
            _name(axes, level, float(np.average(z, weights=weights)), across)


def _sections(ct: Volume, mask: Volume, spine: Array, across: int) -> tuple[Array, Array]:
    """Return (z, across) HU averaged over the slab, and the mask's numbers, along the spine.

    Both views are laid out as a radiologist sees them: the patient's right, or the front, first.
    """
    places = np.linspace(HALF_WIDTH_MM, -HALF_WIDTH_MM, int(2 * HALF_WIDTH_MM / 0.5))
    image, numbers = [], []
    for k, point in enumerate(spine):
        offsets = np.linspace(-SLAB_MM / 2, SLAB_MM / 2, 7)
        world = np.tile(point, (len(offsets), len(places), 1))
        world[..., across] += places
        world[..., 1 - across] += offsets[:, None]
        image.append(_sampled(ct, world, k).mean(axis=0))
        numbers.append(_sampled(mask, world[len(offsets) // 2], k))
    return np.array(image), np.array(numbers)


def _sampled(volume: Volume, world: Array, k: int) -> Array:
    """Return the nearest values of slice ``k``; air outside of the grid."""
    place = np.round(volume.world_to_voxel(world)[..., :2]).astype(int)
    shape = np.array(volume.shape[:2])
    inside = ((place >= 0) & (place < shape)).all(axis=-1)
    place = np.clip(place, 0, shape - 1)
    values = volume.array[:, :, k][place[..., 0], place[..., 1]]
    return np.where(inside, values, -1000).astype(np.float64)


def _centres(axes: Axes, truth: Truth, spine: Array, across: int) -> None:
    """Mark and name the body centre of every whole vertebra of the mask."""
    for label, point in zip(truth.landmarks.labels, truth.landmarks.points_mm, strict=True):
        middle = np.interp(point[2], spine[:, 2], spine[:, across])
        x = middle - point[across]
        axes.plot([x], [point[2]], "+", color="white", markersize=7, path_effects=HALO)
        _name(axes, label, point[2], across)


def _name(axes: Axes, label: str, z: float, across: int) -> None:
    """Write a level's name beside the bodies: at their left, or in front of them."""
    axes.text(
        NAMES_MM[across], z, label, color="white", va="center", ha="center", family=style.FONT,
        fontsize=style.NORMAL, path_effects=HALO,
    )  # fmt: skip


def _answers(axes: Axes, truth: Truth, rows: Rows, *, named: bool) -> None:
    """Draw each located level as a line over the view, with its distance from the centre."""
    for row in rows:
        if row["found"] != "true":
            continue
        level, z = row["level"], float(row["z_mm"])
        axes.axhline(z, color=style.ANSWER, linewidth=1.6)
        if named:
            off = f"\n{z - truth.landmarks[level][2]:+.1f} mm" if level in truth.landmarks else ""
            axes.annotate(
                f"{level}\nslice {row['slice_number']}{off}".replace("-", "−"), (1.0, z),
                (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                va="center", ha="left", family=style.FONT, fontsize=style.NORMAL, color=style.INK,
                annotation_clip=False,
            )  # fmt: skip


def _words(figure: Figure, size: tuple[float, float], rows: Rows) -> None:
    absent = [row["level"] for row in rows if row["found"] != "true"]
    missing = f" Said not to be whole in this scan: {', '.join(absent)}." if absent else ""
    lines = (
        "LIDC-IDRI-0001. Orange: the located slice and its distance from the mask's body centre. "
        "Outlines: TotalSegmentator's mask, read along the spine;",
        "crosses: the centre of each whole body in it; levels that the scan's edge cuts have none."
        f"{missing} CT: LIDC-IDRI, TCIA, CC BY 3.0.",
    )
    for number, line in enumerate(lines):
        figure.text(
            0.25 / size[0], (0.4 - 0.17 * number) / size[1], line, fontsize=style.SMALL,
            family=style.FONT, color=style.INK,
        )  # fmt: skip
