"""Random changes of a pair of MIPs and its landmarks together, seeded by the caller.

Pictures are (row, col) HU, row 0 = head, frontal column 0 = the patient's right, as in ``mip``.
Every change takes a Sample and gives a new one; those that move rows move ``positions`` exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.targets import HALF_BODY_MM, Floats, states_in_field
from vertebra_ml.volume import AIR_HU

Picture = NDArray[Any]
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Sample:
    """A pair of MIPs on a network's grid, and what is known of each level.

    Parameters
    ----------
    frontal, sagittal : (rows, columns), HU, AIR_HU where no body was crossed.
    positions : (levels,), fractional rows, also outside the picture; NaN where not known.
    states : (levels,), LABELLED, UNKNOWN or ABSENT of ``targets``.
    spacing_mm : distance between rows, and between columns.
    """

    frontal: Picture
    sagittal: Picture
    positions: Floats
    states: NDArray[np.int8]
    spacing_mm: float

    @property
    def rows(self) -> int:
        """Number of rows of both pictures."""
        return int(self.frontal.shape[0])


@dataclass(frozen=True)
class Strength:
    """How far each change goes: (low, high) of a uniform choice, or the rate of its happening."""

    fill: Range = (0.12, 1.0)  # height of the field as a part of the rows allowed
    scale: Range = (0.85, 1.15)
    bend: Range = (0.0, 0.06)  # slope of the local deformation, mm a mm
    shift_mm: Range = (-22.0, 22.0)
    tilt: Range = (-0.06, 0.06)  # sideways mm a mm of height
    flip: float = 0.5
    narrow: float = 0.3
    width_mm: Range = (60.0, 240.0)
    thick: float = 0.45
    thickness_mm: Range = (2.0, 8.0)
    gain: Range = (0.7, 1.4)
    offset_hu: Range = (-80.0, 120.0)
    gamma: Range = (0.75, 1.35)
    blobs: int = 6
    blanks: int = 2
    noise_hu: Range = (0.0, 45.0)
    blur: float = 0.3
    blur_mm: Range = (0.8, 3.0)


STRENGTHS: Final = {
    "training": Strength(),
    # Validation is whole scans as they come: another field, another thickness, nothing else.
    "validation": Strength(
        scale=(1, 1), bend=(0, 0), shift_mm=(-8, 8), tilt=(0, 0), flip=0.0, narrow=0.1, thick=0.4,
        gain=(1, 1), offset_hu=(0, 0), gamma=(1, 1), blobs=0, blanks=0, noise_hu=(0, 15), blur=0.0,
    ),
}  # fmt: skip

TISSUE_HU: Final = 40.0
TONE_HU: Final[Range] = (-250.0, 1250.0)
"""Ends of the range in which gamma bends intensities."""


def augment(
    sample: Sample, rng: np.random.Generator, *, strength: Strength, rows_max: int
) -> Sample:
    """Return a changed Sample of at most ``rows_max`` rows, all of it chosen by ``rng``."""
    sample = warp(sample, rng, strength=strength, rows_max=rows_max)
    for change in CHANGES:
        sample = change(sample, rng, strength)
    return sample


def warp(sample: Sample, rng: np.random.Generator, *, strength: Strength, rows_max: int) -> Sample:
    """Crop the field in height, scale both axes, bend rows, shift, tilt and flip columns."""
    step = rng.uniform(*strength.scale)  # source rows a new row
    rows = max(2, int(min(sample.rows / step, rows_max * rng.uniform(*strength.fill))))
    start = rng.uniform(0, max(0.0, sample.rows - rows * step))
    source = start + (np.arange(rows) + 0.5) * step - 0.5 + _bend(rows, step, rng, strength.bend)
    positions = _inverse(source, sample.positions, step)
    margin = HALF_BODY_MM / sample.spacing_mm
    tilt = rng.uniform(*strength.tilt, size=2)
    mirrored = -1.0 if rng.random() < strength.flip else 1.0
    pictures = []
    for picture, lean, sign in zip(
        (sample.frontal, sample.sagittal), tilt, (mirrored, 1.0), strict=True
    ):
        width = picture.shape[1]
        across = rng.uniform(*strength.scale) * sign
        shift = rng.uniform(*strength.shift_mm) / sample.spacing_mm
        middle = (width - 1) / 2 + shift + lean * (np.arange(rows) - rows / 2)
        columns = middle[:, None] + across * (np.arange(width) - (width - 1) / 2)[None]
        pictures.append(_pick(picture, source, columns))
    states = states_in_field(positions, sample.states, rows, margin_rows=margin)
    return Sample(pictures[0], pictures[1], positions, states, sample.spacing_mm)


def narrow(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Cut the field sideways, as a reconstruction about the spine or the heart does."""
    if rng.random() >= strength.narrow:
        return sample

    def change(picture: Picture) -> Picture:
        width = rng.uniform(*strength.width_mm) / sample.spacing_mm
        middle = picture.shape[1] / 2 + rng.uniform(-0.5, 0.5) * width
        columns = np.arange(picture.shape[1])
        return np.where(np.abs(columns - middle) <= width / 2, picture, np.float32(AIR_HU))

    return _on_both(sample, change)


