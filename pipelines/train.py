"""Train one kind of model, live in the tracking server."""

import hashlib
import sys
from pathlib import Path

import pandas as pd

from pipelines.inputs import PARTS, check_inputs
from pipelines.stage import MODELS, PREPARED, read_table, run
from vertebra_ml import models
from vertebra_ml.config import Params
from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.tracking import fetch, start_training_run

STATE = Path(".cache")
TABLES = {"mips": PREPARED / "mips.csv", "phantoms": PREPARED / "phantoms.csv"}
COLUMNS = ["case", "patient", "group", "part", "levels"]
REGISTERED = "models:/"
WEIGHTS = "model.weights.h5"


def main(params: Params, kind: str) -> None:
    """Write ``models/<kind>`` from the archives of the training and validation parts."""
    table = training_table()
    wanted, spacing = getattr(params.models, kind).levels, params.projection.spacing_mm
    check_inputs(table, kind=kind, levels=wanted, spacing_mm=spacing)
    archives = {part: [Path(p) for p in table["path"][table["part"] == part]] for part in PARTS}
    digest = data_hash([path for paths in archives.values() for path in paths])
    settings = getattr(params.models, kind).model_dump()
    projection = params.projection.model_dump()
    folder = MODELS / kind
    start = start_folder(settings["start_from"], folder, params.tracking.uri)
    contract = {
        "settings": settings,
        "projection": projection,
        "seed": params.seed,
        "data_hash": digest,
    }
    if start is not None:
        contract["start_sha256"] = hashlib.sha256((start / WEIGHTS).read_bytes()).hexdigest()
    print(
        f"{kind}: {len(archives['train'])} archives to train, {len(archives['validation'])} to tune"
    )
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
            start=start,
        )
        tracked.log_model_folder(folder)


def training_table() -> pd.DataFrame:
    """Return case, patient, group, part, levels and path of every archive trained or tuned on.

    Either table may be missing or empty: a cohort of MIP archives alone has no phantoms.
    Raises DatasetError where nothing is left.
    """
    tables = []
    for folder, path in TABLES.items():
        table = _table(path)
        if not table.empty:
            table["path"] = [f"{PREPARED / folder / case}.npz" for case in table["case"]]
            tables.append(table[[*COLUMNS, "path"]])
    if not tables:
        raise DatasetError(
            ", ".join(map(str, TABLES.values())),
            found="no archive at all",
            expected="scans, phantoms or both",
            fix="add scans to data/, or phantoms in params.yaml",
        )
    table = pd.concat(tables, ignore_index=True)
    return table[table["part"].isin(PARTS)].reset_index(drop=True)


def start_folder(start_from: str, folder: Path, uri: str) -> Path | None:
    """Return the model folder named by ``start_from``, fetched where it is a registered one.

    ``folder`` is the one to be written. Raises ModelError where there is no such model.
    """
    if not start_from:
        return None
    if start_from.startswith(REGISTERED):
        return fetch(start_from, uri)[0]
    start = Path(start_from)
    if start.resolve() == folder.resolve():
        found = "the folder that this very training writes, which DVC empties first"
    elif not (start / WEIGHTS).is_file():
        found = f"no {WEIGHTS} in this folder"
    else:
        return start
    raise ModelError(
        start,
        found=found,
        expected="the folder of another trained model",
        fix="copy that model to a folder of its own, or name it as models:/NAME@ALIAS",
    )


def data_hash(paths: list[Path]) -> str:
    """Return a digest of these files by name and content: the data that made a model."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _table(path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame(columns=COLUMNS)


if __name__ == "__main__":
    run(main, *sys.argv[1:])
