"""How a search goes: a line a trial, with the best so far and the time left; the best marked."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

log = logging.getLogger(__name__)

MINUTE_S = 60


class Tracked(Protocol):
    """The run of the search."""

    def mark_best(self, trial: str | None, figures: Mapping[str, float]) -> None:
        """Mark the best trial, and no other."""


@dataclass
class Progress:
    """Told whenever a trial has ended; ``workers`` run side by side."""

    oracle: Any
    tracked: Tracked
    workers: int
    begun: float = field(default_factory=time.monotonic)
    before: int = 0

    def begin(self) -> None:
        """Say what is done already: the time left is reckoned from what this process sees end."""
        self.before, self.begun = len(self.oracle.ended), time.monotonic()
        if self.before:
            log.info("%d of %d trials ended before", self.before, self.oracle.max_trials)

    def told(self) -> None:
        """Mark the best trial, and say how far the search is."""
        ended = self.oracle.ended
        done = [trial for trial in ended if trial.status == "COMPLETED"]
        best = min(done, key=lambda trial: trial.score, default=None)
        figures = {"trials": len(ended), "failed": len(ended) - len(done)}
        if best is not None:
            figures["best_error"] = best.score
        self.tracked.mark_best(best.trial_id if best else None, figures)
        so_far = f"best {best.score:.4g} (trial {best.trial_id})" if best else "none succeeded"
        whole = self.oracle.max_trials
        log.info("%d of %d trials: %s%s", len(ended), whole, so_far, self._left(len(ended), whole))

    def _left(self, ended: int, whole: int) -> str:
        seen = ended - self.before
        if seen < 1 or ended >= whole:
            return ""
        seconds = (time.monotonic() - self.begun) / seen * (whole - ended)
        return f", about {max(1, round(seconds / MINUTE_S))} min left"