def thicken(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Average the rows to thick slices and draw them back, stepped or smooth."""
    if rng.random() >= strength.thick:
        return sample
    thickness = max(rng.uniform(*strength.thickness_mm), sample.spacing_mm)
    count = max(2, round(sample.rows * sample.spacing_mm / thickness))
    edges = np.linspace(0, sample.rows, count + 1)
    place = (np.arange(sample.rows) + 0.5) * count / sample.rows - 0.5
    place = np.clip(np.round(place) if rng.random() < 0.5 else place, 0, count - 1)
    return _on_both(sample, lambda picture: lerp_rows(_averaged(picture, edges), place))


def recolour(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Change gain about soft tissue, offset and gamma, alike in both views; air stays air."""
    gain, offset = rng.uniform(*strength.gain), rng.uniform(*strength.offset_hu)
    gamma = rng.uniform(*strength.gamma)
    low, high = TONE_HU

    def change(picture: Picture) -> Picture:
        tone = np.clip((picture - low) / (high - low), 0, 1) ** gamma * (high - low) + low
        return _keep_air(picture, (tone - TISSUE_HU) * gain + TISSUE_HU + offset)

    return _on_both(sample, change)


def blobs(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Add bright ellipses: contrast in vessels, kidneys and bowel, and now and then metal."""
    if strength.blobs == 0:
        return sample

    def change(picture: Picture) -> Picture:
        result = picture.copy()
        for _ in range(int(rng.integers(strength.blobs + 1))):
            _draw_blob(result, rng, sample.spacing_mm)
        return _keep_air(picture, result)

    return _on_both(sample, change)


def blanks(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Hide rectangles behind soft tissue, so that no single mark is relied upon."""
    if strength.blanks == 0:
        return sample

    def change(picture: Picture) -> Picture:
        result = picture.copy()
        for _ in range(int(rng.integers(strength.blanks + 1))):
            box = tuple(_span(n, rng, 60 / sample.spacing_mm) for n in picture.shape)
            result[box] = TISSUE_HU + rng.uniform(-40, 60)
        return _keep_air(picture, result)

    return _on_both(sample, change)


def blur(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Soften both views, as a smooth kernel does."""
    if rng.random() >= strength.blur:
        return sample
    from scipy.ndimage import gaussian_filter

    sigma = rng.uniform(*strength.blur_mm) / sample.spacing_mm
    return _on_both(
        sample, lambda p: _keep_air(p, gaussian_filter(np.maximum(p, -200), sigma, truncate=2.5))
    )


def noise(sample: Sample, rng: np.random.Generator, strength: Strength) -> Sample:
    """Add noise to every pixel that crossed a body."""
    sigma = rng.uniform(*strength.noise_hu)

    def change(picture: Picture) -> Picture:
        return _keep_air(picture, picture + sigma * rng.standard_normal(picture.shape, np.float32))

    return _on_both(sample, change)


CHANGES: Final[tuple[Callable[[Sample, np.random.Generator, Strength], Sample], ...]] = (
    blobs, thicken, recolour, blanks, blur, noise, narrow,
)  # fmt: skip
"""Every change of the picture, in the order in which a body, a scanner and a reader make them."""


def lerp_rows(picture: Picture, place: Floats) -> Picture:
    """Give rows of a floating (rows, columns) picture at ``place`` (n,), linear, edges held."""
    last = picture.shape[0] - 1
    place = np.clip(place, 0, last)
    low = np.minimum(place.astype(np.intp), max(last - 1, 0))
    weight = (place - low).astype(picture.dtype)[:, None]
    lower = picture[low]
    result: Picture = lower + (picture[np.minimum(low + 1, last)] - lower) * weight
    return result


def _pick(picture: Picture, rows: Floats, columns: Floats) -> Picture:
    """Give (n, m): ``picture`` at ``rows`` (n,) and ``columns`` (n, m); air beyond its sides."""
    stretched = lerp_rows(picture.astype(np.float32), rows)
    stretched = np.pad(stretched, ((0, 0), (1, 1)), constant_values=AIR_HU)
    columns = np.clip(columns + 1, 0, stretched.shape[1] - 1.001)
    low = columns.astype(np.intp)
    weight = (columns - low).astype(np.float32)
    left = np.take_along_axis(stretched, low, axis=1)
    return _crisp(left + (np.take_along_axis(stretched, low + 1, axis=1) - left) * weight)


def _crisp(picture: Picture) -> Picture:
    """Make air of what is mostly air: half of it at the rim of a body would read as fat."""
    result: Picture = np.where(picture < (AIR_HU + TONE_HU[0]) / 2, np.float32(AIR_HU), picture)
    return result


def _inverse(source: Floats, positions: Floats, step: float) -> Floats:
    """Give the new rows of source rows ``positions``: the rising map ``source`` read backwards."""
    index = np.arange(len(source))
    inside = np.interp(positions, source, index)
    above = (positions - source[0]) / step
    below = index[-1] + (positions - source[-1]) / step
    result: Floats = np.where(above < 0, above, np.where(positions > source[-1], below, inside))
    return np.where(np.isnan(positions), np.nan, result)


def _bend(rows: int, step: float, rng: np.random.Generator, slopes: Range) -> Floats:
    """Give (rows,) source rows to add: two slow waves, each no steeper than ``slopes``."""
    total = np.zeros(rows)
    for _ in range(2):
        turn = 2 * np.pi * rng.uniform(0.5, 3.0) / max(rows, 2)  # radians a row
        wave = np.sin(np.arange(rows) * turn + rng.uniform(0, 2 * np.pi))
        total += wave * rng.uniform(*slopes) * step / turn
    return total


def _averaged(picture: Picture, edges: Floats) -> Picture:
    """Give the means of the rows between ``edges`` (n + 1,), fractions counted as such."""
    sums = np.zeros((picture.shape[0] + 1, picture.shape[1]))
    np.cumsum(picture, axis=0, dtype=np.float64, out=sums[1:])
    means = np.diff(lerp_rows(sums, edges), axis=0) / np.diff(edges)[:, None]
    return _crisp(means.astype(np.float32))


def _draw_blob(picture: Picture, rng: np.random.Generator, spacing_mm: float) -> None:
    rows, columns = picture.shape
    metal = rng.random() < 0.1
    size = rng.uniform(3, 15, 2) if metal else rng.uniform(6, 40, 2)
    if rng.random() < 0.25:
        size[0] *= 5  # a vessel runs along the column
    centre = rng.uniform((0, 0), (rows, columns))
    bright = rng.uniform(1200, 3000) if metal else rng.uniform(120, 600)
    radius = size / spacing_mm
    low, high = np.maximum(0, [centre - radius, centre + radius + 1]).astype(int)
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    y, x = np.ogrid[box]
    part = picture[box]
    distance = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2
    distance = distance[: part.shape[0], : part.shape[1]]
    picture[box] = np.where(distance < 1, np.maximum(part, bright * (1 - 0.3 * distance)), part)


def _span(length: int, rng: np.random.Generator, longest: float) -> slice:
    size = rng.uniform(2, max(3.0, min(longest, length / 2)))
    start = rng.uniform(-size / 2, length)
    return slice(max(0, int(start)), max(0, int(start + size)))


def _keep_air(before: Picture, after: Picture) -> Picture:
    result: Picture = np.where(before > AIR_HU, after, np.float32(AIR_HU))
    return result


def _on_both(sample: Sample, change: Callable[[Picture], Picture]) -> Sample:
    return replace(sample, frontal=change(sample.frontal), sagittal=change(sample.sagittal))
