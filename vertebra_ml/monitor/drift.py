"""How far a column of the requests has moved from the reference.

Two questions, and both must be answered with yes: is the shift large (population stability index,
by tenths of the reference), and is it more than chance (Kolmogorov and Smirnov's test, or chi
square of words, each at its share of the level: many columns are looked at)?
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.monitor.columns import ANSWERS
from vertebra_ml.served.facts import CT, MIPS, NUMBERS, WORDS

if TYPE_CHECKING:
    import pandas as pd

TENTHS: Final = 10
SMOOTHING: Final = 0.5
"""Added to each count: an empty tenth is no infinite shift."""
QUANTILES: Final = (0.05, 0.5, 0.95)
FORMS: Final = (CT, MIPS)

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shift:
    """A column of one form of scan, in the reference and now.

    ``form`` is ``ct``, ``mips``, or empty for answers, which are of both. ``before`` and ``now``
    are the values, numbers or words; ``index`` the population stability index; ``chance`` how
    likely as much comes from the same source.
    """

    column: str
    form: str
    before: NDArray[Any]
    now: NDArray[Any]
    index: float
    chance: float
    drifted: bool


def shifts(
    reference: "pd.DataFrame",
    requests: "pd.DataFrame",
    *,
    index_max: float,
    chance_max: float,
    least: int,
) -> list[Shift]:
    """Compare every column that both know, of at least ``least`` requests, largest shift first."""
    pairs = []
    for form in (*FORMS, ""):
        names = ANSWERS if not form else (*NUMBERS, *WORDS)
        parts = [t if not form else t[t["form"] == form] for t in (reference, requests)]
        for name in names:
            before, now = (_values(part[name], name in WORDS) for part in parts)
            if len(before) and len(now) >= least:
                pairs.append((name, form, before, now))
    level = chance_max / max(1, len(pairs))
    found = []
    for name, form, before, now in pairs:
        index, chance = _compare(before, now)
        drifted = index > index_max and chance < level
        found.append(Shift(name, form, before, now, index, chance, drifted))
    return sorted(found, key=lambda shift: (not shift.drifted, -shift.index))


def stability_index(before: Numbers, now: Numbers) -> float:
    """Return the population stability index of numbers, by tenths of ``before``."""
    inner = np.unique(np.quantile(before, np.linspace(0, 1, TENTHS + 1)[1:-1]))
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    # A value on an edge belongs below it, so that a column of one value has one full tenth.
    counts = [
        np.bincount(np.searchsorted(edges[1:-1], values, side="left"), minlength=len(edges) - 1)
        for values in (before, now)
    ]
    return _index(*counts)


def _compare(before: NDArray[Any], now: NDArray[Any]) -> tuple[float, float]:
    from scipy import stats

    if before.dtype.kind == "f":
        chance = stats.ks_2samp(before, now).pvalue
        return stability_index(before, now), float(chance)
    words = sorted({*before, *now})
    counts = [np.array([(values == word).sum() for word in words]) for values in (before, now)]
    if len(words) == 1:
        return 0.0, 1.0
    return _index(*counts), float(stats.chi2_contingency(np.array(counts)).pvalue)


def _index(before: NDArray[Any], now: NDArray[Any]) -> float:
    first, second = (
        (counts + SMOOTHING) / (counts.sum() + SMOOTHING * len(counts)) for counts in (before, now)
    )
    return float(((second - first) * np.log(second / first)).sum())


def _values(column: "pd.Series[Any]", words: bool) -> NDArray[Any]:
    kept = column.dropna()
    return kept.astype(str).to_numpy(dtype=object) if words else kept.to_numpy(dtype=np.float64)
