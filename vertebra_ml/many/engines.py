"""Who locates a folder of scans: this process, several of this machine, or a cluster's workers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from vertebra_ml.many.asked import Asked, Packed, Recipe
from vertebra_ml.many.cluster import PATIENCE_S, ClusterCrew
from vertebra_ml.many.crew import Crew, Job
from vertebra_ml.many.outcome import Outcome
from vertebra_ml.many.scans import Engine, Todo, by_crew, in_turn
from vertebra_ml.many.workers import (
    BASE_BYTES,
    SHARE,
    LocalCrew,
    cores,
    free_bytes,
    planned,
    threads_each,
)
from vertebra_ml.models import Localiser


def here(recipe: Recipe, build: Callable[[], Localiser], workers: int = 0) -> Engine:
    """Return this machine's way: so many processes, or as many as are fit for what is to be done.

    A single one is this process, with the model that ``build`` returns.
    """

    def engine(todo: Todo, addresses: Sequence[str]) -> Iterator[tuple[int, Outcome]]:
        free, of_cores = free_bytes(), cores()
        count = min(workers, len(todo)) or planned(len(todo), cores=of_cores, free=free)
        if count == 1:
            return in_turn(build)(todo, addresses)
        budget = max(0.0, free * SHARE - count * BASE_BYTES)
        threads = threads_each(count, of_cores)

        def started(jobs: Sequence[Job]) -> AbstractContextManager[Crew]:
            return LocalCrew(count, threads=threads, budget=budget)

        return by_crew(recipe, started)(todo, addresses)

    return engine


def elsewhere(asked: Asked, address: str, *, patience_s: float = PATIENCE_S) -> Engine:
    """Return the way of the cluster whose Dask scheduler is at ``address``.

    The scans must lie there where they lie here; the model travels.
    """

    def engine(todo: Todo, addresses: Sequence[str]) -> Iterator[tuple[int, Outcome]]:
        def started(jobs: Sequence[Job]) -> AbstractContextManager[Crew]:
            return ClusterCrew(address, patience_s=patience_s)

        return by_crew(Packed.of(asked), started)(todo, addresses)

    return engine
