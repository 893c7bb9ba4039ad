"""From a body in HU to what a scanner stores: point spread, kernel, slices, noise, range."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vertebra_ml.phantom.canvas import Array, Canvas
from vertebra_ml.phantom.habits import Habits

BANK = 96
"""Side in voxels of the block of noise that is repeated over a scan."""
REFERENCE_MM3 = 1.3 * 1.3 * 2.0
"""Voxel for which noise is drawn; a smaller voxel catches fewer photons."""
FILLERS_HU = (-1024, -1024, -1024, -1000, -2000, -2048, -3024)
"""What makers store outside the circle that was reconstructed."""


@dataclass(frozen=True)
class Exposure:
    """One way of taking and reconstructing a scan. Lengths in mm, noise in HU."""

    blur_mm: float
    sharpness: float
    noise_hu: float
    grain_mm: float
    drift_hu: float
    gain: float
    circle_mm: float
    filler_hu: int
    top_hu: int


def draw_exposure(rng: np.random.Generator, habits: Habits) -> Exposure:
    """Draw the scanner's settings; ``circle_mm`` is a radius, infinite where nothing is cut off."""
    sharp = rng.random() < habits.sharp_rate
    circle = rng.uniform(170, 260) if rng.random() < habits.circle_rate else np.inf
    low, high = np.log(habits.noise_hu)
    return Exposure(
        blur_mm=rng.uniform(*habits.blur_mm) * (0.8 if sharp else 1.0),
        sharpness=rng.uniform(0.3, 0.9) if sharp else 0.0,
        noise_hu=float(np.exp(rng.uniform(low, high))) * (1.5 if sharp else 1.0),
        grain_mm=rng.uniform(0.3, 0.7) if sharp else rng.uniform(0.6, 1.3),
        drift_hu=rng.uniform(*habits.drift_hu),
        gain=rng.uniform(*habits.gain),
        circle_mm=circle,
        filler_hu=int(rng.choice(FILLERS_HU)),
        top_hu=1023 if rng.random() < habits.saturated_rate else 3071,
    )


def blur(array: Array, axis: int, variance_vox: float) -> None:
    """Smooth in place along one axis by a kernel of this variance (voxels squared)."""
    if array.shape[axis] < 2:
        return
    passes = int(np.ceil(variance_vox / 0.5))
    weight = np.float32(variance_vox / max(passes, 1) / 2)
    for _ in range(passes):
        if axis == 0:
            _blur_rows(array, weight)
        else:
            for sheet in array:  # one sheet at a time stays in the cache
                _blur_sheet(sheet if axis == 1 else sheet.T, weight)


def _blur_sheet(sheet: Array, weight: np.float32) -> None:
    steps = np.subtract(sheet[1:], sheet[:-1])
    steps *= weight
    sheet[:-1] += steps
    sheet[1:] -= steps


def _blur_rows(array: Array, weight: np.float32) -> None:
    behind: Array | float = 0.0
    for low, high in pairwise(array):
        step = np.subtract(high, low)
        step *= weight
        low += step
        low -= behind
        behind = step
    array[-1] -= behind


def reconstruct(canvas: Canvas, exposure: Exposure, factors: tuple[int, int, int]) -> Canvas:
    """Blur, sharpen and average ``factors`` voxels into one; works on ``canvas`` in place."""
    variance = (exposure.blur_mm / canvas.spacing_mm) ** 2
    for axis, share in ((0, 1.0), (1, 1.0), (2, 0.5)):
        blur(canvas.array, axis, float(variance[axis] * share))
    array = canvas.array
    array = _sharpened(array, exposure.sharpness) if exposure.sharpness > 0 else array
    array = _averaged(array, factors)
    spacing = canvas.spacing_mm * factors
    return Canvas(array, canvas.origin_mm + (spacing - canvas.spacing_mm) / 2, spacing)


def _sharpened(array: Array, strength: float) -> Array:
    soft = array.copy()
    for axis in (0, 1):
        blur(soft, axis, 0.7)
    soft -= array
    soft *= np.float32(-strength)
    soft += array
    return soft


def _averaged(array: Array, factors: tuple[int, int, int]) -> Array:
    for axis, factor in enumerate(factors):
        if factor > 1:
            length = array.shape[axis] // factor
            parts = [
                np.take(array, np.arange(i, length * factor, factor), axis=axis)
                for i in range(factor)
            ]
            array = sum(parts[1:], parts[0]) / np.float32(factor)
    return array


def degrade(canvas: Canvas, exposure: Exposure, rng: np.random.Generator) -> Array:
    """Add scale error and noise, cut the circle and the range; return HU (x, y, z) float32."""
    array = canvas.array
    loud = _loudness(canvas, exposure.noise_hu)
    block = _noise_block(canvas.spacing_mm, exposure.grain_mm, rng)
    tiles = np.ix_(*[np.arange(n) % BANK for n in array.shape[1:]])
    for i, sheet in enumerate(array):
        lift = np.maximum(sheet, 0)
        lift *= np.float32(exposure.gain - 1)
        lift += np.float32(exposure.drift_hu) * np.clip(sheet / 1000 + 1, 0, 1)
        lift += loud[0] * loud[1][i] * block[i % BANK][tiles]
        sheet += lift
        np.clip(sheet, -1024, exposure.top_hu, out=sheet)
    if np.isfinite(exposure.circle_mm):
        x, y, _ = canvas.axes_mm
        out = (x - x.mean()) ** 2 + (y - y.mean()) ** 2 > exposure.circle_mm**2
        array[out[:, :, 0]] = exposure.filler_hu
    return array


def _loudness(canvas: Canvas, noise_hu: float) -> tuple[Array, Array]:
    """Return the noise in HU as factors (z,) and (x, y, 1): higher where the body is wide, lower
    towards the rim of the field."""
    voxel = float(canvas.spacing_mm.prod())
    level = noise_hu * np.clip((REFERENCE_MM3 / voxel) ** 0.35, 0.5, 1.8)
    dense = np.maximum(canvas.array[::3, ::3] + 1000, 0)
    area = dense.sum(axis=(0, 1)) / 1000 * 9 * canvas.spacing_mm[:2].prod()
    wide = np.sqrt(area)  # about 270 mm in a middling belly
    along = np.clip(np.exp((wide - 270) / 130), 0.6, 1.9)
    x, y, _ = canvas.axes_mm
    away = ((x - x.mean()) ** 2 + (y - y.mean()) ** 2) / 250.0**2
    across = np.clip(1 - 0.5 * away, 0.4, 1)
    return (level * along).astype(np.float32), across.astype(np.float32)


def _noise_block(spacing_mm: Array, grain_mm: float, rng: np.random.Generator) -> Array:
    """Return a block of correlated noise of standard deviation 1 whose opposite sides fit."""
    block = rng.standard_normal((BANK, BANK, BANK), dtype=np.float32)
    for axis, share in ((0, 1.15), (1, 1.0), (2, 0.5)):
        variance = min(float((grain_mm * share / spacing_mm[axis]) ** 2), 4.0)
        block = _around(block, axis, variance)
    result: Array = block / block.std()
    return result


def _around(block: Array, axis: int, variance_vox: float) -> Array:
    passes = int(np.ceil(variance_vox / 0.5))
    for _ in range(passes):
        weight = np.float32(variance_vox / passes / 2)
        both = np.roll(block, 1, axis) + np.roll(block, -1, axis)
        block = block * (1 - 2 * weight) + both * weight
    return block
