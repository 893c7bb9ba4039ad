"""Batches for both networks: stretches of stored samples, changed at random, with their targets."""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vertebra_ml.anatomy import RANK
from vertebra_ml.discs import label_volumes
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.compact import ribs
from vertebra_ml.two_stage.compact.column import FAR, FAR_MM, NEAR, NEAR_MM, Window
from vertebra_ml.two_stage.compact.cutting import MARGIN, RIBS
from vertebra_ml.two_stage.compact.grey import OUTSIDE, Floats, tensor
from vertebra_ml.two_stage.compact.identification import TARGETS, UNIT
from vertebra_ml.two_stage.compact.samples import Batch, Sample, chosen, shades

Doubles = NDArray[np.float64]
Value = TypeVar("Value", bound=np.generic)

ROWS: Final = ((24, 0.1), (48, 0.22), (96, 0.36), (160, 0.32))
"""Near rows of a training picture, and how often: 72 to 480 mm."""
SMALL_ROWS: Final = 24
"""Up to so many rows a picture is a small crop, and narrow as well."""
BOX: Final = ((48, 40, 48), (96, 40, 48))
"""Far voxels (rows, y, x) of a picture for detection."""

HEAT_ROWS: Final = 1.3
"""Width (SD) of the bell around a body centre, near rows: 4 mm."""
PLACE_ROWS: Final = 2.5
"""Rows that say where the centre is, to each side of it."""
LEVEL_ROWS: Final = 2.5
TURN_RATE, NARROW_RATE, BARE_RATE = 0.6, 0.3, 0.2
SIDES_MM: Final = ((15.0, 110.0), (20.0, 170.0))
"""How far a narrow field reaches from the path to each side, and to the back and the front."""
SMALL_SIDES_MM: Final = ((25.0, 60.0), (25.0, 60.0))
"""The same of a small crop: two to five vertebrae, and hardly a rib."""
BONE, TISSUE = 0.95, 0.5
"""Grey values: about 280 HU, above which is bone and agent; and what stands for all below."""
CROP_RATE: Final = 0.5
"""How often detection sees a field cut anywhere: round a heart, half a chest, a spine alone."""
FIELD: Final = (0.2, 0.9)
"""Width and depth of such a field, parts of the picture."""
LOW_RATE: Final = 0.3
"""How often such a field is cut in height as well."""
TILT_RATE: Final = 0.5
TILT_DEG: Final = (18.0, 10.0, 12.0)
"""How far detection's pictures are turned about x, y and z: prone, hunched and crooked people."""


def spine_targets(sample: Sample) -> NDArray[np.int8]:
    """Return (rows, y, x): 1 where the discs of the column lie (see ``discs``), else 0."""
    codes, places = sample.arrays["codes"], sample.arrays["places"].astype(np.float64)
    if not len(places):
        return np.zeros(codes.shape, dtype=np.int8)
    steps = np.array([FAR_MM[0], FAR_MM[1], -FAR_MM[2]])
    labels = Landmarks(tuple(map(str, sample.arrays["labels"])), places * steps)
    rows, depth, width = codes.shape
    spine, _ = label_volumes(labels, np.diag([*steps, 1.0]), (width, depth, rows))
    return spine.transpose(2, 1, 0).astype(np.int8)


def detection_batch(
    samples: Sequence[Sample], targets: dict[int, NDArray[np.int8]], size: int, seed: Sequence[int]
) -> Batch:
    """Make the batch of a seed: (n, rows, y, x, 2) pictures, (n, rows, y, x, 1) spine, -1 beyond.

    ``targets`` keeps ``spine_targets`` by the id of a sample.
    """
    rng = np.random.default_rng(seed)
    box = BOX[int(rng.integers(len(BOX)))]
    pictures, truths = [], []
    for sample in chosen(samples, size, rng):
        codes = sample.arrays["codes"]
        starts = [_start(have, want, rng) for have, want in zip(codes.shape, box, strict=True)]
        codes = _cropped(codes, starts, box, OUTSIDE)
        truth = _cropped(targets[id(sample)], starts, box, -1)
        if rng.random() < CROP_RATE:
            gone = ~_field(box, rng)
            codes, truth = np.where(gone, OUTSIDE, codes), np.where(gone, -1, truth)
        if rng.random() < 0.5:
            codes, truth = codes[..., ::-1], truth[..., ::-1]
        (values,) = shades([codes], rng)
        inside = codes != OUTSIDE
        if rng.random() < TILT_RATE:
            values, inside, truth = _tilted(values, inside, truth, rng)
        pictures.append(tensor(values, inside))
        truths.append(truth)
    return np.stack(pictures), np.stack(truths)[..., None].astype(np.float32)


