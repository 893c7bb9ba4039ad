"""Search for better settings of a kind of model. It only proposes: a person decides.

    python -m pipelines.tune slice_spotter               go on with the search of params.yaml
    python -m pipelines.tune slice_spotter --workers 2   with two processes of this machine
    python -m pipelines.tune slice_spotter --chief 10.0.0.5:5100 --workers 0    on many machines ...
    python -m pipelines.tune slice_spotter --worker 10.0.0.5:5100 --search ID   ... on each of them

Killed and started again it goes on where it was. It ends with reports/KIND/tuning.json and .png.
"""

import argparse
import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.stage import REPORTS, run, write_text
from vertebra_ml.config import Params
from vertebra_ml.errors import ModelError, VertebraError
from vertebra_ml.leash import end_with, end_with_dvc
from vertebra_ml.refused import in_words
from vertebra_ml.tuning.files import held, read_json, write_json
from vertebra_ml.tuning.progress import Progress
from vertebra_ml.tuning.proposal import as_text, best_of, proposal, rows_of, said
from vertebra_ml.tuning.space import Space
from vertebra_ml.tuning.trials import OnEpoch, Task
from vertebra_ml.tuning.workers import HALTED, Crew

SEARCHES = Path(".cache/tune")
KINDS = ("slice_spotter", "two_stage")
LOOPBACK = "127.0.0.1:0"
TALKATIVE = ("vertebra_ml.models", "vertebra_ml.two_stage")
"""Tell every epoch: the tracking server shows it, and here it would hide how the search goes."""


@dataclass(frozen=True)
class Room:
    """A search's place on disk, its name, and a digest of what it is a search of."""

    folder: Path
    search: str
    mark: str


