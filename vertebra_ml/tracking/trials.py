"""Searches: a run that holds one nested run a trial, the same ones again after a kill.

A run is found by its tags, never by what a process remembers: ``search`` names the search, and
``trial`` the trial; a search's own run has no ``trial``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.addresses import shown
from vertebra_ml.tracking.provenance import code_tags
from vertebra_ml.tracking.runs import log_epochs, log_final, log_params, set_tags
from vertebra_ml.tracking.store import experiment_id, lock, open_store

SEARCH, TRIAL, BEST, FAILURE, MARK = "search", "trial", "best", "failure", "search_mark"
PARENT: Final = "mlflow.parentRunId"
PRIMARY: Final = {
    "mlflow.experiment.primaryMetric.name": "error",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "False",
}
SUFFIX: Final = "-searches"
"""Trials are short: among whole trainings they would spoil the table of which is better."""


@dataclass(frozen=True)
class TrialRun:
    """The nested run of a trial; see ``tuning.trials.Watched``."""

    id: str
    client: MlflowClient

    def epoch(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add the figures of one epoch; one that the run holds is not doubled."""
        log_epochs(self.client, self.id, {epoch: figures})

    def ended(self, outcome: Any, epochs: Mapping[int, Mapping[str, float]]) -> None:
        """Say what the trial came to: FINISHED with its ``error``, or FAILED and why."""
        log_epochs(self.client, self.id, epochs)
        if outcome.error is None:
            set_tags(self.client, self.id, {FAILURE: outcome.failure})
        else:
            log_final(self.client, self.id, {"error": outcome.error, "seconds": outcome.seconds})
        status = "FAILED" if outcome.error is None else "FINISHED"
        self.client.set_terminated(self.id, status)


@dataclass(frozen=True)
class SearchRun:
    """The run of a search: its id, its name, and the ways to add to it."""

    id: str
    search: str
    place: str
    client: MlflowClient

    def watch(self, trial: str, values: Mapping[str, Any]) -> TrialRun:
        """Open the nested run of a trial, made where it is missing, RUNNING."""
        with lock(self.client.tracking_uri):
            known = self._runs(f"tags.{TRIAL} = '{trial}'")
            run_id = known[0].info.run_id if known else self._make(trial)
        self.client.update_run(run_id, status="RUNNING")
        log_params(self.client, run_id, values)
        return TrialRun(run_id, self.client)

    def trials(self) -> dict[str, Run]:
        """Return the nested runs by trial."""
        return {run.data.tags[TRIAL]: run for run in self._runs(f"tags.`{PARENT}` = '{self.id}'")}

    def mark_best(self, trial: str | None, figures: Mapping[str, float]) -> None:
        """Tag the best trial's run, and no other, ``best``; add ``figures`` to the search's own."""
        for name, run in self.trials().items():
            marked = run.data.tags.get(BEST) == "true"
            if name == trial and not marked:
                self.client.set_tag(run.info.run_id, BEST, "true")
                set_tags(self.client, self.id, {"best_trial": name, "best_run": run.info.run_id})
            elif name != trial and marked:
                self.client.delete_tag(run.info.run_id, BEST)
        log_final(self.client, self.id, figures)

    def add(self, path: Path) -> None:
        """Add a file to the search's own artifacts."""
        self.client.log_artifact(self.id, str(path))

    def _make(self, trial: str) -> str:
        tags = {SEARCH: self.search, TRIAL: trial, PARENT: self.id, "source": "trial"}
        tags |= code_tags(Path())
        name = f"trial {trial}"
        return str(self.client.create_run(self.place, run_name=name, tags=tags).info.run_id)

    def _runs(self, which: str) -> list[Run]:
        return _found(self.client, self.place, f"tags.{SEARCH} = '{self.search}' and {which}")


@contextmanager
def start_search_run(
    *, uri: str | None, experiment: str, search: str, mark: str, values: Mapping[str, Any]
) -> Iterator[SearchRun]:
    """Open the run of a search, or go on with the one that a kill left open.

    Parameters
    ----------
    uri, experiment : tracking store, and experiment beside which that of searches is made.
    search : names the search: written down before this is called, so that a kill doubles nothing.
    mark : what the search is of, as a short digest; a worker elsewhere compares it with its own.
    values : settings, flattened into the run's params.

    One that raises leaves its run FAILED, one stopped by hand KILLED; both are gone on with.
    """
    client = open_store(uri)
    place = _place(client, experiment)
    with lock(client.tracking_uri):
        known = _parents(client, place, search)
        if known:
            run_id = str(known[0].info.run_id)
        else:
            name = f"{values['kind']} {values['search']} {datetime.now(UTC):%m-%d %H:%M}"
            tags = {SEARCH: search, MARK: mark, "source": "search", "kind": str(values["kind"])}
            run = client.create_run(place, run_name=name, tags=tags | code_tags(Path()))
            run_id = str(run.info.run_id)
    client.update_run(run_id, status="RUNNING")
    log_params(client, run_id, values)
    try:
        yield SearchRun(run_id, search, place, client)
    except KeyboardInterrupt:
        _close(client, run_id, "KILLED")
        raise
    except MlflowException as error:
        _close(client, run_id, "FAILED")
        raise ModelError(
            shown(client.tracking_uri), found=str(error).split("\n")[0][:200],
            expected="a tracking store that answers",
            fix="see to it; the same command then goes on",
        ) from error  # fmt: skip
    except Exception:
        _close(client, run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def join_search_run(*, uri: str | None, experiment: str, search: str, mark: str) -> SearchRun:
    """Return the run of a search that a chief leads, for a worker.

    Raises ModelError where this store has none, or one of other settings, data or code.
    """
    client = open_store(uri)
    place = _place(client, experiment)
    known = _parents(client, place, search)
    if not known:
        raise ModelError(
            search, found="no such search in this tracking store",
            expected="the store of the chief, and the name that it printed",
            fix="correct tracking.uri or --search",
        )  # fmt: skip
    theirs = known[0].data.tags.get(MARK)
    if theirs != mark:
        raise ModelError(
            search, found=f"settings or data of another search ({mark}, the chief's {theirs})",
            expected="the very params.yaml and data of the chief",
            fix="`git pull && dvc pull` here, or there",
        )  # fmt: skip
    return SearchRun(str(known[0].info.run_id), search, place, client)


def _close(client: MlflowClient, run_id: str, status: str) -> None:
    with suppress(MlflowException):  # what is told of is worse
        client.set_terminated(run_id, status)


def _parents(client: MlflowClient, place: str, search: str) -> list[Run]:
    found = _found(client, place, f"tags.{SEARCH} = '{search}'")
    return [run for run in found if TRIAL not in run.data.tags]


def _found(client: MlflowClient, place: str, which: str) -> list[Run]:
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [place], which, ViewType.ACTIVE_ONLY, 1000, ["start_time ASC"], token
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _place(client: MlflowClient, experiment: str) -> str:
    place = experiment_id(client, f"{experiment}{SUFFIX}")
    tags = client.get_experiment(place).tags
    for key, value in PRIMARY.items():
        if tags.get(key) != value:
            client.set_experiment_tag(place, key, value)
    return place
