"""Phantom CTs for evaluation: made in memory, a few ahead of the one that is being answered."""

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from vertebra_ml.case import Case
from vertebra_ml.landmarks import Truth
from vertebra_ml.leash import end_with
from vertebra_ml.phantom import Phantom, draw
from vertebra_ml.phantom.cohort import Population
from vertebra_ml.volume import Volume

POPULATIONS: dict[Population, str] = {"training": "phantom", "unlike": "phantom-unlike"}
"""Ranges drawn from in turn, and the group they are reported under: bodies and scanners like those
trained on, and others."""


class DrawnAhead:
    """Cases whose CTs are drawn by worker processes, in order; ``POPULATIONS`` names their groups.

    At most ``workers`` + 1 CTs are in memory or in the making; each can be opened once.
    """

    def __init__(self, seeds: list[int], workers: int) -> None:
        self._seeds = seeds
        self._window = workers + 1
        self._coming: dict[int, Future[Phantom]] = {}
        self._truths: dict[int, Truth] = {}
        # A started process must not inherit the threads of a network that is already loaded.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            max_workers=workers, mp_context=context, initializer=end_with, initargs=(os.getpid(),)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def cases(self) -> list[Case]:
        """One case a seed."""
        return [
            Case(
                f"phantom-test-{seed}",
                f"phantom-test-{seed}",
                Path(f"phantom-test-{seed}"),
                POPULATIONS[_population(place)],
                partial(self._open, place),
                partial(self._truths.__getitem__, place),
            )
            for place, seed in enumerate(self._seeds)
        ]

    def _open(self, place: int) -> Volume:
        for number in range(place, min(place + self._window, len(self._seeds))):
            if number not in self._coming and number not in self._truths:
                self._coming[number] = self._pool.submit(
                    draw, self._seeds[number], _population(number)
                )
        person = self._coming.pop(place).result()
        self._truths[place] = person.truth
        return person.volume


def _population(place: int) -> Population:
    return tuple(POPULATIONS)[place % len(POPULATIONS)]
