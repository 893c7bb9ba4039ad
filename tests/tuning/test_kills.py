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


@pytest.mark.server
@pytest.mark.parametrize("workers", [1, 2])
def test_twelve_trials_stay_twelve(store: Store, tmp_path: Path, workers: int) -> None:
    said = killed(tmp_path / "search", store.uri, workers, seed=20 + workers)
    names = [f"{number:02d}" for number in range(12)]
    assert said["status"] == 0
    assert said["killed"] == KILLS
    assert said["ids"] == said["of"] == names
    assert said["parents"] == [True]
    assert said["search"] == "FINISHED"
    assert said["best"] == [said["least"]]
    failed = said["trials"]["FAILED"]
    assert said["trials"] == {"COMPLETED": 12 - failed, "FAILED": failed}
    assert said["runs"] == {"FINISHED": 12 - failed, "FAILED": failed}
    assert failed
    assert said["failures"] == ["", "ValueError: the rate is no good"]
    assert said["curves"] == {"3": 12 - failed, "0": failed}
    assert said["died"] == (workers > 1)


def killed(folder: Path, uri: str, workers: int, seed: int) -> dict[str, Any]:
    """Kill a search KILLS times in a process of its own, let it end, and return what is there."""
    words = [folder, uri, str(workers), str(seed), str(KILLS)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.tuning.kills", *words],
        cwd=ROOT, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, Any] = json.loads(done.stdout.strip().split("\n")[-1])
    return said
