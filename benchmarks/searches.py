"""A real search of 12 tiny trials, killed with -9 three times at random, alone and with workers.

    python -m benchmarks.searches [--workers 1,2] [--kills 3] [--seed 6] [--folder DIR]

A small project (that of the pipeline's tests) is made ready, and ``python -m pipelines.tune`` runs
in it with real networks, files, MLflow and, from two workers on, gRPC between processes. Each kill
comes at a moment drawn from the seed after the first trial that the process begins; the same
command is then given again. Prints what there is in the end, and fails where it is not 12 and 12.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from tests.pipelines.conftest import change_params, make_project, runner

TRIALS, KIND = 12, "slice_spotter"
POLL_S = 0.05
SMALL = {
    "phantoms.train": {"trunks": 0, "scans": 0}, "phantoms.validation": {"trunks": 0, "scans": 0},
    f"tuning.{KIND}.trials": TRIALS, f"tuning.{KIND}.short": {"epochs": 2},
}  # fmt: skip


def main() -> None:
    """Search, kill, search again; print one line of figures for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        for workers in map(int, options.workers.split(",")):
            place = (options.folder or Path(made)) / f"workers-{workers}"
            place.mkdir(parents=True)
            project = make_project(place)
            change_params(project, SMALL)
            ready(project)
            figures = searched(project, workers, options.kills, options.seed)
            print(json.dumps({"workers": workers} | figures))
            assert figures["trials"] == figures["runs"] == TRIALS, "a trial was lost or doubled"


def ready(project: Path) -> None:
    """Make what a search learns from."""
    call = runner(project)
    for words in (("git", "init", "-q"), ("dvc", "repro", "-q", "project")):
        done = call(*words)
        assert done.returncode == 0, done.stderr


def searched(project: Path, workers: int, kills: int, seed: int) -> dict[str, Any]:
    """Give the command again after each kill; return what there is in the end."""
    chance, moments, begun = random.Random(seed), [], time.monotonic()
    while True:
        log = (project / "search.log").open("ab")
        words = [sys.executable, "-m", "pipelines.tune", KIND, "--workers", str(workers)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        state = newest(project)
        process = subprocess.Popen(words, cwd=project, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            time.sleep(POLL_S)
            if len(moments) < kills and newest(project) != state:
                moments.append(round(chance.uniform(0, 20), 1))
                time.sleep(moments[-1])
                process.send_signal(signal.SIGKILL)
                process.wait()
                break
        else:
            assert process.returncode == 0, (project / "search.log").read_text()[-2000:]
            seconds = round(time.monotonic() - begun)
            return {"kills_s": moments, "seconds": seconds} | counted(project)


def newest(project: Path) -> int:
    """Return when the state of the search was last written."""
    states = (project / ".cache" / "tune" / KIND).glob("*/oracle.json")
    return max((path.stat().st_mtime_ns for path in states), default=0)


def counted(project: Path) -> dict[str, Any]:
    """Return how many trials and nested runs there are, and how they ended."""
    content = json.loads((project / "reports" / KIND / "tuning.json").read_text())
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    place = client.get_experiment_by_name("vertebra-ml-searches")
    assert place is not None
    runs = client.search_runs([place.experiment_id], max_results=1000)
    nested = [run for run in runs if "trial" in run.data.tags]
    return {
        "trials": len({row["trial"] for row in content["trials"]}),
        "failed": content["failed"],
        "runs": len(nested),
        "parents": len(runs) - len(nested),
        "statuses": dict(Counter(run.info.status for run in nested)),
        "best": [run.data.tags["trial"] for run in nested if run.data.tags.get("best")],
        "proposed": content["best"]["trial"],
        "epochs": dict(
            Counter(
                len(client.get_metric_history(run.info.run_id, "epoch/error")) for run in nested
            )
        ),
    }


if __name__ == "__main__":
    main()
