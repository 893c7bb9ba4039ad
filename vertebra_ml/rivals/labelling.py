"""The way through: the chain's answer, its rivals weighed anew, names with probabilities out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vertebra_ml.anatomy import LEVELS
from vertebra_ml.chain import Candidates, Labelling, Statistics
from vertebra_ml.chain import label as chain_label
from vertebra_ml.chain import shipped as chain_shipped
from vertebra_ml.chain.candidates import Floats
from vertebra_ml.rivals.batches import Lesson, batch_of
from vertebra_ml.rivals.columns import Rivals, cooled, decided, rivals, shares_of
from vertebra_ml.rivals.inputs import inputs_of
from vertebra_ml.rivals.network import Weights, forward
from vertebra_ml.rivals.weights import Networks, shipped


def label(
    candidates: Candidates,
    statistics: Statistics | None = None,
    networks: Networks | None = None,
) -> Labelling:
    """Return, of the rivals of the chain's answer, the one with most names right on average.

    Which candidates are vertebrae, and how many lie between them, is the chain's answer; which
    column they are is weighed by ``networks``. Without segment probabilities, or with scores of
    levels, which the networks were not taught with, the chain answers alone.

    Raises ModelError where the shipped networks are needed and cannot be read.
    """
    statistics = statistics or chain_shipped()
    answer = chain_label(candidates, statistics)
    if candidates.segments is None or candidates.level_scores is not None:
        return answer
    found = rivals(candidates, answer, statistics)
    networks = networks or shipped()
    if found is None:
        return replace(answer, sure=networks.sure)
    weights = chances_of(candidates, found, networks.seeds)
    return replace(renamed(answer, found, weights, networks.temperature), sure=networks.sure)


def chances_of(candidates: Candidates, found: Rivals, seeds: Sequence[Weights]) -> Floats:
    """Return (k,) the chance of each rival, the mean over networks."""
    unknown = np.zeros(len(found.builds), dtype=np.int64)
    batch = batch_of([Lesson(inputs_of(candidates, found), found, unknown, 0)])
    result: Floats = np.mean([forward(weights, batch).chances for weights in seeds], axis=0)
    return result


def renamed(
    answer: Labelling, found: Rivals, chances: Floats, temperature: float = 1.0
) -> Labelling:
    """Return ``answer`` with the names of the rival with most right on average.

    ``chances`` are the rivals', (k,); ``temperature`` cools what is told, not what is chosen.

    That a candidate is a vertebra at all is as likely as before.
    """
    named, shares = decided(found, chances), shares_of(found, cooled(chances, temperature))
    levels, own = list(answer.levels), answer.probabilities.copy()
    every = answer.chances.copy()
    for place, candidate in enumerate(found.used):
        every[candidate] = answer.chances[candidate].sum() * shares[place]
        levels[candidate] = LEVELS[named[place]]
        own[candidate] = min(1.0, every[candidate, named[place]])
    return replace(answer, levels=tuple(levels), probabilities=own, chances=every)
