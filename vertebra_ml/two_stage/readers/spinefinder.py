"""A CT -> named vertebrae, by tiles (where is spine) and slices (which level), and votes."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from vertebra_ml.two_stage import weights
from vertebra_ml.two_stage.architectures import Reading
from vertebra_ml.two_stage.settings import Settings
from vertebra_ml.two_stage.spinefinder.cutting import MIDDLE, PATCH, SLICES
from vertebra_ml.two_stage.spinefinder.grid import Box, Grid, scaled
from vertebra_ml.two_stage.spinefinder.learning import builders
from vertebra_ml.two_stage.spinefinder.networks import DEPTH, HIGHEST
from vertebra_ml.two_stage.spinefinder.votes import THRESHOLDS, Candidate, consistent, counted
from vertebra_ml.volume import Volume

STEP: Final = np.array([32, 32, 40])
"""Voxels from tile to tile, as published: of each 64 x 64 x 80, the middle half is kept."""

TILES, SLABS = 4, 4
"""Tiles, and slices, that a network looks at together."""

BONE_HU, BONE_SHARE = 150, 0.003
"""A tile whose middle holds less bone than this (of its 40,960 voxels, 123) shows no vertebra."""

ROOM: Final = (24, 48)
"""Voxels kept around the detected part, to back and front and to foot and head."""

MULTIPLE: Final = 2**DEPTH
NO_SPINE: Final = "no spine found in the scan"

Tile = tuple[Box, tuple[slice, slice, slice]]


class SpineFinder:
    """Both networks, ready to read. ``read`` may be called from many threads."""

    def __init__(self, detection: Any, identification: Any, thresholds: Mapping[str, float]):
        self._detection, self._identification = detection, identification
        self._enough = tuple(thresholds.get(name, usual) for name, usual in THRESHOLDS.items())
        self._lock = threading.Lock()
        for network in (detection, identification):
            network.jit_compile = False  # a compiler would start anew for every size of slice

    def read(self, volume: Volume) -> Reading:
        """Name the vertebrae of a CT; none, and a warning, where no spine is detected."""
        grid = Grid.over(volume)
        spine = self.detect(volume, grid)
        if not spine.any():
            return reading([], (NO_SPINE,))
        start, box = _bounds(spine)
        votes = self.identify(volume, grid, start, spine[box].shape)
        votes[~spine[box]] = 0
        candidates = [
            Candidate(level, grid.points_mm(middle + start), count)
            for level, middle, count in counted(votes, *self._enough)
        ]
        kept, dropped = consistent(candidates)
        warnings = [
            f"{c.level}: {c.votes} voxels named it out of order or at another's place, dropped"
            for c in dropped
        ]
        return reading(kept, tuple(warnings or ([] if kept else [NO_SPINE])))

    def detect(self, volume: Volume, grid: Grid) -> NDArray[np.bool_]:
        """Return where spine is, on the whole grid, tile by tile."""
        spine = np.zeros(grid.shape, dtype=bool)
        for batch in _batches(tiles_with_bone(volume, grid), TILES):
            logits = self._ask(self._detection, np.stack([hu for hu, _ in batch])[..., None])
            for (_, place), answer in zip(batch, logits, strict=True):
                middle = answer[_middle()]
                found = middle[..., 1] > middle[..., 0]
                spine[place] = found[tuple(slice(0, n) for n in spine[place].shape)]
        return spine

    def identify(self, volume: Volume, grid: Grid, start: Box, shape: Box) -> NDArray[np.uint8]:
        """Return ``discs.ordinal`` for each voxel of a box of the grid, sagittal slice by slice."""
        around, sides, inner = _roomy(start, shape)
        votes = np.zeros(shape, dtype=np.uint8)
        for first in range(0, shape[0], SLABS):
            count = min(SLABS, shape[0] - first)
            at = (start[0] + first - MIDDLE, *around)
            hu = grid.sample(volume, at, (count + SLICES - 1, *sides))
            values = np.stack([np.moveaxis(hu[i : i + SLICES], 0, -1) for i in range(count)])
            answer = self._ask(self._identification, scaled(values))
            named = np.rint(answer).clip(0, HIGHEST).astype(np.uint8)
            votes[first : first + count] = named[(slice(None), *inner)]
        return votes

    def _ask(self, network: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            return np.asarray(network.predict_on_batch(values))


def load(folder: Path, settings: Settings, thresholds: Mapping[str, float]) -> SpineFinder:
    """Load both networks of ``folder``. Raises ModelError where weights are missing or others'."""
    networks = weights.load(builders(), folder, settings.architecture)
    return SpineFinder(networks["detection"], networks["identification"], thresholds)


