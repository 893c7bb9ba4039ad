"""A real, headless Chromium, driven over the DevTools protocol by two pipes: no port, no driver."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--no-proxy-server", "--remote-debugging-pipe",
)  # fmt: skip
END = b"\0"
# The descriptors at which the browser looks for the pipes.
THREE_AND_FOUR = (
    "import fcntl, os, sys; a, b = (fcntl.fcntl(int(n), fcntl.F_DUPFD, 10) for n in sys.argv[1:3]);"
    "os.dup2(a, 3); os.dup2(b, 4); os.execvp(sys.argv[3], sys.argv[3:])"
)
WAIT_S, POLL_S = 240.0, 0.25
CALL_S = 120.0
"""A starved browser needs seconds for a picture; one that says nothing for so long never will."""
STARTS = 3

Seen = TypeVar("Seen")


class BrowserGone(Exception):
    """The browser ended, or does not answer any more: no fault of the page that it shows."""


def program() -> str | None:
    """Return the browser installed here, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """One tab: goes somewhere, waits for what a person would see, is looked at."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back = to, back
        self.kept, self.last = b"", 0
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Send one command and return its result; events in between are left aside."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": values}
        if self.session:
            message["sessionId"] = self.session
        try:
            os.write(self.to, json.dumps(message).encode() + END)
        except BrokenPipeError as error:
            raise BrowserGone("it ended") from error
        end = time.monotonic() + CALL_S
        while True:
            answer = json.loads(self._read(end))
            if answer.get("id") == self.last:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def _read(self, end: float) -> bytes:
        while END not in self.kept:
            ready, _, _ = select.select([self.back], [], [], max(0.0, end - time.monotonic()))
            block = os.read(self.back, 1 << 20) if ready else b""
            if not block:
                raise BrowserGone("it ended" if ready else f"no answer in {CALL_S:.0f} s")
            self.kept += block
        message, _, self.kept = self.kept.partition(END)
        return message

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height,
            deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def ask(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """Return the value of an expression as soon as it is true."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            with suppress(AssertionError):  # the page may just be changing
                if found := self.ask(script):
                    return found
            time.sleep(POLL_S)
        raise AssertionError(f"never true: {script}\nthe page says: {self.text()[-2000:]}")

    def text(self) -> str:
        return str(self.ask("document.body ? document.body.innerText : ''"))

    def wait_for(self, *words: str) -> None:
        """Wait until all of these stand on the page."""
        self.wait(f"{json.dumps(words)}.every(w => document.body.innerText.includes(w))")

    def picture(self, path: Path) -> bytes:
        content = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        path.write_bytes(content)
        return content


def visit(browser_program: str, place: Path, look: Callable[[Page], Seen]) -> Seen:
    """Return what ``look`` returns of a fresh browser; one that dies or hangs is started anew."""
    for start in range(STARTS):
        folder = place / f"browser-{start}"
        folder.mkdir(parents=True)
        try:
            with browser(browser_program, folder) as page:
                return look(page)
        except BrowserGone as gone:
            told = f"{gone}: {(folder / 'browser.log').read_text(errors='replace')[-1000:]}"
    raise AssertionError(f"{STARTS} browsers in turn did not answer; the last: {told}")


@contextmanager
def browser(browser_program: str, place: Path) -> Iterator[Page]:
    """Start a browser with a profile of its own in ``place``; ended by its own process group."""
    to_child, to = os.pipe()
    back, from_child = os.pipe()
    words = [browser_program, *OPTIONS, f"--user-data-dir={place / 'profile'}", "about:blank"]
    with (place / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-ISc", THREE_AND_FOUR, str(to_child), str(from_child), *words],
            pass_fds=(to_child, from_child), stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"HOME": str(place)},
        )  # fmt: skip
        os.close(to_child)
        os.close(from_child)
        try:
            yield Page(to, back)
        finally:
            os.close(to)
            os.close(back)
            for kind in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, kind)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
