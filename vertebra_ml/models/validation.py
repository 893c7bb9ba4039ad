"""How good a network is on whole pictures, by the decode that serving uses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from vertebra_ml.augment import Sample
from vertebra_ml.models.architectures import architecture
from vertebra_ml.models.batches import by_height
from vertebra_ml.models.contract import Settings
from vertebra_ml.models.decoding import JOINTS, Decoder, Verdict, distribution, presence
from vertebra_ml.models.inputs import bucket, tensors
from vertebra_ml.targets import LABELLED, UNKNOWN, Floats

GROSS_MM: Final = 20.0
"""An error beyond this is gross: about half a lumbar gap."""

RIGHT_MM: Final = 10.0
"""An answer no farther off is right: less than half of any gap below the neck."""

PRICE_MM: Final = 50.0
"""A rate (0..1) of gross errors or of wrong presence weighs in ``error`` as this many mm."""

OTHERS: Final = 0.2
"""Weight of the levels that are learnt but not answered."""

BATCH: Final = 8


@dataclass(frozen=True)
class Outcome:
    """One level of one picture: NaN ``error_mm`` where it is not both there and found."""

    level: str
    present: bool
    found: bool
    error_mm: float
    score: float = float("nan")


def measure(
    network: Any, samples: Sequence[Sample], reader: Decoder, settings: Settings
) -> dict[str, float]:
    """Return figures of the levels asked for, and ``error``, in mm: one number to be least.

    ``median_mm`` and ``gross`` (rate beyond GROSS_MM) of what was found, ``presence`` (rate
    of right calls), ``others_gross`` of the levels only learnt; ``error`` weighs them all.
    """
    outcomes = list(_outcomes(network, samples, reader, settings.architecture))
    asked = _figures([o for o in outcomes if o.level in settings.levels])
    others = _figures([o for o in outcomes if o.level not in settings.levels])
    error = _price(asked) + OTHERS * _price(others)
    return asked | {"others_gross": others["gross"], "error": error}


def best_presence_threshold(network: Any, samples: Sequence[Sample], settings: Settings) -> float:
    """Return the threshold, in steps of 0.05, that tells the levels of validation rightly.

    By the decode that serving uses, over every level learnt: those answered alone are too few. Of
    thresholds that chance cannot tell from the best, within one standard error of its count of
    wrong calls, the highest: "not in this scan" is a good answer, a guess is not.
    """
    shape = architecture(settings.architecture)
    likely: list[float] = []
    present: list[bool] = []
    for sample, own in distributions(network, samples, settings.architecture):
        joint = JOINTS[shape.column](own, settings.heads, shape.spacing_mm)
        known = sample.states != UNKNOWN
        likely.extend(presence(own, joint)[known])
        present.extend(sample.states[known] == LABELLED)
    steps = np.arange(1, 20) / 20
    wrong = ((np.array(likely)[:, None] >= steps) != np.array(present)[:, None]).sum(axis=0)
    return float(steps[wrong <= wrong.min() + np.sqrt(wrong.min())].max())


def best_answer_threshold(
    network: Any, samples: Sequence[Sample], reader: Decoder, settings: Settings
) -> float:
    """Return the score, in steps of 0.05, from which a place is worth telling.

    Below it answers of validation are more often wrong than right: right ones less wrong ones are
    most from there on; of several such scores the highest. Over every level learnt, as above.
    """
    found = [o for o in _outcomes(network, samples, reader, settings.architecture) if o.found]
    scores = np.array([outcome.score for outcome in found])
    worth = np.array([1 if o.present and o.error_mm <= RIGHT_MM else -1 for o in found])
    steps = np.arange(11) / 20
    gains = [int(worth[scores >= step].sum()) for step in steps]
    return float(steps[np.array(gains) == max(gains)].max())


def distributions(
    network: Any, samples: Sequence[Sample], name: str
) -> Iterator[tuple[Sample, Floats]]:
    """Yield each sample with its (heads, rows + 1), each level read alone."""
    activation = architecture(name).activation
    for members in by_height(samples, BATCH):
        chosen = [samples[i] for i in members]
        batch = tensors([(s.frontal, s.sagittal) for s in chosen], bucket(chosen[0].rows))
        for sample, logits in zip(chosen, network.predict_on_batch(batch), strict=True):
            yield sample, distribution(logits, sample.rows, activation)


def _outcomes(
    network: Any, samples: Sequence[Sample], reader: Decoder, name: str
) -> Iterator[Outcome]:
    for sample, own in distributions(network, samples, name):
        for i, verdict in enumerate(reader.read(own, reader.levels)):
            if sample.states[i] != UNKNOWN:
                yield _outcome(sample, i, verdict)


def _outcome(sample: Sample, i: int, verdict: Verdict) -> Outcome:
    present, found = bool(sample.states[i] == LABELLED), verdict.row is not None
    error = float("nan")
    if verdict.row is not None and present:
        error = abs(verdict.row - float(sample.positions[i])) * sample.spacing_mm
    return Outcome(verdict.level, present, found, error, verdict.score)


def _figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    errors = np.array([o.error_mm for o in outcomes if o.present and o.found])
    right = [o.present == o.found for o in outcomes]
    return {
        # Nothing found yet counts as far off, so that the first epochs can be compared.
        "median_mm": float(np.median(errors)) if len(errors) else 10 * GROSS_MM,
        "gross": float((errors > GROSS_MM).mean()) if len(errors) else 1.0,
        "presence": float(np.mean(right)) if right else 1.0,
    }


def _price(figures: dict[str, float]) -> float:
    rates = figures["gross"] + 1 - figures["presence"]
    return figures["median_mm"] + PRICE_MM * rates
