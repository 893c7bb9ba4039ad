"""One coverage-guided fuzzer (atheris, libFuzzer) that goes on after each finding.

    python -m tests.fuzz.fuzz_headers FOLDER [libFuzzer's options]

FOLDER takes ``corpus`` (grown from the seeds) and ``findings``: an input and its traceback for
each place in the code where something else than our own errors was raised, or where one input took
more than its share of time or memory.
"""

import hashlib
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final

INSTRUMENTED: Final = ["vertebra_ml", "pydicom", "yaml", "json", "zipfile", "pickletools"]
SECONDS_MAX: Final = 10.0
MEMORY_MB_MAX: Final = 256
"""By which one input may raise the peak; the voxels alone may take 4 MB."""
RSS_MB_MAX: Final = 2048
PEAK_RESET: Final = Path("/proc/self/clear_refs")
LENGTH_MAX: Final = 20_000


class TooMuchError(Exception):
    """An input that took more time or memory than it may."""


def main(group: str) -> None:
    """Fuzz a group of readers until libFuzzer's options say to stop."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz import seeds, targets
        from vertebra_ml import readers

        for module in iter_modules(readers.__path__):  # what is imported on first use, now
            import_module(f"{readers.__name__}.{module.name}")
        import_module("vertebra_ml.config")

    targets.refuse_frames()
    folder = Path(sys.argv[1])
    findings, corpus = folder / "findings", folder / "corpus"
    for each in (findings, corpus):
        each.mkdir(parents=True, exist_ok=True)
    seeds.write(corpus, group)
    known = targets.HEADERS if group == "headers" else targets.LABELS
    for path in sorted(corpus.glob("seed-*")):
        targets.run(known, path.read_bytes())  # what is made once is not charged to an input

    def one(data: bytes) -> None:
        try:
            within(lambda: targets.run(known, data))
        except Exception as error:  # noqa: BLE001  that is what is looked for
            keep(findings, data, error)

    options = [
        f"-rss_limit_mb={RSS_MB_MAX}", f"-timeout={SECONDS_MAX:.0f}", f"-max_len={LENGTH_MAX}",
        f"-artifact_prefix={findings}/native-", *sys.argv[2:],
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    try:
        atheris.Fuzz()
    finally:
        targets.leave()


def within(task: Any) -> None:
    """Run a task; raise TooMuchError where it took more than its share."""
    PEAK_RESET.write_text("5")  # the peak is now what is held at this moment
    peak, started = peak_mb(), time.perf_counter()
    task()
    taken, grown = time.perf_counter() - started, peak_mb() - peak
    if taken > SECONDS_MAX or grown > MEMORY_MB_MAX:
        raise TooMuchError(f"{taken:.1f} s and {grown:.0f} MB")


def peak_mb() -> float:
    """Return the most memory held since the last reset (Linux; see proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024


def keep(findings: Path, data: bytes, error: Exception) -> None:
    """Keep the shortest input of each kind of error and place, and what was raised."""
    places = [
        f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    mark = hashlib.sha256(repr((type(error), places[-1:])).encode()).hexdigest()[:12]
    path = findings / f"{type(error).__name__}-{mark}"
    if not path.exists() or len(path.read_bytes()) > len(data):
        path.write_bytes(data)
        text = "".join(traceback.format_exception(error))
        path.with_suffix(".txt").write_text(text, errors="backslashreplace")