def _field(box: Sequence[int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a narrower field: (rows, y, x), True where it reaches."""
    inside = np.ones(tuple(box), dtype=bool)
    axes = (0, 1, 2) if rng.random() < LOW_RATE else (1, 2)
    for axis in axes:
        size = round(box[axis] * rng.uniform(*FIELD))
        start = int(rng.integers(0, box[axis] - size + 1))
        place = np.arange(box[axis])
        kept = (place >= start) & (place < start + size)
        inside &= kept.reshape([-1 if i == axis else 1 for i in range(3)])
    return inside


def _tilted(
    values: Floats, inside: NDArray[np.bool_], truth: NDArray[np.int8], rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int8]]:
    """Turn a far picture (rows, y, x), and what it shows, about its middle."""
    about_x, about_y, about_z = np.radians([rng.uniform(-limit, limit) for limit in TILT_DEG])
    turn = Rotation.from_euler("xyz", [about_z, about_y, about_x]).as_matrix()  # rows, y, x
    mm = np.array(FAR_MM[::-1])
    matrix = turn * mm[None] / mm[:, None] * rng.uniform(0.85, 1.15)
    middle = (np.array(values.shape) - 1) / 2
    offset = middle - matrix @ middle
    moved = ndimage.affine_transform(values, matrix, offset, order=1)
    within = ndimage.affine_transform(inside.astype(np.uint8), matrix, offset, order=0) > 0
    spine = ndimage.affine_transform(truth, matrix, offset, order=0, mode="constant", cval=-1)
    return moved, within, np.where(within, spine, -1).astype(np.int8)


def identification_batch(samples: Sequence[Sample], size: int, seed: Sequence[int]) -> Batch:
    """Make the batch of a seed: the inputs of the network, and (n, rows, TARGETS)."""
    rng = np.random.default_rng(seed)
    counts, rates = zip(*ROWS, strict=True)
    rows = int(rng.choice(counts, p=rates))
    made = [_stretch(sample, rows, rng) for sample in chosen(samples, size, rng)]
    near, far, chest, targets = (np.stack(part) for part in zip(*made, strict=True))
    return [near, far, chest], targets


def whole(sample: Sample) -> tuple[list[Floats], NDArray[np.float32]]:
    """Return a stored column as it is, inputs and targets, each with a batch axis of one."""
    views = [_middle(sample.arrays[name], MARGIN) for name in ("near", "far")]
    values = [np.where(view == OUTSIDE, 0, view).astype(np.float32) * 0.1 for view in views]
    inputs = [
        tensor(value, view != OUTSIDE)[None] for value, view in zip(values, views, strict=True)
    ]
    flat = [sample.arrays[name][:, MARGIN:-MARGIN] for name in RIBS]
    shown = [np.where(view == OUTSIDE, 0, view).astype(np.float32) * 0.1 for view in flat]
    inputs.append(ribs.tensor(shown, [view != OUTSIDE for view in flat])[None])
    targets = row_targets(sample.arrays["labels"], sample.arrays["places"], len(views[0]))
    return inputs, targets[None]


def row_targets(
    labels: NDArray[np.str_], places: NDArray[np.float32], rows: int
) -> NDArray[np.float32]:
    """Return (rows, TARGETS) for centres at ``places`` (n, 3): x and y in mm, near row."""
    out = np.zeros((rows, TARGETS), dtype=np.float32)
    out[:, 1] = 1.0
    if not len(labels):
        return out
    away = places[:, 2][None] - np.arange(rows)[:, None]
    nearest = np.abs(away).argmin(axis=1)
    step = away[np.arange(rows), nearest]
    out[:, 0] = np.exp(-0.5 * (step / HEAT_ROWS) ** 2)
    out[:, 2:4] = places[nearest, :2] / UNIT[:2]
    out[:, 4] = step
    out[:, 5] = np.abs(step) <= PLACE_ROWS
    out[:, 6] = np.array([RANK[str(label)] for label in labels])[nearest]
    out[:, 7] = np.abs(step) <= LEVEL_ROWS
    return out


def _stretch(
    sample: Sample, rows: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, NDArray[np.float32]]:
    """Cut ``rows`` near rows from a sample, turned, shifted, recoloured; return inputs, targets."""
    near, far = sample.arrays["near"], sample.arrays["far"]
    start = 2 * _start(len(far), rows // 2, rng)
    near = _cropped(near, (start, 0, 0), (rows, *near.shape[1:]), OUTSIDE)
    far = _cropped(far, (start // 2, 0, 0), (rows // 2, *far.shape[1:]), OUTSIDE)
    flat = [sample.arrays[name] for name in RIBS]
    flat = [_cropped(view, (start, 0), (rows, view.shape[1]), OUTSIDE) for view in flat]
    places = sample.arrays["places"].astype(np.float64) - (0, 0, start)
    turn = Turn.drawn(rng) if rng.random() < TURN_RATE else Turn()
    values = shades([near, far, *flat], rng)
    if rng.random() < BARE_RATE:  # bones alone must do
        values = [np.where(view < BONE, np.float32(TISSUE), view) for view in values]
    near_view = turn.applied(values[0], near != OUTSIDE, NEAR, NEAR_MM)
    far_view = turn.applied(values[1], far != OUTSIDE, FAR, FAR_MM)
    turned = [turn.flat(v, c != OUTSIDE) for v, c in zip(values[2:], flat, strict=True)]
    chest = ribs.tensor([v for v, _ in turned], [within for _, within in turned])
    places = turn.moved(places, rows)
    if rng.random() < 0.5:
        near_view, far_view = near_view[:, :, ::-1], far_view[:, :, ::-1]
        chest = chest[:, :, ::-1]
        places = places * (-1, 1, 1)
    small = rows <= SMALL_ROWS
    if small or rng.random() < NARROW_RATE:
        reach = [rng.uniform(*limits, 2) for limits in (SMALL_SIDES_MM if small else SIDES_MM)]
        _narrow(near_view, NEAR, NEAR_MM, reach)
        _narrow(far_view, FAR, FAR_MM, reach)
        _narrow(chest, RIBS["back"], NEAR_MM, reach[:1])
    kept = (places[:, 2] > -0.5) & (places[:, 2] < rows - 0.5)
    targets = row_targets(sample.arrays["labels"][kept], places[kept].astype(np.float32), rows)
    return near_view, far_view, chest, targets


def _narrow(
    view: Floats, window: Window, mm: Sequence[float], reach: Sequence[NDArray[np.float64]]
) -> None:
    """Empty a view (rows, y, x, c) in place beyond (left, right) and (behind, before), mm.

    With the first of these alone, it stays as deep as it is.
    """
    for axis, middle, limits in zip((2, 1), (window.left, window.behind), reach, strict=False):
        low, high = middle - round(limits[0] / mm[0]), middle + round(limits[1] / mm[0])
        gone = np.arange(view.shape[axis])
        gone = (gone < low) | (gone >= high)
        view[(slice(None),) * axis + (gone,)] = 0


class Turn:
    """A small move of the view: shift (mm), slope (mm a mm of height), stretch of the height."""

    def __init__(
        self,
        shift_mm: tuple[float, float] = (0.0, 0.0),
        slope: tuple[float, float] = (0.0, 0.0),
        scale: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        self.shift_mm, self.slope, self.scale = np.array(shift_mm), np.array(slope), scale

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Turn":
        """Draw one: up to 10 mm aside, 4 degrees, 12 % larger or smaller."""
        size = rng.uniform(0.9, 1.12)
        x, y, z = size * rng.uniform(0.97, 1.03, 3)
        shift, slope = rng.uniform(-10, 10, 2), rng.uniform(-0.07, 0.07, 2)
        return cls((shift[0], shift[1]), (slope[0], slope[1]), (x, y, z))

    def applied(
        self, values: Floats, inside: NDArray[np.bool_], window: Window, mm: Sequence[float]
    ) -> Floats:
        """Return (rows, y, x, 2) of ``window`` from a view (rows, y, x) with MARGIN around it."""
        rows = len(values)
        x, y, z = self.scale
        matrix = np.diag([1 / z, 1 / y, 1 / x])
        matrix[1, 0], matrix[2, 0] = (-self.slope[::-1] * mm[2]) / np.array([mm[1], mm[0]])
        path = np.array([window.behind, window.left]) - 0.5  # turned about the path
        target = np.array([(rows - 1) / 2, *path])
        source = np.array([(rows - 1) / 2, *(path + MARGIN)])
        source[1:] -= self.shift_mm[::-1] / np.array([mm[1], mm[0]])
        offset = source - matrix @ target
        shape = (rows, *window.shape)
        moved = ndimage.affine_transform(values, matrix, offset, shape, order=1)
        within = ndimage.affine_transform(inside.astype(np.uint8), matrix, offset, shape, order=0)
        return tensor(moved, within > 0)

    def flat(self, values: Floats, inside: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return a frontal picture (rows, x) of near rows, with MARGIN, moved; where it reaches."""
        rows, (x, _, z) = len(values), self.scale
        matrix = np.array([[1 / z, 0.0], [-self.slope[0] * NEAR_MM[2] / NEAR_MM[0], 1 / x]])
        target = np.array([(rows - 1) / 2, ribs.HALF - 0.5])
        source = target + np.array([0.0, MARGIN - self.shift_mm[0] / NEAR_MM[0]])
        offset, shape = source - matrix @ target, (rows, 2 * ribs.HALF)
        moved = ndimage.affine_transform(values, matrix, offset, shape, order=1)
        within = ndimage.affine_transform(inside.astype(np.uint8), matrix, offset, shape, order=0)
        return moved, within > 0

    def moved(self, places: Doubles, rows: int) -> Doubles:
        """Return where (n, 3) places (x, y in mm, near row) lie in the moved view."""
        middle = (rows - 1) / 2
        x, y, z = self.scale
        new = (places[:, 2] - middle) * z
        aside = places[:, :2] + self.shift_mm + np.outer(new, self.slope * NEAR_MM[2])
        return np.column_stack([aside * (x, y), new + middle])


def _start(have: int, want: int, rng: np.random.Generator) -> int:
    """Draw where a stretch begins: anywhere within, or anywhere around where it is too short."""
    low, high = min(0, have - want), max(0, have - want)
    return int(rng.integers(low, high + 1))


def _cropped(
    values: NDArray[Value], starts: Sequence[int], shape: Sequence[int], fill: int
) -> NDArray[Value]:
    """Return a block of ``shape`` from ``starts`` on, which may lie outside: filled there."""
    out = np.full(tuple(shape), fill, dtype=values.dtype)
    target, source = [], []
    for start, size, have in zip(starts, shape, values.shape, strict=True):
        low, high = max(0, start), min(have, start + size)
        if low >= high:
            return out
        target.append(slice(low - start, high - start))
        source.append(slice(low, high))
    out[tuple(target)] = values[tuple(source)]
    return out


def _middle(view: NDArray[np.uint8], margin: int) -> NDArray[np.uint8]:
    return view[:, margin : view.shape[1] - margin, margin : view.shape[2] - margin]
