"""Stored samples in memory, and the seeded random changes that training makes to them."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertebra_ml.errors import DatasetError
from vertebra_ml.two_stage.compact.grey import OUTSIDE, STEP, Codes, Floats

SATURATED_RATE: Final = 0.12
"""How often values end below dense bone, as scanners with few bits make them."""
AHEAD: Final = 3
"""Batches made while the network works on one."""

Batch = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Sample:
    """One stored sample: its arrays, and how often it is drawn against others."""

    arrays: dict[str, NDArray[Any]]
    share: float


def read_samples(paths: Sequence[Path], share_of: Callable[[str], float]) -> list[Sample]:
    """Read ``.npz`` samples into memory. Raises DatasetError for a file that is none."""
    samples = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(
                path,
                found=f"{type(error).__name__}: {error}",
                expected="arrays of a sample",
                fix="run the stage samples again",
            ) from error
        samples.append(Sample(arrays, share_of(path.name)))
    return samples


def chosen(samples: Sequence[Sample], size: int, rng: np.random.Generator) -> list[Sample]:
    """Draw ``size`` samples, each as often as its share says."""
    shares = np.array([sample.share for sample in samples], dtype=np.float64)
    places = rng.choice(len(samples), size=size, p=shares / shares.sum())
    return [samples[place] for place in places]


def ahead(make: Callable[[int], Batch], steps: int) -> Iterator[Batch]:
    """Yield ``make(step)`` for each step, made ahead in another thread."""
    with ThreadPoolExecutor(1) as pool:
        jobs = [pool.submit(make, step) for step in range(min(AHEAD, steps))]
        for step in range(steps):
            if step + AHEAD < steps:
                jobs.append(pool.submit(make, step + AHEAD))
            yield jobs.pop(0).result()


def shades(codes: Sequence[Codes], rng: np.random.Generator) -> list[Floats]:
    """Return stored codes as grey values, as if another scanner had seen them.

    The same change of brightness and contrast for all views of one sample; then noise of its own,
    which also takes the place of what rounding to codes took away. Values keep their zero: what is
    air stays air.
    """
    gain, bend = rng.uniform(0.8, 1.28), rng.uniform(0.72, 1.35)
    tissue = rng.uniform(-0.12, 0.12)
    top = rng.uniform(1.1, 1.7) if rng.random() < SATURATED_RATE else np.inf
    noise = rng.choice([0.0, rng.uniform(0.0, 0.06), rng.uniform(0.05, 0.2)], p=[0.3, 0.5, 0.2])
    thick = rng.random() < 0.35
    thickness = rng.uniform(0.4, 1.3)
    views = []
    for view in codes:
        values = np.where(view == OUTSIDE, 0, view).astype(np.float32) * np.float32(STEP)
        values += rng.uniform(-STEP / 2, STEP / 2, values.shape).astype(np.float32)
        values = np.maximum(values, 0)
        values = np.where(values > STEP / 2, gain * values**bend + tissue, values)
        values = np.minimum(values, np.float32(top))
        if thick and len(values):
            values = ndimage.gaussian_filter1d(values, thickness, axis=0)
        if noise and len(values):
            values = values + noise * rng.standard_normal(values.shape).astype(np.float32)
        views.append(np.maximum(values, 0).astype(np.float32))
    return views
