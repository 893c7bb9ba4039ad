"""Bootstrap intervals: statistics of values that count as often as their case was drawn.

Every statistic takes (n,) values and (draws, n) whole weights, and returns (draws,) results: all
draws of a bootstrap at once. A draw without any value gives NaN.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.int64]
Statistic = Callable[[Floats, Weights], Floats]

CONFIDENCE: Final = 0.95
"""Of every interval."""


def draw_cases(cases: int, draws: int, seed: int) -> Weights:
    """Return (draws, cases): how often each case is in each draw of as many cases as there are."""
    if cases == 0:
        return np.zeros((draws, 0), dtype=np.int64)
    return np.random.default_rng([seed]).multinomial(cases, [1 / cases] * cases, size=draws)


def mean(values: Floats, weights: Weights) -> Floats:
    """Return the weighted mean of each draw."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ values) / weights.sum(axis=1))


def std(values: Floats, weights: Weights) -> Floats:
    """Return the weighted standard deviation (of a population) of each draw."""
    shifted = values - (values.mean() if values.size else 0)  # keeps the difference exact
    return np.sqrt(np.maximum(mean(shifted**2, weights) - mean(shifted, weights) ** 2, 0))


def median(values: Floats, weights: Weights) -> Floats:
    """Return the weighted median of each draw."""
    return _quantile(values, weights, 0.5)


def p90(values: Floats, weights: Weights) -> Floats:
    """Return the weighted 90th percentile of each draw."""
    return _quantile(values, weights, 0.9)


def percentile_interval(draws: Floats, cases: int) -> tuple[float | None, float | None]:
    """Return the percentile interval of (draws,) results (Efron 1979).

    (None, None) from fewer than two cases, which have no interval.
    """
    draws = draws[np.isfinite(draws)]
    if cases < 2 or draws.size == 0:
        return None, None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def rate_interval(
    rate: float | None, draws: Floats, cases: int
) -> tuple[float | None, float | None]:
    """Return the percentile interval of a rate, opened where the rate is 0 or 1.

    There the bootstrap has no width; the open end is the rule of three (Hanley and
    Lippman-Hand 1983) in its exact form, 1 - 0.05^(1/cases).
    """
    low, high = percentile_interval(draws, cases)
    if low is None or high is None:
        return low, high
    reach = 1 - (1 - CONFIDENCE) ** (1 / cases)
    if rate == 0:
        return low, reach
    return (1 - reach, high) if rate == 1 else (low, high)


def estimate(
    values: Floats, owners: Weights, draws: Weights, statistic: Statistic, *, rate: bool
) -> tuple[float | None, float | None, float | None]:
    """Return a statistic of (n,) values and its interval; None for what cannot be known.

    ``owners`` (n,) says which case, a column of ``draws``, each value is of. NaN values are left
    out. A ``rate`` has the interval of ``rate_interval``.
    """
    known = np.isfinite(values)
    values, owners = values[known], owners[known]
    number = float(statistic(values, np.ones((1, values.size), dtype=np.int64))[0])
    value = number if np.isfinite(number) else None
    drawn, count = statistic(values, draws[:, owners]), len(np.unique(owners))
    if rate:
        return value, *rate_interval(value, drawn, count)
    return value, *percentile_interval(drawn, count)


def _quantile(values: Floats, weights: Weights, share: float) -> Floats:
    """Return numpy's linear quantile of each draw, as if values were repeated by their weights."""
    if values.size == 0:
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    values, heaps = values[order], np.cumsum(weights[:, order], axis=1)
    total = heaps[:, -1]
    place = share * np.maximum(total - 1, 0)
    low, high = (_ranked(values, heaps, end) for end in (np.floor(place), np.ceil(place)))
    return np.where(total > 0, low + (high - low) * (place % 1), np.nan)


def _ranked(values: Floats, heaps: NDArray[Any], rank: Floats) -> Floats:
    """Return (draws,) the value at each rank from 0; values (n,) ascend, heaps count them up."""
    place = (heaps <= rank[:, None]).sum(axis=1)
    return np.asarray(values[np.minimum(place, values.size - 1)])
