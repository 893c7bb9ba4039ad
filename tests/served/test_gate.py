"""The door of the server, the turns behind it, and bodies that grow."""

import asyncio
import io
import json
import threading
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from vertebra_ml.errors import LimitError
from vertebra_ml.served.bodies import check_parquet
from vertebra_ml.served.gate import Gate
from vertebra_ml.served.settings import AT_ONCE, BODY, OUTSIDE, ROOT, Settings
from vertebra_ml.served.turns import TookTooLong, Turns

SETTINGS = replace(Settings.of_environment(), body_max=1 << 20, bodies_max=1 << 21, requests_max=2)


def asked(gate: Gate, *, length: int | None = 10, method: str = "POST") -> tuple[int, Any]:
    """Send a request through the gate; return its status and body."""
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    scope = {"type": "http", "method": method, "headers": headers}
    asyncio.run(gate(scope, receive, send))
    return told[0]["status"], json.loads(told[1]["body"])


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def test_sizes_are_told_by_the_header_alone() -> None:
    gate = Gate(answer, SETTINGS)
    assert asked(gate) == (200, {})
    assert asked(gate, length=None, method="GET") == (200, {})
    status, body = asked(gate, length=(1 << 20) + 1)
    assert (status, body["message"][:52]) == (
        413,
        "request: found a body of 1 MB; expected at most 1 MB",
    )
    assert body["errors"] == [{"row": None, "case": None, "error": body["message"]}]
    assert asked(gate, length=None)[0] == 411


def test_one_too_many_is_told_to_come_again() -> None:
    statuses: list[int] = []

    async def nested(scope: Any, receive: Any, send: Any) -> None:
        """While one is answered, another comes; three would be one too many."""
        depth.append(1)
        if len(depth) < 3:
            told: list[Any] = []

            async def keep(message: Any) -> None:
                told.append(message)

            await gate(scope, receive, keep)
            statuses.append(told[0]["status"])
        await answer(scope, receive, send)

    for settings in (SETTINGS, replace(SETTINGS, requests_max=9, bodies_max=25)):
        depth: list[int] = []
        gate = Gate(nested, settings)
        statuses.clear()
        assert asked(gate)[0] == 200
        assert statuses == [503, 200]
        assert asked(Gate(answer, settings))[0] == 200


def test_turns_bound_the_work_and_the_wait() -> None:
    turns = Turns(2, 0.3)
    inside, most, barrier = [0], [0], threading.Lock()

    def work() -> None:
        with turns.turn():
            with barrier:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.02)
            with barrier:
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]
    with turns.turn() as check, turns.turn(), pytest.raises(TookTooLong), turns.turn():
        pass
    with pytest.raises(TookTooLong):
        check()


def _parquet(table: pa.Table, **options: Any) -> bytes:
    body = io.BytesIO()
    pq.write_table(table, body, **options)
    return body.getvalue()


def test_parquet_that_grows_is_refused_unread() -> None:
    nothing = _parquet(pa.table({"content": pa.nulls(3_000_000, pa.binary())}))
    zeros = _parquet(pa.table({"content": [bytes(50 << 20)]}), compression="zstd")
    again = pa.array([b"x" * 300_000] * 5000).dictionary_encode()
    repeated = _parquet(pa.table({"content": again.cast(pa.dictionary(pa.int32(), pa.binary()))}))
    assert max(map(len, (nothing, zeros, repeated))) < 400_000
    for body, words in ((nothing, "3,000,000 rows"), (zeros, "50 MB"), (repeated, "1,431 MB")):
        with pytest.raises(LimitError, match=f"parquet of {words}"):
            check_parquet(body, 20 << 20)


def test_parquet_as_pandas_writes_it_passes() -> None:
    body = io.BytesIO()
    rows = [{"case": f"c{n}", "content": bytes([n]) * 700_000} for n in range(8)]
    pd.DataFrame(rows).to_parquet(body)
    check_parquet(body.getvalue(), 6 << 20)
    with pytest.raises(LimitError, match="parquet of 5 MB"):
        check_parquet(body.getvalue(), 5 << 20)
    with pytest.raises(pa.ArrowInvalid):
        check_parquet(b"PAR1 and nothing more", 1 << 20)


@pytest.mark.parametrize(
    ("name", "value"), [(BODY, "0"), (AT_ONCE, "two"), (ROOT, "/lost/root"), (OUTSIDE, "shout")]
)
def test_settings_that_mean_nothing(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(LimitError, match=f"{name}: found '{value}'"):
        Settings.of_environment()
