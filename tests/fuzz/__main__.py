"""Run both fuzzers side by side for some minutes: ``make fuzz MINUTES=10``.

A fuzzer that libFuzzer ends (a crash in native code, too much memory or time) is started again for
the rest of the time, on the corpus that it has grown. Ends with 1 where anything was found.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

GROUPS: Final = ("headers", "labels")
GRACE_S: Final = 60.0
STATUS: Final = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+)")


def fuzz(group: str, folder: Path, seconds: float) -> str:
    """Fuzz one group; return in one line what was done and found."""
    place = folder / group
    place.mkdir(parents=True, exist_ok=True)
    end, runs, starts, coverage = time.monotonic() + seconds, 0, 0, "0"
    while (left := end - time.monotonic()) > 1:
        log = place / f"log-{starts}.txt"
        starts += 1
        words = [
            sys.executable, "-m", f"tests.fuzz.fuzz_{group}", str(place),
            f"-max_total_time={left:.0f}", "-print_final_stats=1",
        ]  # fmt: skip
        with log.open("w") as output:
            process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
            try:
                process.wait(left + GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        seen = STATUS.findall(log.read_text(errors="replace"))
        if not seen:
            return f"{group}: did not start; see {log}"
        runs, coverage = runs + int(seen[-1][0]), seen[-1][1]
    found = sorted(path.name for path in (place / "findings").iterdir() if path.suffix != ".txt")
    return (
        f"{group}: {runs:,} inputs in {seconds / 60:.1f} minutes and {starts} starts, "
        f"coverage {coverage}, corpus {len(list((place / 'corpus').iterdir())):,}, "
        f"{len(found)} findings{': ' if found else ''}{', '.join(found)}"
    )


def main() -> int:
    """Fuzz; 1 where something was found."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"))
    chosen = parser.parse_args()
    os.nice(5)
    with ThreadPoolExecutor(len(GROUPS)) as pool:
        lines = list(pool.map(lambda g: fuzz(g, chosen.folder, chosen.minutes * 60), GROUPS))
    sys.stdout.write("\n".join([*lines, ""]))
    return 0 if all(" 0 findings" in line for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
