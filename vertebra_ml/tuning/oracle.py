"""keras-tuner's oracles, made to survive a kill, a torn file and a worker that fell silent.

keras-tuner writes a file a trial and one for the rest, in place and one after the other, and lists
a trial as running until after it has written that it ended: a kill between two of these loses a
trial or doubles it. Here the whole state is one file, replaced in one step.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from vertebra_ml.config import Choices, Range
from vertebra_ml.errors import ModelError
from vertebra_ml.tuning.files import read_json, write_json
from vertebra_ml.tuning.space import Space

OBJECTIVE: Final = "error"
INITIAL: Final = 5
"""Trials drawn at random before Bayesian search trusts what it has seen."""


class Lasting(keras_tuner.Oracle):  # type: ignore[misc]
    """Mixed into an oracle of keras-tuner; call ``keep`` before anything else.

    Its methods may be called by the threads of a server; one at a time is let in. keras-tuner's own
    lock stays locked for good where a method raises.
    """

    def keep(self, state: Path, first: Mapping[str, Any], told: Callable[[], None]) -> None:
        """Keep the state in a file, and go on from what is in it.

        ``first`` are the values of the first trial, ``told`` is called whenever a trial has ended.
        """
        self.state, self.first, self.told = state, dict(first), told
        self.door = threading.RLock()
        self.fault: Exception | None = None
        self.signs: dict[str, float] = {}
        self.verbose = 0
        self.max_consecutive_failed_trials = None  # not to raise: one bad corner ends no search
        self.reload()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one thread in; what goes wrong is kept for the thread that leads the search."""
        with self.door:
            try:
                yield
            except Exception as error:
                self.fault = error
                raise

    def create_trial(self, tuner_id: str) -> Any:
        """Give a worker its trial: the one that it did not end, one that was lost, or a new one."""
        with self.alone():
            self.signs[tuner_id] = time.monotonic()
            trial = super().create_trial(tuner_id)
            if trial.status == TrialStatus.STOPPED and (self.ongoing_trials or self._retry_queue):
                # Should its worker die, somebody must be there to take the trial over.
                trial.status = TrialStatus.IDLE
                self.tuner_ids.add(tuner_id)
            if trial.status == TrialStatus.RUNNING:
                trial.metrics, trial.score = type(trial.metrics)(), None
            return trial

    def get_trial(self, trial_id: str) -> Any:
        """Return a trial; its worker thereby also says that it is alive."""
        with self.alone():
            for tuner_id, trial in self.ongoing_trials.items():
                if trial.trial_id == trial_id:
                    self.signs[tuner_id] = time.monotonic()
            return self.trials[trial_id]

    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Any:
        """Take a trial's error; one that had ended keeps what it has."""
        with self.alone():
            if trial_id in self.end_order:
                return self.trials[trial_id]
            return super().update_trial(trial_id, metrics, step)

    def end_trial(self, trial: Any) -> None:
        """Take in that a trial ended; told twice, it is so once."""
        with self.alone():
            if trial.trial_id in self.end_order:
                return
            # Numbers lose digits on their way to a worker and back.
            trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
            super().end_trial(trial)
            if trial.trial_id in self._retry_queue:
                self._retry_queue.remove(trial.trial_id)
            self.save()  # only now is it no longer listed as running
            self.told()

    def reap(self, silence_s: float) -> list[str]:
        """Take the trials of workers that gave no sign for so long back; return their names."""
        with self.alone():
            now, silent = time.monotonic(), []
            for tuner_id in [*self.tuner_ids]:
                if now - self.signs.get(tuner_id, now) > silence_s:
                    silent.append(tuner_id)
                    self.tuner_ids.discard(tuner_id)
                    trial = self.ongoing_trials.pop(tuner_id, None)
                    if trial is not None:
                        self._retry_queue.append(trial.trial_id)
            return silent

    @property
    def over(self) -> bool:
        """Whether every trial ended and every worker was sent home."""
        with self.door:
            return not (self.ongoing_trials or self._retry_queue or self.tuner_ids)

    @property
    def ended(self) -> list[Any]:
        """The trials that ended, in the order in which they were begun."""
        with self.door:
            return [self.trials[trial_id] for trial_id in sorted(self.end_order, key=int)]

    def save(self) -> None:
        """Write the whole state in one step."""
        trials = [trial.get_state() for trial in self.trials.values()]
        write_json(self.state, {"oracle": self.get_state(), "trials": trials})

    def reload(self) -> None:
        """Go on from the state on disk, if there is one."""
        content = read_json(self.state)
        if content is None:
            return
        trials = [Trial.from_state(state) for state in content["trials"]]
        self.trials = {trial.trial_id: trial for trial in trials}
        self.set_state(content["oracle"])
        begun = [*self._retry_queue, *(trial.trial_id for trial in self.ongoing_trials.values())]
        lost = dict.fromkeys(each for each in begun if each not in self.end_order)
        self._retry_queue[:] = lost
        self.ongoing_trials.clear()

    def _save_trial(self, trial: Any) -> None:
        """Write nothing: trials are part of the one state."""

    def _random_values(self) -> Any:
        """Draw values; the very first are those that the settings have now."""
        if self.first and not self.trials:
            return dict(self.first)
        return super()._random_values()


class Random(Lasting, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    """Values drawn at random."""


class Hyperband(Lasting, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Many short trials, of which the better ones are tried for longer."""


class Bayesian(Lasting, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    """Values where a Gaussian process expects less error, or knows little."""

    def populate_space(self, trial_id: str) -> Any:
        """Return values not tried before: where the process asks for the same again, others."""
        answer = super().populate_space(trial_id)
        values = answer.get("values")
        return self._random_populate_space() if values and self._duplicate(values) else answer


def oracle_of(space: Space, seed: int) -> Any:
    """Build the oracle of a search. Raises ModelError where keras-tuner refuses what is tried."""
    search = space.search
    common: dict[str, Any] = {
        "objective": keras_tuner.Objective(OBJECTIVE, "min"),
        "hyperparameters": _hyperparameters(space),
        "allow_new_entries": False,
        "seed": seed % (1 << 31) or 1,  # 0 would be a seed of keras-tuner's own
    }
    if search.search == "hyperband":
        oracle = Hyperband(max_epochs=space.epochs, factor=search.factor, **common)
        oracle.max_trials = min(search.trials, _hyperband_trials(oracle))
        return oracle
    if search.search == "bayesian":
        return Bayesian(max_trials=search.trials, num_initial_points=INITIAL, **common)
    return Random(max_trials=search.trials, **common)


def _hyperband_trials(oracle: Any) -> int:
    """Return how many trials one sweep of Hyperband has."""
    brackets = range(oracle._get_num_brackets())
    return sum(oracle._get_size(b, r) for b in brackets for r in range(b + 1))


def _hyperparameters(space: Space) -> Any:
    known = keras_tuner.HyperParameters()
    current = space.first()
    for name, allowed in space.search.space.items():
        try:
            _add(known, name, allowed, current.get(name))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"tuning.{space.kind}.space.{name}", found=str(error),
                expected="values that keras-tuner can draw", fix="correct params.yaml",
            ) from error  # fmt: skip
    return known


def _add(known: Any, name: str, allowed: Range | Choices, default: Any) -> None:
    if isinstance(allowed, Choices):
        known.Choice(name, list(allowed.choices), default=default)
        return
    whole = isinstance(allowed.low, int) and isinstance(allowed.high, int)
    add = known.Int if whole else known.Float
    add(name, allowed.low, allowed.high, step=allowed.step, sampling=allowed.scale, default=default)
