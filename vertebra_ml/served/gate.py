"""The door of the server: a request that is too large, or one too many, is told so unread.

MLflow reads every body whole, whatever its size, before anything of ours sees it. This is an ASGI
application around its own, and refuses by the header alone.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from vertebra_ml.errors import LimitError
from vertebra_ml.served.settings import BODIES, BODY, MB, REQUESTS, Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DRAINED_MAX: Final = 256 * MB
"""Read and forgotten of a refused body: one who is still sending reads no answer."""
LENGTH_REQUIRED, TOO_LARGE, BUSY = 411, 413, 503
CODES: Final = {
    LENGTH_REQUIRED: "BAD_REQUEST",
    TOO_LARGE: "BAD_REQUEST",
    BUSY: "TEMPORARILY_UNAVAILABLE",
}
RETRY_AFTER_S: Final = 5

Refusal = tuple[int, LimitError]


class Gate:
    """Passes on what is within the limits of ``settings``; one event loop, so no lock."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._requests = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the server answer."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        length = _length(scope)
        refusal = self._refusal(length)
        if refusal is not None:
            await _drain(receive, send, *refusal)
            return
        self._requests, self._bytes = self._requests + 1, self._bytes + (length or 0)
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests, self._bytes = self._requests - 1, self._bytes - (length or 0)

    def _refusal(self, length: int | None) -> Refusal | None:
        limits = self._settings
        if length is None:
            return LENGTH_REQUIRED, _too(
                "a body of unknown length", "a Content-Length", "send the length first"
            )
        if length > limits.body_max:
            return TOO_LARGE, _too(
                f"a body of {length / MB:.0f} MB",
                f"at most {limits.body_max / MB:.0f} MB",
                f"send fewer scans at once, send paths, or raise {BODY}",
            )
        if self._requests >= limits.requests_max:
            return BUSY, _too(
                f"{self._requests} requests before this one",
                f"at most {limits.requests_max} at a time",
                f"ask again later, start more workers, or raise {REQUESTS}",
            )
        if self._bytes + length > limits.bodies_max:
            return BUSY, _too(
                f"{(self._bytes + length) / MB:.0f} MB of requests at a time",
                f"at most {limits.bodies_max / MB:.0f} MB",
                f"ask again later, or raise {BODIES}",
            )
        return None


def _too(found: str, expected: str, fix: str) -> LimitError:
    return LimitError("request", found=found, expected=expected, fix=fix)


def _length(scope: Scope) -> int | None:
    """Return the length that the header states; None where it states none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


async def _drain(receive: Receive, send: Send, status: int, error: LimitError) -> None:
    """Refuse in the form of every refusal, and close."""
    read = 0
    while read <= DRAINED_MAX:
        message = await receive()
        read += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    line = str(error)
    errors = [{"row": None, "case": None, "error": line}]
    body = json.dumps({"error_code": CODES[status], "message": line, "errors": errors}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if status == BUSY:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
