"""Pictures for detection: fields cut from stored far scans, changed at random, with their spine."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vertebra_ml.discs import label_volumes
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.two_stage.compact.column import FAR_MM
from vertebra_ml.two_stage.compact.grey import OUTSIDE, Codes, Floats, tensor
from vertebra_ml.two_stage.compact.samples import (
    Batch,
    Sample,
    chosen,
    cropped,
    drawn_start,
    shades,
)

Spine = NDArray[np.int8]
Shape = tuple[int, int, int]

BOX: Final = ((48, 40, 48), (96, 40, 48))
"""Far voxels (rows, y, x) of a picture of a body."""
CROP_RATE: Final = 0.5
"""How often such a picture is cut anywhere: round a heart, half a chest, a spine alone."""
FIELD: Final = (0.2, 0.9)
"""Width and depth of what is left of it, parts of the picture."""
LOW_RATE: Final = 0.3
"""How often it is cut in height as well."""

SMALL_RATE: Final = 0.3
"""How often a batch is of small crops instead: two to five vertebrae and what is next to them."""
SMALL_BOX: Final = (24, 16, 16)
SMALL_LEAST: Final = (10, 8, 8)
"""Far voxels of the smallest crop: 60 mm high, 64 mm wide and deep."""
SMALL_COUNT: Final = 6
"""Crops for one picture of a body: they are small, and a batch should hold many spines."""
AROUND_RATE: Final = 0.8
"""How often a crop holds a landmark, anywhere in it; the others lie anywhere in the scan."""

TILT_RATE: Final = 0.5
TILT_DEG: Final = (18.0, 10.0, 12.0)
"""How far pictures are turned about x, y and z: prone, hunched and crooked people."""


def spine_targets(sample: Sample) -> Spine:
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
    samples: Sequence[Sample], targets: Mapping[int, Spine], size: int, seed: Sequence[int]
) -> Batch:
    """Make the batch of a seed: (n, rows, y, x, 2) pictures, (n, rows, y, x, 1) spine, -1 beyond.

    n is ``size``, or ``SMALL_COUNT`` times as many small crops. ``targets`` keeps
    ``spine_targets`` by the id of a sample.
    """
    rng = np.random.default_rng(seed)
    small = rng.random() < SMALL_RATE
    box = BOX[int(rng.integers(len(BOX)))]
    pictures, truths = [], []
    for sample in chosen(samples, size * SMALL_COUNT if small else size, rng):
        spine = targets[id(sample)]
        codes, truth = small_crop(sample, spine, rng) if small else _body(sample, spine, box, rng)
        picture, known = _changed(codes, truth, rng)
        pictures.append(picture)
        truths.append(known)
    return np.stack(pictures), np.stack(truths)[..., None].astype(np.float32)


def small_crop(sample: Sample, spine: Spine, rng: np.random.Generator) -> tuple[Codes, Spine]:
    """Return a scan of ``SMALL_LEAST`` to ``SMALL_BOX`` voxels, behind it padding to that box."""
    codes, places = sample.arrays["codes"], sample.arrays["places"]
    sizes = [int(n) for n in rng.integers(SMALL_LEAST, np.add(SMALL_BOX, 1))]
    starts = [drawn_start(have, want, rng) for have, want in zip(codes.shape, sizes, strict=True)]
    if len(places) and rng.random() < AROUND_RATE:
        held = np.rint(places[int(rng.integers(len(places)))][::-1]).astype(int)  # row, y, x
        starts = [int(n) for n in held - rng.integers(0, sizes)]
    behind = [(0, whole - size) for whole, size in zip(SMALL_BOX, sizes, strict=True)]
    return (
        np.pad(cropped(codes, starts, sizes, OUTSIDE), behind, constant_values=OUTSIDE),
        np.pad(cropped(spine, starts, sizes, -1), behind, constant_values=-1),
    )


def _body(
    sample: Sample, spine: Spine, box: Shape, rng: np.random.Generator
) -> tuple[Codes, Spine]:
    """Return a picture of ``box`` voxels from anywhere in a scan, often cut to a narrower field."""
    codes = sample.arrays["codes"]
    starts = [drawn_start(have, want, rng) for have, want in zip(codes.shape, box, strict=True)]
    codes, truth = cropped(codes, starts, box, OUTSIDE), cropped(spine, starts, box, -1)
    if rng.random() < CROP_RATE:
        gone = ~_field(box, rng)
        codes[gone], truth[gone] = OUTSIDE, -1
    return codes, truth


def _changed(codes: Codes, truth: Spine, rng: np.random.Generator) -> tuple[Floats, Spine]:
    """Mirror, recolour and turn a picture at random; its spine goes along."""
    if rng.random() < 0.5:
        codes, truth = codes[..., ::-1], truth[..., ::-1]
    (values,) = shades([codes], rng)
    inside = codes != OUTSIDE
    if rng.random() < TILT_RATE:
        values, inside, truth = _tilted(values, inside, truth, rng)
    return tensor(values, inside), truth


def _field(box: Shape, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a narrower field: (rows, y, x), True where it reaches."""
    inside = np.ones(box, dtype=bool)
    axes = (0, 1, 2) if rng.random() < LOW_RATE else (1, 2)
    for axis in axes:
        size = round(box[axis] * rng.uniform(*FIELD))
        begin = int(rng.integers(0, box[axis] - size + 1))
        place = np.arange(box[axis])
        kept = (place >= begin) & (place < begin + size)
        inside &= kept.reshape([-1 if i == axis else 1 for i in range(3)])
    return inside


def _tilted(
    values: Floats, inside: NDArray[np.bool_], truth: Spine, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_], Spine]:
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