def untrained(folder: Path, seed: int) -> dict[str, float]:
    """Write both networks with weights at random, and return the thresholds."""
    keras.utils.set_random_seed(seed)
    built = {stage: build() for stage, build in builders().items()}
    weights.save(built, builders(), folder)
    return dict(THRESHOLDS)


def tiles(grid: Grid) -> Iterator[Tile]:
    """Yield where each tile begins, which may be before the grid, and the part it answers for."""
    border = (np.array(PATCH) - STEP) // 2
    for first in np.ndindex(*(-(-np.array(grid.shape) // STEP))):
        x, y, z = np.array(first) * STEP
        start = tuple(int(v) for v in np.array([x, y, z]) - border)
        ends = np.minimum(grid.shape, np.array([x, y, z]) + STEP)
        part = tuple(slice(int(a), int(b)) for a, b in zip((x, y, z), ends, strict=True))
        yield (start[0], start[1], start[2]), (part[0], part[1], part[2])


def tiles_with_bone(
    volume: Volume, grid: Grid
) -> Iterator[tuple[NDArray[np.float32], tuple[slice, slice, slice]]]:
    """Yield values and place of each tile whose middle holds bone."""
    for start, place in tiles(grid):
        hu = grid.sample(volume, start, PATCH)
        if (hu[_middle()] > BONE_HU).mean() >= BONE_SHARE:
            yield scaled(hu), place


def reading(kept: list[Candidate], warnings: tuple[str, ...]) -> Reading:
    """Return the answer that holds ``kept``; how far off it may be is not known."""
    return Reading(
        levels=tuple(c.level for c in kept),
        points_mm=np.array([c.point_mm for c in kept]).reshape(len(kept), 3),
        scores=np.array([c.score for c in kept]),
        spread_mm=np.full(len(kept), np.nan),
        warnings=warnings,
    )


def _middle() -> tuple[slice, slice, slice]:
    border = (np.array(PATCH) - STEP) // 2
    x, y, z = (slice(int(b), int(b + s)) for b, s in zip(border, STEP, strict=True))
    return x, y, z


def _bounds(spine: NDArray[np.bool_]) -> tuple[Box, tuple[slice, slice, slice]]:
    """Return where the box around all spine begins, and the box."""
    ends = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        places = np.flatnonzero(spine.any(axis=others))
        ends.append(slice(int(places[0]), int(places[-1]) + 1))
    return (ends[0].start, ends[1].start, ends[2].start), (ends[0], ends[1], ends[2])


def _roomy(start: Box, shape: Box) -> tuple[tuple[int, int], tuple[int, int], tuple[slice, slice]]:
    """Return begin (y, z) and sides of the slices around a box, and where the box lies in them."""
    y, z = (s - room for s, room in zip(start[1:], ROOM, strict=True))
    wanted = [n + 2 * room for n, room in zip(shape[1:], ROOM, strict=True)]
    sides = [-(-n // MULTIPLE) * MULTIPLE for n in wanted]
    inner = [slice(room, room + n) for room, n in zip(ROOM, shape[1:], strict=True)]
    return (y, z), (sides[0], sides[1]), (inner[0], inner[1])


def _batches(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
