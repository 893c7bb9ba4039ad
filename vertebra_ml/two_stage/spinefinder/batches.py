"""Batches of patches and of slices from ``.npz`` samples, every choice from seeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.errors import ModelError
from vertebra_ml.two_stage.spinefinder.grid import SCALE_HU, scaled

AHEAD: Final = 2
"""Batches made while the network works on one."""

BEND_MM, BEND_POINTS = 7.0, 3
"""How far the 3 x 3 points that a slice is bent by wander (SD), as published."""

GAIN, OFFSET_HU, NOISE_HU = 0.1, 25.0, 15.0
"""Scanners differ: contrast, offset and noise of a training sample vary by so much (SD)."""

VALIDATION_MAX: Final = 24
"""Validation samples measured after an epoch: the same each time, spread over the cases."""

Pair = tuple[NDArray[np.float32], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class Shelf:
    """The samples of one stage and part, read when they are wanted.

    Parameters
    ----------
    paths : ``.npz`` files that hold at least one sample; counts : (n,) how many each.
    chances : (n,) how often each file is drawn.
    taught : the array that is to be learnt: ``mask`` or ``levels``.
    """

    paths: tuple[Path, ...]
    counts: NDArray[np.int_]
    chances: NDArray[np.float64]
    taught: str

    @classmethod
    def of(cls, paths: Sequence[Path], taught: str, share: Callable[[str], float]) -> Self:
        """Look through files. Raises ModelError where none holds a sample that is ever drawn."""
        counts = np.array([_count(path, taught) for path in paths], dtype=int)
        weights = np.array([share(path.name) for path in paths]) * (counts > 0)
        kept = weights > 0
        if not kept.any():
            raise ModelError(
                "training",
                found=f"{len(paths)} files without a sample that the mix allows",
                expected=f"at least one of {taught}",
                fix="add phantoms or labelled scans, or correct models.two_stage.mix",
            )
        chosen = tuple(path for path, k in zip(paths, kept, strict=True) if k)
        return cls(chosen, counts[kept], weights[kept] / weights[kept].sum(), taught)

    def read(self, which: int, place: int) -> Pair:
        """Return values as the network sees them, and what is taught, of one sample."""
        with np.load(self.paths[which], allow_pickle=False) as file:
            return scaled(file["hu"][place]), file[self.taught][place]

    def drawn(self, rng: np.random.Generator) -> Pair:
        """Return a sample at random."""
        which = int(rng.choice(len(self.paths), p=self.chances))
        return self.read(which, int(rng.integers(self.counts[which])))

    def spread(self) -> list[tuple[int, int]]:
        """Return up to VALIDATION_MAX samples (file, place): the first of each, the second, ..."""
        places = [
            (which, place)
            for place in range(int(self.counts.max()))
            for which in range(len(self.paths))
            if place < self.counts[which]
        ]
        return places[:VALIDATION_MAX]


def shares(groups: Mapping[str, str], share: Callable[[str], float]) -> Callable[[str], float]:
    """Return the weight of a file by its name: its group's share of the mix."""
    return lambda name: share(groups.get(name, "scans"))


def detection_batch(shelf: Shelf, size: int, seeds: Sequence[int]) -> tuple[Any, Any]:
    """Return (n, x, y, z, 1) values and (n, x, y, z) masks, half of them mirrored."""
    pairs = []
    for i in range(size):
        rng = np.random.default_rng([*seeds, i])
        values, mask = shelf.drawn(rng)
        side = slice(None, None, -1 if rng.random() < 0.5 else 1)
        pairs.append((varied(values, rng)[side], mask[side]))
    return detection_tensors(pairs)


def identification_batch(shelf: Shelf, size: int, seeds: Sequence[int]) -> tuple[Any, Any]:
    """Return (n, y, z, slice) values and (n, y, z) levels, bent."""
    pairs = []
    for i in range(size):
        rng = np.random.default_rng([*seeds, i])
        values, levels = bent(*shelf.drawn(rng), rng)
        pairs.append((varied(values, rng), levels))
    return identification_tensors(pairs)


def detection_tensors(pairs: Sequence[Pair]) -> tuple[Any, Any]:
    """Stack patches: a channel is added to the values."""
    return np.stack([p[0] for p in pairs])[..., None], np.stack([p[1] for p in pairs])


def identification_tensors(pairs: Sequence[Pair]) -> tuple[Any, Any]:
    """Stack slices: (slice, y, z) becomes (y, z, slice)."""
    values = np.stack([np.moveaxis(p[0], 0, -1) for p in pairs])
    return values, np.stack([p[1] for p in pairs])


def varied(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return values as another scanner might give them."""
    gain = 1 + rng.normal(0, GAIN)
    offset = rng.normal(0, OFFSET_HU) / SCALE_HU
    noise = abs(rng.normal(0, NOISE_HU)) / SCALE_HU
    other = values * np.float32(gain) + np.float32(offset)
    return other + np.float32(noise) * rng.standard_normal(values.shape, dtype=np.float32)


def bent(values: NDArray[np.float32], levels: NDArray[np.uint8], rng: np.random.Generator) -> Pair:
    """Bend (slice, y, z) values and (y, z) levels in the plane alike, by points BEND_MM apart."""
    zoom = [n / BEND_POINTS for n in levels.shape]
    shifts = [
        ndimage.zoom(rng.normal(0, BEND_MM, (BEND_POINTS, BEND_POINTS)), zoom, order=3)
        for _ in range(2)
    ]
    places = np.stack(
        [axis + shift for axis, shift in zip(np.indices(levels.shape), shifts, strict=True)]
    )
    moved = np.stack(
        [ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in values]
    )
    taught = ndimage.map_coordinates(levels, places, order=0, mode="constant")
    return moved, taught


def ahead(make: Callable[[int], Any], steps: int) -> Iterator[Any]:
    """Yield ``make(0)`` to ``make(steps - 1)``, made ahead in another thread."""
    with ThreadPoolExecutor(1) as pool:
        jobs = [pool.submit(make, step) for step in range(min(AHEAD, steps))]
        for step in range(steps):
            if step + AHEAD < steps:
                jobs.append(pool.submit(make, step + AHEAD))
            yield jobs.pop(0).result()


def _count(path: Path, taught: str) -> int:
    with np.load(path, allow_pickle=False) as file:
        return len(file[taught])
