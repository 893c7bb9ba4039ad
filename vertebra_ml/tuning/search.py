"""A search by keras-tuner's own loop: alone in this process, or led for workers elsewhere."""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.src import config as tuner_config
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from vertebra_ml.errors import ModelError
from vertebra_ml.tuning.oracle import OBJECTIVE
from vertebra_ml.tuning.trials import Task, run
from vertebra_ml.tuning.workers import Crew

logger = logging.getLogger(__name__)

POLL_S: Final = 0.2
PULSE_S: Final = 5.0
SILENCE_S: Final = 120.0
"""So long without a sign from a worker (or, to it, from the chief) and it is taken for dead."""
SILENT: Final = 4  # exit status of a worker that lost its chief
tuner_config.DEBUG = False  # a trial that fails is told in a line, not by a stack

ADDRESS: Final = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


class Searcher(BaseTuner):  # type: ignore[misc]
    """keras-tuner's loop over trials, each run by ``trials.run``; the oracle keeps the state."""

    def __init__(self, oracle: Any, task: Task) -> None:
        super().__init__(oracle=oracle, directory=str(task.folder), project_name="tuner")
        self.task, self.running = task, ""
        self.fault: Exception | None = None

    def run_trial(self, trial: Any) -> dict[str, float]:
        """Return the error of a trial, or say that its settings are no good."""
        self.running = trial.trial_id
        try:
            outcome = run(self.task, trial.trial_id, trial.hyperparameters.values)
        except Exception as error:
            self.fault = error  # the machine's, not the settings': nothing is known of the trial
            raise keras_tuner.errors.FatalError(str(error)) from error
        if outcome.error is None:
            raise keras_tuner.errors.FailedTrialError(outcome.failure)
        return {OBJECTIVE: outcome.error}

    def on_trial_end(self, trial: Any) -> None:
        """Tell the oracle, which writes."""
        self.oracle.end_trial(trial)
        self.running = ""

    def pre_create_trial(self) -> None:
        """Wait a little: an oracle that has nothing yet is asked again at once."""
        time.sleep(POLL_S)

    def save(self) -> None:
        """Write nothing: the oracle keeps the state."""

    def reload(self) -> None:
        """Read nothing: the oracle keeps the state."""

    def go(self) -> None:
        """Search to the end. Raises what stopped a trial and was not its settings' fault."""
        try:
            self.search()
        except keras_tuner.errors.FatalError:
            if self.fault is None:
                raise
            raise self.fault from None


def alone(oracle: Any, task: Task) -> None:
    """Search in this process to the end."""
    for name in ADDRESS:
        os.environ.pop(name, None)
    Searcher(oracle, task).go()


def lead(oracle: Any, address: str, crew: Crew) -> None:
    """Answer workers at ``address`` (host:port, port 0 for any free one) until all trials ended.

    ``crew`` are those of this machine; others may join. Raises ModelError where the address cannot
    be had or the crew keeps dying, and what went wrong while a worker was answered.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    servicer = OracleServicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    port = _bound(server, address)
    server.start()
    try:
        crew.begin(f"{address.rpartition(':')[0]}:{port}")
        while not (servicer.stop_triggered and oracle.over):
            time.sleep(POLL_S)
            if oracle.fault is not None:
                raise oracle.fault
            oracle.reap(SILENCE_S)
            crew.look(len(oracle.ended))
        crew.leave()
    finally:
        crew.stop()
        server.stop(grace=1).wait()


def work(oracle: Any, task: Task, address: str, name: str) -> None:
    """Run trials of the chief at ``address`` until it has none left."""
    host, _, port = address.rpartition(":")
    os.environ.update(zip(ADDRESS, (host, port, name), strict=True))
    searcher = Searcher(oracle, task)
    pulse = Pulse(searcher, searcher.oracle.stub)
    threading.Thread(target=pulse.beat, daemon=True).start()
    searcher.go()


@dataclass
class Pulse:
    """Tells the chief that this worker lives, and ends it where the chief does not answer.

    keras-tuner's own calls wait for an hour.
    """

    searcher: Searcher
    stub: Any
    heard: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Ask again and again; never returns."""
        while True:
            try:
                self._ask()
                self.heard = time.monotonic()
            except grpc.RpcError:
                if time.monotonic() - self.heard > SILENCE_S:
                    logger.critical("the chief of the search does not answer")
                    os._exit(SILENT)
            time.sleep(PULSE_S)

    def _ask(self) -> None:
        service, trial = protos.get_service(), self.searcher.running
        if trial:
            self.stub.GetTrial(service.GetTrialRequest(trial_id=trial), timeout=PULSE_S)
        else:
            self.stub.GetSpace(service.GetSpaceRequest(), timeout=PULSE_S)


def _bound(server: Any, address: str) -> int:
    try:
        port = int(server.add_insecure_port(address))
    except RuntimeError:
        port = 0
    if not port:
        raise ModelError(
            address, found="an address that cannot be listened at",
            expected="host:port of this machine, the port free",
            fix="name another one; port 0 is any free one",
        )  # fmt: skip
    return port
