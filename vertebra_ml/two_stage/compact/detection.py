"""Detection: where in the far scan is spine? A small U-Net, and the path through what it finds."""

from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.two_stage.compact.blocks import convolution, residual
from vertebra_ml.two_stage.compact.column import FAR_MM, Path, smooth
from vertebra_ml.two_stage.compact.scene import HALF_MM

Floats = NDArray[np.float32]

FACTOR: Final = 8
"""Every side of a picture is a multiple of this: the network halves it three times."""
SPINE: Final = 0.5
"""Probability from which a voxel is spine."""
LEAST_MM3: Final = 4000.0
"""Half a cervical vertebra: a smaller piece is none."""
BRIDGE_MM: Final = 50.0
"""Pieces no farther apart along the body are one column: metal or a lost vertebra lies between."""
ASIDE_MM: Final = 60.0
"""... if the next begins no farther aside than this."""
SMOOTH_MM: Final = 12.0
DICE_WEIGHT: Final = 1.0


def network() -> Any:
    """Return the network: (rows, y, x, 2) of ``grey.tensor`` -> (rows, y, x, 1) logits of spine."""
    inputs = keras.Input((None, None, None, 2))
    fine = convolution(inputs, 8)
    half = residual(convolution(fine, 16, strides=(2, 2, 2)), 16)
    quarter = residual(convolution(half, 32, strides=(2, 2, 2)), 32)
    deep = convolution(quarter, 48, strides=(2, 2, 2))
    for _ in range(3):
        deep = residual(deep, 48)
    x = convolution(layers.Concatenate()([_up(deep), quarter]), 32)
    x = convolution(layers.Concatenate()([_up(x), half]), 16)
    x = convolution(layers.Concatenate()([_up(x), fine]), 8)
    return keras.Model(inputs, layers.Conv3D(1, 1, dtype="float32")(x), name="detection")


def _up(x: Any) -> Any:
    return layers.UpSampling3D(2)(x)


def loss(truth: Any, logits: Any) -> Any:
    """Cross entropy plus one minus Dice; voxels of truth < 0 (padding) count in neither."""
    known = ops.cast(truth >= 0, "float32")
    truth = ops.maximum(truth, 0.0)
    entropy = ops.binary_crossentropy(truth, logits, from_logits=True)
    entropy = ops.sum(entropy * known) / ops.maximum(ops.sum(known), 1.0)
    spine = ops.sigmoid(logits) * known
    overlap = 2 * ops.sum(spine * truth) + 1.0
    dice = overlap / (ops.sum(spine) + ops.sum(truth) + 1.0)
    return entropy + DICE_WEIGHT * (1 - dice)


def padded(values: Floats) -> Floats:
    """Return (rows, y, x, c) with zeros behind, so that every side is a multiple of FACTOR."""
    sides = [(0, -size % FACTOR) for size in values.shape[:3]]
    return np.pad(values, [*sides, (0, 0)])


@dataclass(frozen=True, eq=False)
class Spine:
    """What detection found: the path, and the heights (mm) between which there is spine."""

    path: Path
    top_mm: float
    foot_mm: float


def spine_of(chances: Floats) -> Spine | None:
    """Return the spine in (rows, y, x) probabilities of a far scan, head first; None without one.

    The largest connected piece and the pieces above and below that go on where it ends. In each of
    its rows the path runs through the mean of its voxels, weighted by how sure they are.
    """
    pieces, count = ndimage.label(chances >= SPINE)
    boxes = [(number, box) for number, box in enumerate(ndimage.find_objects(pieces), start=1)]
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * float(np.prod(FAR_MM))
    boxes = [(number, box) for number, box in boxes if sizes[number] >= LEAST_MM3]
    if not boxes:
        return None
    chosen = _joined(chances, pieces, boxes, sizes)
    weights = np.where(np.isin(pieces, chosen), chances, 0)
    rows = np.flatnonzero(weights.any(axis=(1, 2)))
    xy = np.array([_middle(weights[row]) for row in rows])
    every = np.arange(rows[0], rows[-1] + 1)
    filled = np.stack([np.interp(every, rows, xy[:, i]) for i in (0, 1)], axis=1)
    z_mm = (len(chances) - 1 - every) * FAR_MM[2] + HALF_MM[2]
    path = smooth(Path(z_mm, filled * FAR_MM[:2] + HALF_MM[:2]), SMOOTH_MM)
    return Spine(path, float(z_mm[0]), float(z_mm[-1]))


def _middle(plane: Floats) -> tuple[float, float]:
    """Return x and y of the weighted mean of a (y, x) plane, in voxels."""
    y, x = np.indices(plane.shape)
    total = plane.sum()
    return float((plane * x).sum() / total), float((plane * y).sum() / total)


def _joined(chances: Floats, pieces: Any, boxes: list[Any], sizes: Any) -> list[int]:
    """Return the numbers of the largest piece and of those that go on from it, up and down."""
    ends = {number: _ends(chances, pieces, number, box) for number, box in boxes}
    start = max(ends, key=lambda number: sizes[number])
    chosen = [start]
    for here, there in ((0, 1), (1, 0)):  # upwards from its first row, downwards from its last
        current = start
        while True:
            away = {n: _gap(ends[current][here], ends[n][there], here) for n in ends}
            near = {n: gap for n, gap in away.items() if n not in chosen and gap <= BRIDGE_MM}
            if not near:
                break
            current = min(near, key=lambda n: near[n])
            chosen.append(current)
    return chosen


def _ends(chances: Floats, pieces: Any, number: int, box: Any) -> list[tuple[float, float, float]]:
    """Return row, x and y of the first and the last row of a piece, in mm."""
    weights = np.where(pieces[box] == number, chances[box], 0)
    ends = []
    for row in (0, -1):
        x, y = _middle(weights[row])
        first = box[0].start if row == 0 else box[0].stop - 1
        place = (first * FAR_MM[2], (x + box[2].start) * FAR_MM[0], (y + box[1].start) * FAR_MM[1])
        ends.append(place)
    return ends


def _gap(end: tuple[float, float, float], begin: tuple[float, float, float], upwards: int) -> float:
    """Return the mm between the end of one piece and the beginning of the next, or infinity."""
    rows = end[0] - begin[0] if upwards == 0 else begin[0] - end[0]
    aside = float(np.hypot(end[1] - begin[1], end[2] - begin[2]))
    return rows if rows >= 0 and aside <= ASIDE_MM else float("inf")
