"""From what a network says of each level to one answer a level: found where, how sure, or absent.

A distribution is (levels, rows + 1): the rows from head to foot, then "not in this scan".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from vertebra_ml.models.column import consistent
from vertebra_ml.targets import Floats, decode

NEAR_MM: Final = 10.0
"""Mass no further than this from an answer speaks for it: half a lower thoracic gap is 12 mm."""

HELD: Final = 0.9
"""Part of the mass that ``spread_mm`` holds."""

SIGMAS_OF_HELD: Final = 1.645
"""A bell holds 0.9 of its mass within this many sigmas."""


@dataclass(frozen=True)
class Verdict:
    """One level: ``row`` is None where it is judged absent; ``score`` 0..1 is for what is said.

    It is None as well where it is not ``told``: the level seems to be there, but ``score``, that of
    its best place, says that the place would be a guess.
    """

    level: str
    row: float | None
    score: float
    spread_mm: float
    told: bool = True


@dataclass(frozen=True)
class Decoder:
    """How a network's distribution is read.

    Parameters
    ----------
    levels : the level of each row of the distribution, head to foot.
    row_mm : distance between rows.
    sigma_mm : width of the bell that was taught.
    presence_threshold : a level is said to be in the scan from this ``presence`` on.
    column : weigh the levels against each other by the gaps of real spines ("chain"), or read each
        alone ("peak").
    answer_threshold : a place is told from this score on.
    """

    levels: tuple[str, ...]
    row_mm: float
    sigma_mm: float
    presence_threshold: float
    column: str
    answer_threshold: float = 0.0

    def read(self, own: Floats, asked: Sequence[str]) -> list[Verdict]:
        """Return a verdict for each level ``asked`` from distributions ``own``."""
        joint = JOINTS[self.column](own, self.levels, self.row_mm)
        return [
            self._verdict(own[i], joint[i], level)
            for i, level in enumerate(self.levels)
            if level in asked
        ]

    def _verdict(self, own: Floats, joint: Floats, level: str) -> Verdict:
        if presence(own, joint) < self.presence_threshold:
            return Verdict(level, None, float(min(own[-1], joint[-1])), float("nan"))
        mode = int(np.argmax(_smoothed(joint[:-1], self.sigma_mm / self.row_mm)))
        near = np.abs(np.arange(len(own) - 1) - mode) * self.row_mm <= NEAR_MM
        # The level's own bell says where within the vertebra, once the column has said which.
        bell = np.where(near, own[:-1], 0.0)
        bell = bell if bell.sum() > 1e-6 else np.where(near, joint[:-1], 0.0)
        row = decode(bell, self.sigma_mm / self.row_mm)
        score = min(float(own[:-1][near].sum()), float(joint[:-1][near].sum()), 1.0)
        if score < self.answer_threshold:
            return Verdict(level, None, score, float("nan"), told=False)
        return Verdict(level, row, score, self._spread(own[:-1], row))

    def _spread(self, rows: Floats, row: float) -> float:
        """Radius (mm) about ``row`` that holds HELD of the mass, less the width that was taught."""
        distance = np.abs(np.arange(len(rows)) - row) * self.row_mm
        order = np.argsort(distance, kind="stable")
        held = np.cumsum(rows[order]) >= HELD * rows.sum()
        radius = float(distance[order][np.argmax(held)])
        taught = SIGMAS_OF_HELD * self.sigma_mm
        return float(np.sqrt(max(radius**2 - taught**2, self.row_mm**2)))


def presence(own: Floats, joint: Floats) -> Floats:
    """Return (levels,) how probable each is in the scan, 0..1, or one number for (rows + 1,).

    By the level's own word and by the column's, the lower of both: neighbours at their places make
    a level at the edge of a scan probable that nobody sees.
    """
    result: Floats = 1 - np.maximum(own[..., -1], joint[..., -1])
    return result


def _alone(own: Floats, levels: Sequence[str], row_mm: float) -> Floats:
    return own


JOINTS: Final = {"chain": consistent, "peak": _alone}


def softmax(logits: Floats) -> Floats:
    """Give distributions over rows and absence from logits (levels, rows + 1)."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: Floats) -> Floats:
    """Give distributions from independent rows: the highest row is the probability of presence.

    The logit of absence is not used.
    """
    rows = 1 / (1 + np.exp(-np.clip(logits[:, :-1], -60, 60)))
    present = rows.max(axis=-1, keepdims=True)
    share = rows / np.maximum(rows.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    return np.concatenate([share * present, 1 - present], axis=-1)


def members(logits: Floats) -> Floats:
    """Give the mean of the distributions of networks, from logits (members, levels, rows + 1).

    The mean, not the product: where one is sure and the other sees something else, both places stay
    standing, and the score says so.
    """
    result: Floats = softmax(logits).mean(axis=0)
    return result


ACTIVATIONS: Final = {"softmax": softmax, "sigmoid": sigmoid, "members": members}


def distribution(logits: Floats, rows: int, activation: str) -> Floats:
    """Give (levels, rows + 1) from the logits of a picture, padded below to any height."""
    kept = np.concatenate([logits[..., :rows], logits[..., -1:]], axis=-1)
    return ACTIVATIONS[activation](kept.astype(np.float64))


def _smoothed(rows: Floats, sigma_rows: float) -> Floats:
    reach = max(1, round(2 * sigma_rows))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma_rows, 0.5)) ** 2)
    return np.convolve(rows, kernel, mode="full")[reach : reach + len(rows)]
