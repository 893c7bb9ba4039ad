"""What a slice spotter learns from: MIP archives of scans and of phantoms."""

import hashlib
from functools import partial
from pathlib import Path

import pandas as pd

from pipelines.inputs import PARTS, check_inputs
from pipelines.stage import PREPARED, read_table
from pipelines.taught import Taught
from vertebra_ml import models
from vertebra_ml.bounds import travelling
from vertebra_ml.config import Params
from vertebra_ml.errors import DatasetError, ModelError
from vertebra_ml.tracking import fetch

KIND = "slice_spotter"
TABLES = {"mips": PREPARED / "mips.csv", "phantoms": PREPARED / "phantoms.csv"}
COLUMNS = ["case", "patient", "group", "part", "levels"]
REGISTERED = "models:/"
WEIGHTS = "model.weights.h5"


def taught(params: Params, folder: Path) -> Taught:
    """Run the gate ``inputs-slice_spotter`` over the archives and say how they are learnt.

    ``folder`` is the model's, to be written. Raises GateError, DatasetError, ModelError.
    """
    table, section = training_table(), params.models.slice_spotter
    spacing = params.projection.spacing_mm
    check_inputs(table, kind=KIND, levels=section.levels, spacing_mm=spacing)
    archives = {part: [Path(p) for p in table["path"][table["part"] == part]] for part in PARTS}
    settings, projection = section.model_dump(), params.projection.model_dump()
    start = start_folder(settings["start_from"], folder, params.tracking.uri)
    known = {"settings": settings, "projection": projection}
    if start is not None:
        known["start_sha256"] = hashlib.sha256((start / WEIGHTS).read_bytes()).hexdigest()
    return Taught(
        table=table.drop(columns="path"),
        files=[path for paths in archives.values() for path in paths],
        teach=partial(
            models.train,
            settings,
            projection,
            archives,
            seed=params.seed,
            start=start,
            limits=travelling(params.limits.model_dump()),
        ),
        settings=known,
        said=f"{len(archives['train'])} archives to train, {len(archives['validation'])} to tune",
    )


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


def _table(path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame(columns=COLUMNS)