def main(params: Params, options: argparse.Namespace) -> None:
    """Search, go on with a search, or work for one."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    kind = options.kind
    space = Space(kind, getattr(params.models, kind), getattr(params.tuning, kind))
    space.check()
    mark = mark_of(params, space)
    if options.worker:
        work(params, space, mark, options)
        return
    end_with_dvc()
    try:
        lead(params, space, mark, options)
    except OSError as error:
        sys.exit(in_words(error))
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on where it was")


def lead(params: Params, space: Space, mark: str, options: argparse.Namespace) -> None:
    """Run the search to its end and write what it proposes."""
    place = SEARCHES / space.kind / mark
    with held(place, "a search of these very settings, which is running"):
        room = open_room(place, mark, options.again)
        print(f"{space.kind}: {space.search.search} search {room.search} in {room.folder}")
        search(params, space, room, options)


def search(params: Params, space: Space, room: Room, options: argparse.Namespace) -> None:
    """Run the trials that are left, in this process or by workers; then write the proposal."""
    from vertebra_ml.tracking.trials import start_search_run
    from vertebra_ml.tuning.oracle import oracle_of

    oracle = oracle_of(space, params.seed)
    workers = space.search.workers if options.workers is None else options.workers
    values = {"kind": space.kind, "seed": params.seed, **space.search.model_dump()}
    with start_search_run(
        uri=params.tracking.uri, experiment=params.tracking.experiment, search=room.search,
        mark=room.mark, values=values,
    ) as tracked:  # fmt: skip
        progress = Progress(oracle, tracked, max(1, workers))
        oracle.keep(room.folder / "oracle.json", space.first(), progress.told)
        progress.begin()
        task = Task(partial(train, params, space), tracked.watch, room.folder / "trials")
        _run(oracle, task, room, workers, options)
        progress.told()
        rows = rows_of(space, oracle.ended, tracked.trials())
        facts = {"seed": params.seed, "mlflow_run": tracked.id, "name": room.search}
        _write(space, proposal(space, rows, facts), rows, tracked)
        if best_of(rows) is None:
            raise ModelError(
                f"tuning.{space.kind}", found=f"{len(rows)} trials that all failed; the last: "
                f"{rows[-1].failure if rows else 'none was begun'}",
                expected="one at least that trains", fix="correct params.yaml; --again begins anew",
            )  # fmt: skip


def _run(oracle: Any, task: Task, room: Room, workers: int, options: argparse.Namespace) -> None:
    from vertebra_ml.tuning import search as loops

    if len(oracle.ended) >= oracle.max_trials:
        print("every trial ended before: more with a larger `trials`, a new search with --again")
    elif workers == 1 and not options.chief:
        loops.alone(oracle, task)
    else:
        launch = partial(_launch, options.kind, room.search)
        if options.chief:
            print(f"join: python -m pipelines.tune {options.kind} --worker {options.chief} "
                  f"--search {room.search}")  # fmt: skip
        loops.lead(oracle, options.chief or LOOPBACK, Crew(workers, launch, room.folder / "logs"))


def work(params: Params, space: Space, mark: str, options: argparse.Namespace) -> None:
    """Run trials of a chief until it has none left; a fault that stays ends with HALTED."""
    from vertebra_ml.tracking.trials import join_search_run
    from vertebra_ml.tuning.oracle import oracle_of
    from vertebra_ml.tuning.search import work as serve

    if options.leash:
        end_with(options.leash)
    try:
        tracked = join_search_run(
            uri=params.tracking.uri, experiment=params.tracking.experiment,
            search=options.search, mark=mark,
        )  # fmt: skip
        folder = SEARCHES / space.kind / mark / "trials"
        task = Task(partial(train, params, space), tracked.watch, folder)
        serve(oracle_of(space, params.seed), task, options.worker, options.name)
    except (VertebraError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(HALTED)


def train(
    params: Params, space: Space, values: Mapping[str, Any], folder: Path, on_epoch: OnEpoch
) -> None:
    """Train as the stage ``train`` does, with the settings of a trial, into its folder."""
    from pipelines.train import data_hash, teacher

    settings = space.settings(values)
    models = params.models.model_copy(update={space.kind: settings})
    SEARCHES.mkdir(parents=True, exist_ok=True)
    with held(SEARCHES / "gate"):  # every trial's gate writes the same report
        taught = teacher(space.kind)(params.model_copy(update={"models": models}), folder)
    taught.teach(folder=folder, data_hash=data_hash(taught.files), on_epoch=on_epoch)


def mark_of(params: Params, space: Space) -> str:
    """Return what a search is of, as a digest: with more trials, or workers, it is the same one.

    Raises what the gate of the inputs raises.
    """
    from pipelines.train import data_hash, teacher

    with held(SEARCHES / "gate"):
        taught = teacher(space.kind)(params, SEARCHES / space.kind / "model")
    asked = space.search.model_dump(exclude={"trials", "workers"}, mode="json")
    known = {**taught.settings, "data_hash": data_hash(taught.files)}
    content = json.dumps([space.kind, params.seed, asked, known], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def open_room(folder: Path, mark: str, again: bool) -> Room:
    """Return the room of a search, which is named before anything of it is told elsewhere."""
    note = folder / "search.json"
    if again:
        note.unlink(missing_ok=True)
    name = (read_json(note) or {}).get("name")
    if name is None:  # what else lies there is of a search that is over
        for old in ("oracle.json", "logs", "trials"):
            path = folder / old
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        name = uuid.uuid4().hex[:12]
        write_json(note, {"name": name, "begun": time.strftime("%Y-%m-%d %H:%M")})
    return Room(folder, name, mark)


def _write(space: Space, content: Mapping[str, Any], rows: Any, tracked: Any) -> None:
    from vertebra_ml.tuning.chart import picture

    folder = REPORTS / space.kind
    write_text(folder / "tuning.json", as_text(content))
    drawn = folder / "tuning.png"
    part = folder / ".tuning.png.part"
    part.write_bytes(picture(rows, f"{space.kind}: {content['search']} search"))
    part.replace(drawn)
    for path in (folder / "tuning.json", drawn):
        tracked.add(path)
    print(said(space, content))


def _launch(
    kind: str, search: str, name: str, address: str, log: Path
) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "pipelines.tune", kind, "--worker", address, "--search", search]
    words += ["--name", name, "--leash", str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _options(words: list[str]) -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m pipelines.tune", description=about, epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("kind", choices=KINDS)
    add("--workers", type=int, metavar="N", help="processes of this machine (tuning.KIND.workers)")
    add("--again", action="store_true", help="begin a new search, though one is there")
    add("--chief", metavar="HOST:PORT", help="lead workers that join from elsewhere, too")
    add("--worker", metavar="HOST:PORT", help="work for the chief there, till no trial is left")
    add("--search", metavar="ID", default="", help="the search's name, as its chief prints it")
    add("--name", default=f"{socket.gethostname()}-{os.getpid()}", help="of this worker, its own")
    add("--leash", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.worker and not options.search:
        parser.error("--worker needs --search ID, as the chief prints it")
    if options.workers is not None and options.workers < (0 if options.chief else 1):
        parser.error("--workers must be 1 or more, or 0 beside --chief")
    return options


if __name__ == "__main__":
    run(partial(main, options=_options(sys.argv[1:])))
