"""How long a network is taught, when its learning rate falls, and which epoch is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SETTLED: Final = 0.1
"""Part of the first learning rate at which weights have settled. Before that the least of many
noisy validation errors is luck, and the weights are less sure of where a vertebra is."""

Row = Mapping[str, float]


@dataclass(frozen=True)
class Schedule:
    """The course of one training.

    Parameters
    ----------
    epochs, minutes : where it ends, whichever comes first.
    patience : epochs without a better validation error after which the rate begins to fall, if it
        does not yet.
    settle : the last part of the training, in which the rate falls to ``least`` of what it was.
    """

    epochs: int
    minutes: float
    patience: int
    settle: float
    least: float

    def spent(self, history: Sequence[Row]) -> float:
        """Return the part of the training that is over after these epochs, 1 at its end."""
        over, stalled = self._part(history), self._stalled(history)
        if stalled is None:
            return over
        return over + max(0.0, 1 - self.settle - self._part(history[:stalled]))

    def fall(self, history: Sequence[Row]) -> float:
        """Return what the rate of the next epoch is multiplied by: 1, and ``least`` at the end."""
        left = 1 - self.spent(history)
        return float(self.least ** max(0.0, 1 - left / self.settle))

    def _part(self, history: Sequence[Row]) -> float:
        seconds = sum(row["seconds"] for row in history)
        return max(len(history) / self.epochs, seconds / (60 * self.minutes))

    def _stalled(self, history: Sequence[Row]) -> int | None:
        """Return after how many epochs there was first none better for ``patience`` of them."""
        best = 0
        for epoch, row in enumerate(history):
            if row["error"] < history[best]["error"]:
                best = epoch
            if epoch - best >= self.patience:
                return epoch + 1
        return None


def settled(history: Sequence[Row]) -> bool:
    """Return whether the rate of the last epoch had fallen to ``SETTLED`` of the first."""
    return history[-1]["learning_rate"] <= SETTLED * history[0]["learning_rate"]
