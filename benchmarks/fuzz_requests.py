"""``python -m benchmarks.fuzz_requests --count 10000``: bad requests to a real server.

A server of the trained slice spotter gets requests that hypothesis draws (`fuzz_bodies`). Each must
be answered: by 200, or by a refusal in our form. What is looked for: a connection that breaks, a
process that ends, a 5xx without a reason of the operator's, a stack trace, an answer from outside
the root. Exit status 1 where one is found; the request is shrunk, and its seed told.
"""

import argparse
import gzip
import http.client
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import hypothesis

from benchmarks.fuzz_bodies import OUTSIDE, Request, good, nifti_of, requests, small_scan
from benchmarks.served import ROOT, Served, serving
from vertebra_ml.served.journal import PATTERN, digest
from vertebra_ml.volume import Volume

LINE: Final = re.compile(r"[^\n]+: found [^\n]+; expected [^\n]+; [^\n]+")
BUSY, REFUSED_MEDIA = 503, 415
TIMEOUT_S: Final = 120
MEMORY_MB: Final = 1024
"""What the server may take in all beyond what it held before the first bad request."""


class Fuzzed:
    """Sends requests to one server over one connection, and counts the answers by status."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._place = urlsplit(served.url)
        self._line: http.client.HTTPConnection | None = None
        self.statuses: Counter[int] = Counter()
        self.words: Counter[str] = Counter()
        prepare(served.root)
        self._pids = {process.pid for process in served.processes()}

    def ask(self, request: Request) -> None:
        """Send one request and look at its answer. Raises AssertionError for a bad one."""
        status, text = self._post(request)
        self.statuses[status] += 1
        assert "Traceback" not in text, text[:500]
        assert str(self._served.root) not in text, text[:500]
        if status == 200:
            json.loads(text)["predictions"]
        elif status != REFUSED_MEDIA:
            body = json.loads(text)
            assert LINE.fullmatch(body["message"]), text[:500]
            self.words[re.sub(r"[\d,.]+", "#", body["message"].split(": found ")[1][:40])] += 1
        assert status < 500 or status == BUSY, f"{status}: {text[:500]}"

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def alive(self) -> None:
        """Assert that every process of the server is the one that it was."""
        assert {process.pid for process in self._served.processes()} == self._pids

    def nothing_outside(self) -> None:
        """Assert that the scan beside the root, which a link leads to, was never read."""
        scan = digest(self._served.root.parent / OUTSIDE)
        log = "".join(path.read_text() for path in self._served.requests.glob(PATTERN))
        assert str(digest(self._served.root / "good.nii.gz")) in log, "the log is of another server"
        assert str(scan) not in log

    def _post(self, request: Request) -> tuple[int, str]:
        if self._line is None:
            place = self._place
            self._line = http.client.HTTPConnection(
                str(place.hostname), place.port, timeout=TIMEOUT_S
            )
        try:
            self._line.request("POST", "/invocations", request.body, {"Content-Type": request.kind})
            answer = self._line.getresponse()
            text = answer.read().decode()
        except http.client.RemoteDisconnected:  # an idle connection that the server closed
            self.close()
            return self._post(request)
        if answer.will_close:
            self.close()
        return answer.status, text


def prepare(root: Path) -> None:
    """Put a good scan into the root, one beside it, and links that lead there."""
    (root / "good.nii.gz").write_bytes(good()["nifti.gz"])
    scan = small_scan()
    (root.parent / OUTSIDE).write_bytes(
        gzip.compress(nifti_of(Volume(scan.array + 1, scan.affine)), 1)
    )
    for name, target in (("out.nii.gz", root.parent / OUTSIDE), ("out", root.parent)):
        (root / name).unlink(missing_ok=True)  # left by other tests of the same server
        (root / name).symlink_to(target)


def fuzz(served: Served, count: int, seed: int, progress: Any = None) -> Fuzzed:
    """Send ``count`` requests drawn from ``seed``. Raises AssertionError for a bad answer."""
    fuzzed = Fuzzed(served)
    outside = str(served.root.parent)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    )  # fmt: skip
    @hypothesis.given(requests(outside))
    def each(request: Request) -> None:
        fuzzed.ask(request)
        if progress is not None:
            progress(fuzzed.statuses.total())

    each()
    fuzzed.ask(Request(json.dumps({"dataframe_records": [{"path": "good.nii.gz"}]}).encode(),
                       "application/json"))  # fmt: skip
    fuzzed.close()
    fuzzed.alive()
    fuzzed.nothing_outside()
    return fuzzed


def main(words: Sequence[str] | None = None) -> int:
    """Fuzz a server and print what it answered."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "slice_spotter")
    chosen = parser.parse_args(words)
    limits = {"VERTEBRA_ML_CONTENT_MAX_MB": "8", "VERTEBRA_ML_VOXELS_MAX": "20000000"}
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(chosen.model, "vertebra-slice-spotter", Path(scratch), **limits) as served,
    ):
        before, start = served.memory(), time.perf_counter()

        def progress(done: int) -> None:
            if done % 500 == 0:
                held = (served.memory() - before) >> 20
                print(f"{done} requests, {time.perf_counter() - start:.0f} s, {held:+d} MB")

        try:
            fuzzed = fuzz(served, chosen.count, chosen.seed, progress)
        except AssertionError as error:
            print(f"error: {error}\n{served.log.read_text()[-2000:]}", file=sys.stderr)
            return 1
        grown = (served.memory() - before) >> 20
    told = ", ".join(f"{n} of {status}" for status, n in sorted(fuzzed.statuses.items()))
    print(f"{fuzzed.statuses.total()} requests: {told}; memory {grown:+d} MB")
    print("no crash, no 5xx without a reason, nothing read outside the root")
    for words_of, n in fuzzed.words.most_common(40):
        print(f"  {n:6d}  found {words_of}")
    return 1 if grown > MEMORY_MB else 0


if __name__ == "__main__":
    sys.exit(main())
