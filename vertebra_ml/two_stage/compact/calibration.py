"""What identification is worth on validation columns, and the numbers that make its words true."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from vertebra_ml.anatomy import RANK
from vertebra_ml.two_stage.compact.column import NEAR_MM
from vertebra_ml.two_stage.compact.identification import Sightings, sightings
from vertebra_ml.two_stage.compact.samples import Sample
from vertebra_ml.two_stage.compact.teaching import whole

Doubles = NDArray[np.float64]

MATCH_MM: Final = 12.0
"""A sighting no farther from a centre is of that vertebra: less than half of any gap."""
HELD: Final = 0.9
"""Part of the truths that lie within the stated radius."""
NAME_WEIGHTS: Final = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
INVENTED: Final = 0.5
"""Heat from which a sighting where nothing is counts as a fault; the chain drops colder ones."""
GUESS: Final = 0.5
"""A name that scores less is more likely wrong than right, and is not told."""
FAULT: Final = 2.0
"""What a missed or an invented vertebra costs against one nat of doubt about a name."""


@dataclass(frozen=True, eq=False)
class Read:
    """One validation column as the network reads it.

    Parameters
    ----------
    seen : its sightings.
    points_mm : (n, 3) x, y, z where they lie, mm in the view.
    truth : (n,) rank of the level of each sighting, -1 where there is no vertebra.
    error_mm : (n,) distance to it, NaN where there is none.
    missed : levels that no sighting is of.
    """

    seen: Sightings
    points_mm: Doubles
    truth: NDArray[np.int64]
    error_mm: Doubles
    missed: int


def measure(network: Any, samples: Sequence[Sample]) -> dict[str, float]:
    """Return figures on whole validation columns; ``error`` is what should fall."""
    reads = [read(network, sample) for sample in samples]
    truth = np.concatenate([one.truth for one in reads])
    names = np.concatenate([one.seen.names for one in reads])
    errors = np.concatenate([one.error_mm for one in reads])
    hit = truth >= 0
    missed, vertebrae = sum(one.missed for one in reads), int(hit.sum())
    total = max(1, vertebrae + missed)
    nats = -names[hit, truth[hit]].mean() if hit.any() else 10.0
    right = (names[hit].argmax(axis=1) == truth[hit]).sum() / total
    mm = float(np.median(errors[hit])) if hit.any() else 50.0
    heat = np.concatenate([one.seen.heat for one in reads])
    faults = (missed + int((~hit & (heat >= INVENTED)).sum())) / total
    return {
        "right": float(right), "nats": float(nats), "faults": float(faults), "median_mm": mm,
        "error": float(nats + FAULT * faults + mm / 10),
    }  # fmt: skip


def read(network: Any, sample: Sample) -> Read:
    """Read a stored column and match what is seen with what is there."""
    inputs, _ = whole(sample)
    seen = sightings(np.asarray(network.predict_on_batch(inputs))[0])
    points = np.column_stack([seen.aside_mm, -seen.rows * NEAR_MM[2]])
    places = sample.arrays["places"].astype(np.float64)
    centres = np.column_stack([places[:, :2], -places[:, 2] * NEAR_MM[2]])
    truth = np.full(len(points), -1)
    error = np.full(len(points), np.nan)
    distance = np.linalg.norm(points[:, None] - centres[None], axis=2)
    taken: set[int] = set()
    for flat in np.argsort(distance, axis=None):
        i, j = divmod(int(flat), len(centres))
        if distance[i, j] > MATCH_MM:
            break
        if truth[i] < 0 and j not in taken:
            truth[i], error[i] = RANK[str(sample.arrays["labels"][j])], distance[i, j]
            taken.add(j)
    return Read(seen, points, truth, error, len(centres) - len(taken))


def thresholds(network: Any, samples: Sequence[Sample]) -> dict[str, float]:
    """Return ``spread_scale``, ``name_weight``, ``names_wrong``, found on validation columns, and
    ``guess``.

    The first makes the stated radius hold HELD of the errors; the second multiplies the logarithms
    of the network's names where these then say most truly what is there (temperature scaling, Guo
    et al. 2017, but never surer than taught); the third is the share of vertebrae that the network,
    read alone, misses or names wrongly.
    """
    reads = [one for one in (read(network, sample) for sample in samples) if len(one.truth)]
    ratio = [one.error_mm / one.seen.spread_mm for one in reads]
    known = np.concatenate(ratio) if ratio else np.empty(0)
    known = known[np.isfinite(known)]
    scale = float(np.quantile(known, HELD)) if known.size else 1.0
    doubts = {weight: _nats(reads, weight) for weight in NAME_WEIGHTS}
    return {
        "spread_scale": scale,
        "name_weight": min(doubts, key=lambda w: doubts[w]),
        "names_wrong": _wrong(reads),
        "guess": GUESS,
    }


def _wrong(reads: Sequence[Read]) -> float:
    right = sum(int((one.seen.names.argmax(axis=1) == one.truth).sum()) for one in reads)
    total = sum(int((one.truth >= 0).sum()) + one.missed for one in reads)
    return 1 - right / max(1, total)


def _nats(reads: Sequence[Read], weight: float) -> float:
    """Return how much names of this weight are surprised by the truth, on average a vertebra."""
    surprise = [np.zeros(1)]
    for one in reads:
        hit = np.flatnonzero(one.truth >= 0)
        surprise.append(-log_softmax(weight * one.seen.names, axis=1)[hit, one.truth[hit]])
    return float(np.concatenate(surprise).mean())
