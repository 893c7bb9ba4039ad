"""Train one kind of model, live in the tracking server."""

import hashlib
import sys
from pathlib import Path

import pandas as pd

from pipelines.stage import MODELS, PREPARED, read_table, run
from vertebra_ml import models
from vertebra_ml.config import Params
from vertebra_ml.tracking import start_training_run

STATE = Path(".cache")
TABLES = {"mips": PREPARED / "mips.csv", "phantoms": PREPARED / "phantoms.csv"}
PARTS = ("train", "validation")


def main(params: Params, kind: str) -> None:
    """Write ``models/<kind>`` from the archives of the training and validation parts."""
    table = training_table()
    archives = {part: [Path(p) for p in table["path"][table["part"] == part]] for part in PARTS}
    digest = data_hash([path for paths in archives.values() for path in paths])
    settings = getattr(params.models, kind).model_dump()
    projection = params.projection.model_dump()
    contract = {
        "settings": settings,
        "projection": projection,
        "seed": params.seed,
        "data_hash": digest,
    }
    print(
        f"{kind}: {len(archives['train'])} archives to train, {len(archives['validation'])} to tune"
    )
    folder = MODELS / kind
    with start_training_run(
        uri=params.tracking.uri,
        experiment=params.tracking.experiment,
        kind=kind,
        settings=contract,
        state=STATE / f"run-{kind}.json",
        table=table.drop(columns="path"),
    ) as tracked:
        models.train(
            kind,
            settings,
            projection,
            archives,
            folder,
            seed=params.seed,
            data_hash=digest,
            on_epoch=tracked.log_epoch,
        )
        tracked.log_model_folder(folder)


def training_table() -> pd.DataFrame:
    """Return case, patient, group, part, levels and path of every archive trained or tuned on."""
    tables = []
    for folder, path in TABLES.items():
        table = read_table(path)
        table["path"] = [f"{PREPARED / folder / case}.npz" for case in table["case"]]
        tables.append(table[["case", "patient", "group", "part", "levels", "path"]])
    table = pd.concat(tables, ignore_index=True)
    return table[table["part"].isin(PARTS)].reset_index(drop=True)


def data_hash(paths: list[Path]) -> str:
    """Return a digest of these files by name and content: the data that made a model."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


if __name__ == "__main__":
    run(main, *sys.argv[1:])
