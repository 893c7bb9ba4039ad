"""Training batches and validation pictures from MIP archives, every choice from seeds."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.archive import read_archive
from vertebra_ml.augment import STRENGTHS, Sample, augment
from vertebra_ml.models.architectures import Architecture
from vertebra_ml.models.inputs import bucket, regrid, sample_of, tensors
from vertebra_ml.targets import Tensor, encode_levels

FIELDS_MM: Final = ((192, 0.2), (384, 0.35), (576, 0.3), (832, 0.15))
"""Heights that training pictures are padded to, and how often: few shapes, and little padding."""

AHEAD: Final = 3
"""Batches made while the network works on one."""

TRAINING, VALIDATION = 0, 1
"""First part of the seeds of the two streams after the run's own."""

Batch = tuple[list[Tensor], Tensor, Tensor]


@dataclass(frozen=True)
class Teaching:
    """What a batch is made for: levels, the bell, and how much each level counts."""

    levels: tuple[str, ...]
    weights: tuple[float, ...]
    target: str
    sigma_mm: float


def read_samples(paths: Sequence[Path], levels: Sequence[str], shape: Architecture) -> list[Sample]:
    """Read archives onto the grid of a network, all into memory (0.2 MB each at 2 mm)."""
    samples = []
    for path in paths:
        entry = read_archive(path)
        grid = regrid(entry.pair, spacing_mm=shape.spacing_mm, widths_mm=shape.widths_mm)
        samples.append(sample_of(grid, entry.truth, levels))
    return samples


def training_batch(
    samples: Sequence[Sample], teaching: Teaching, size: int, seeds: tuple[int, int, int]
) -> Batch:
    """Make the batch of ``seeds`` = (run, epoch, step): inputs, targets and weights."""
    run, epoch, step = seeds
    rng = np.random.default_rng([run, TRAINING, epoch, step])
    heights, rates = zip(*FIELDS_MM, strict=True)
    rows = int(rng.choice(heights, p=rates) / samples[0].spacing_mm)
    chosen = rng.integers(len(samples), size=size)
    changed = [
        augment(
            samples[which],
            np.random.default_rng([run, TRAINING, epoch, step * size + place]),
            strength=STRENGTHS["training"],
            rows_max=rows,
        )
        for place, which in enumerate(chosen)
    ]
    return collate(changed, teaching, rows)


def collate(samples: Sequence[Sample], teaching: Teaching, rows: int) -> Batch:
    """Stack samples to inputs, targets (n, levels, rows + 1) and weights (n, levels)."""
    inputs = tensors([(s.frontal, s.sagittal) for s in samples], rows)
    targets = np.zeros((len(samples), len(teaching.levels), rows + 1), dtype=np.float32)
    weights = np.zeros(targets.shape[:2], dtype=np.float32)
    for i, sample in enumerate(samples):
        taught, known = encode_levels(
            sample.positions,
            sample.states,
            sample.rows,
            kind=teaching.target,
            sigma_rows=teaching.sigma_mm / sample.spacing_mm,
        )
        targets[i, :, : sample.rows], targets[i, :, -1] = taught[:, :-1], taught[:, -1]
        weights[i] = known * np.array(teaching.weights)
    return inputs, targets, weights


def epoch_batches(
    samples: Sequence[Sample], teaching: Teaching, size: int, steps: int, seeds: tuple[int, int]
) -> Iterator[Batch]:
    """Yield the batches of one epoch of ``seeds`` = (run, epoch), made ahead in another thread."""
    with ThreadPoolExecutor(1) as pool:
        jobs = [
            pool.submit(training_batch, samples, teaching, size, (*seeds, step))
            for step in range(min(AHEAD, steps))
        ]
        for step in range(steps):
            if step + AHEAD < steps:
                seeded = (*seeds, step + AHEAD)
                jobs.append(pool.submit(training_batch, samples, teaching, size, seeded))
            yield jobs.pop(0).result()


def validation_samples(samples: Sequence[Sample], fields: int, seed: int) -> list[Sample]:
    """Cut ``fields`` fields of view from each validation trunk: the same in every epoch."""
    cut = []
    for i, sample in enumerate(samples):
        for field in range(fields):
            rng = np.random.default_rng([seed, VALIDATION, i, field])
            rows = int(FIELDS_MM[1 + field % 3][0] / sample.spacing_mm)
            cut.append(augment(sample, rng, strength=STRENGTHS["validation"], rows_max=rows))
    return cut


def by_height(samples: Sequence[Sample], size: int) -> Iterator[list[int]]:
    """Yield indices of at most ``size`` samples that are padded to the same height."""
    heights: dict[int, list[int]] = {}
    for i, sample in enumerate(samples):
        heights.setdefault(bucket(sample.rows), []).append(i)
    for members in heights.values():
        for start in range(0, len(members), size):
            yield members[start : start + size]
