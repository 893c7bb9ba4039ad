"""Workers of a cluster, lent by a Dask scheduler that somebody else has started.

Whoever reaches a scheduler can run any program as whoever started its workers: it belongs on the
loopback, into a closed network, or behind TLS (an address ``tls://...`` with Dask's own settings
``distributed.comm.tls``). Jobs go out pickled by Dask; what comes back is text, and nothing else
that a worker returns is unpickled here. The scheduler itself is trusted as Dask trusts it.
"""

import logging
import socket
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from vertebra_ml.many.crew import CrewError, Job, Lost

CONNECT_S: Final = 20
SCATTER_S: Final = 5
"""How long a worker that has just gone is waited for, to give it what all jobs share."""
PATIENCE_S: Final = 60.0
"""How long a scheduler may be without any worker."""
LOSSES: Final = ("KilledWorker", "FutureCancelledError", "FuturesCancelledError")
"""Dask's errors that tell of a lost worker, beside those of connections."""
HOW: Final = "`dask scheduler` and, beside it, `dask worker ADDRESS --nthreads 1 --nworkers N`"


class ClusterCrew:
    """The workers of the scheduler at ``address``, as they come and go; one scan each at a time.

    A context manager. Raises CrewError where Dask is not installed or nobody answers there.

    Parameters
    ----------
    address : such as ``tcp://127.0.0.1:8786``.
    patience_s : how long to wait where there is no worker.
    """

    depth = 2  # the next job waits at the worker, whose answer takes a while to go round
    budget = float("inf")
    pulse_s = 1.0

    def __init__(self, address: str, *, patience_s: float = PATIENCE_S) -> None:
        self._address, self._patience_s = address, patience_s
        self._client = _connected(address)
        self._seen_s, self._asked_s = time.monotonic(), -self.pulse_s
        self._lanes: list[str] = []
        self._shared: dict[Hashable, tuple[object, Any]] = {}
        self._sent: dict[Future[str], tuple[Hashable, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for _, theirs in self._sent.values():
            with suppress(Exception):
                theirs.cancel()
        self._client.close(timeout=CONNECT_S)

    def lanes(self) -> Sequence[str]:
        """Return the addresses of the workers; jobs of those that are gone are given back."""
        now = time.monotonic()
        if now - self._asked_s >= self.pulse_s:
            self._lanes, self._asked_s = self._workers(), now
            self._give_back()
        if self._lanes:
            self._seen_s = now
        elif now - self._seen_s > self._patience_s:
            raise CrewError(
                self._address,
                found=f"no worker for {self._patience_s:.0f} s",
                expected="at least one",
                fix=f"start some ({HOW}) and repeat the command: what is finished is kept",
            )
        return self._lanes

    def send(self, lane: Hashable, job: Job) -> Future[str]:
        """Give a worker a job; no other takes it. Raises Lost where it is gone."""
        ours: Future[str] = Future()
        try:
            theirs = self._client.submit(
                job.call, self._shared_at(lane, job.shared), *job.arguments,
                workers=[lane], allow_other_workers=False, pure=False, retries=0,
            )  # fmt: skip
        except Exception as error:
            raise Lost(f"{type(error).__name__}: {error}") from error
        self._sent[ours] = lane, theirs
        theirs.add_done_callback(lambda finished: _settle(ours, finished))
        ours.add_done_callback(lambda finished: self._sent.pop(finished, None))
        return ours

    def lose(self, lane: Hashable) -> None:
        """Forget what a worker was given for all its jobs, and look at who is there."""
        self._shared.pop(lane, None)
        self._asked_s = -self.pulse_s

    def _workers(self) -> list[str]:
        try:
            return sorted(self._client.nthreads())
        except (OSError, RuntimeError) as error:  # TimeoutError is an OSError
            raise CrewError(
                self._address,
                found=f"a scheduler that went away ({type(error).__name__})",
                expected="one that stays until the work is done",
                fix=f"start it again ({HOW}) and repeat the command: what is finished is kept",
            ) from error

    def _give_back(self) -> None:
        there = set(self._lanes)
        for ours, (lane, theirs) in list(self._sent.items()):
            if lane not in there:
                with suppress(Exception):
                    theirs.cancel()
                _raise_in(ours, Lost(str(lane)))

    def _shared_at(self, lane: Hashable, shared: object) -> object:
        """Return a handle on what all jobs share, sent to this worker once."""
        held = self._shared.get(lane)
        if held is None or held[0] is not shared:
            handle = self._client.scatter(shared, workers=[lane], hash=False, timeout=SCATTER_S)
            held = self._shared[lane] = (shared, handle)
        return held[1]


def _connected(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise CrewError(
            "--scheduler",
            found="no package distributed",
            expected="Dask, which talks to the scheduler",
            fix="install it: `uv sync --extra cpu --extra cluster`, or `pip install distributed`",
        ) from None
    for name in [*logging.Logger.manager.loggerDict]:  # some of Dask's have levels of their own
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # losses are told by us
    try:
        _knock(address)
        return Client(
            address, timeout=CONNECT_S, set_as_default=False, deserializers=["msgpack", "error"]
        )
    except (OSError, ValueError, TypeError, RuntimeError, AssertionError) as error:
        # Dask asserts that its own thread has begun within 10 s, which a starved machine fails.
        raise CrewError(
            address,
            found=f"no scheduler that answers ({type(error).__name__})",
            expected="the address of a Dask scheduler, such as tcp://127.0.0.1:8786",
            fix=f"check the address, or start one: {HOW}",
        ) from error


def _knock(address: str) -> None:
    """Raise OSError or ValueError where nobody listens at a Dask address, before a client is made.

    A client that could not connect is left half made by Dask; collected as garbage while another
    one starts, it waits for ever for a lock that its own thread holds.
    """
    scheme, _, place = address.rpartition("://")
    host, _, port = place.rpartition(":")
    if scheme not in ("", "tcp", "tls"):
        raise ValueError(f"no protocol of Dask's: {scheme}")
    with socket.create_connection((host.strip("[]"), int(port)), CONNECT_S):
        pass


def _settle(ours: Future[str], theirs: Any) -> None:
    """Hand on what a job of the cluster has become; it is called in a thread of Dask's."""
    try:
        text = theirs.result(timeout=CONNECT_S)
    except BaseException as error:  # noqa: BLE001 - cancelled, killed, broken, or not to be run
        _raise_in(ours, _meant(error))
    else:
        with suppress(InvalidStateError):
            ours.set_result(text)


def _meant(error: BaseException) -> Exception:
    """Return ``Lost`` for what befell a worker or the way to it, else the error of the job."""
    befell = isinstance(error, CancelledError | OSError) or type(error).__name__ in LOSSES
    if isinstance(error, Exception) and not befell:
        return error
    return Lost(f"{type(error).__name__}: {error}")


def _raise_in(ours: Future[str], error: Exception) -> None:
    with suppress(InvalidStateError):
        ours.set_exception(error)
