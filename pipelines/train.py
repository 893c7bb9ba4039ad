"""Train one kind of model, live in the tracking server."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from pipelines.stage import MODELS, run
from pipelines.taught import Taught
from vertebra_ml.config import Params
from vertebra_ml.errors import ModelError
from vertebra_ml.tracking import start_training_run

STATE = Path(".cache")
TEACHERS = {
    "slice_spotter": "pipelines.teach_slice_spotter:taught",
    "two_stage": "pipelines.teach_two_stage:taught",
}
"""By kind: what returns, past the gate of its inputs, what is learnt from and how."""


def main(params: Params, kind: str) -> None:
    """Write ``models/<kind>`` from what lies in ``prepared/`` for it."""
    folder = MODELS / kind
    taught = teacher(kind)(params, folder)
    digest = data_hash(taught.files)
    print(f"{kind}: {taught.said}")
    with start_training_run(
        uri=params.tracking.uri,
        experiment=params.tracking.experiment,
        kind=kind,
        settings=taught.settings | {"seed": params.seed, "data_hash": digest},
        state=STATE / f"run-{kind}.json",
        table=taught.table,
    ) as tracked:
        taught.teach(folder=folder, data_hash=digest, on_epoch=tracked.log_epoch)
        tracked.log_model_folder(folder)


def teacher(kind: str) -> Callable[[Params, Path], Taught]:
    """Return what a kind is taught by. Raises ModelError for a kind that is none."""
    if kind not in TEACHERS:
        raise ModelError(
            "train", found=f"the kind {kind!r}", expected=f"one of {', '.join(TEACHERS)}",
            fix="correct the command",
        )  # fmt: skip
    module, _, name = TEACHERS[kind].partition(":")
    found: Callable[[Params, Path], Taught] = getattr(import_module(module), name)
    return found


def data_hash(paths: Sequence[Path]) -> str:
    """Return a digest of these files by name and content: the data that made a model."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


if __name__ == "__main__":
    run(main, *sys.argv[1:])
