"""A search killed with -9 at random moments: every trial once, every trial one nested run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stores import Store

ROOT = Path(__file__).parents[2]
KILLS = 3
NAMES = [f"{number:02d}" for number in range(12)]


@pytest.mark.server
def test_twelve_trials_stay_twelve(store: Store, tmp_path: Path) -> None:
    """Alone and with two workers, one of which dies of a trial besides."""
    numbers = (1, 2) if store.kind == "sqlite" else (2,)
    for workers, said in zip(numbers, killed(tmp_path, store.uri, numbers), strict=True):
        failed = said["trials"]["FAILED"]
        assert said == {
            "workers": workers, "status": 0, "killed": KILLS, "died": workers > 1,
            "ids": NAMES, "trials": {"COMPLETED": 12 - failed, "FAILED": failed},
            "of": NAMES, "runs": {"FINISHED": 12 - failed, "FAILED": failed},
            "parents": [True], "search": "FINISHED",
            "best": [said["least"]], "least": said["least"],
            "failures": ["", "ValueError: the rate is no good"],
            "curves": {"3": 12 - failed, "0": failed},
        }  # fmt: skip


def killed(folder: Path, uri: str, workers: tuple[int, ...]) -> list[dict[str, Any]]:
    """Kill searches KILLS times each in a process of its own; return what is there in the end."""
    words = [str(word) for word in (folder, uri, KILLS, *workers)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.tuning.kills", *words],
        cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.strip().split("\n")]
