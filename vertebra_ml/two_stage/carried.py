"""The slice spotter that a two-stage model carries below its own folder: putting it there."""

import csv
import hashlib
import shutil
from pathlib import Path
from typing import Final

from vertebra_ml.errors import ModelError
from vertebra_ml.models.contract import CONTRACT, HISTORY, WEIGHTS, Contract, kind_of

FOLDER: Final = "anchor"
KIND: Final = "slice_spotter"


def facts(folder: Path) -> dict[str, str]:
    """Return what ``model.json`` says of the slice spotter in ``folder``.

    Its weights' MD5 is the tag by which a tracking server finds its run; the run's own number is
    another on every server. Raises ModelError for a folder that holds no slice spotter.
    """
    found = kind_of(folder)
    if found != KIND or not (folder / WEIGHTS).is_file():
        raise ModelError(
            folder,
            found=f"a model of kind {found!r}" if found != KIND else f"no {WEIGHTS}",
            expected=f"the folder of a trained {KIND}, to be carried along",
            fix="train it first with `dvc repro train@slice_spotter`, or run `dvc pull`",
        )
    weights = (folder / WEIGHTS).read_bytes()
    return {
        "kind": KIND,
        "data_hash": Contract.read(folder).data_hash,
        "weights_md5": hashlib.md5(weights, usedforsecurity=False).hexdigest(),
    }


def carry(spotter: Path, folder: Path) -> dict[str, str]:
    """Copy the slice spotter in ``spotter`` below the model ``folder``; return its ``facts``.

    What answers is copied, its ``history.csv`` is not. Raises ModelError as ``facts`` does.
    """
    known = facts(spotter)
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for name in (CONTRACT, WEIGHTS):
        part = place / f".part.{name}"
        shutil.copyfile(spotter / name, part)
        part.replace(place / name)
    return known


def wrong(spotter: Path) -> dict[str, float]:
    """Return ``second_wrong``: the share of levels that it put more than 20 mm off in validation.

    Of the levels only learnt beside those answered, in the epoch that was kept: they are most of
    the column. Empty where the folder has no history of them.
    """
    try:
        with (spotter / HISTORY).open(newline="") as file:
            best = min(csv.DictReader(file), key=lambda row: float(row["error"]))
        return {"second_wrong": float(best["others_gross"])}
    except (OSError, ValueError, KeyError):
        return {}


def check(folder: Path, expected: dict[str, str]) -> None:
    """Raise ModelError where ``folder`` does not carry the slice spotter that it should."""
    place = folder / FOLDER
    found = facts(place) if place.is_dir() else {}
    if found != expected:
        raise ModelError(
            place,
            found=" ".join(found.values()) or "no slice spotter",
            expected=" ".join(expected.values()) or "none, as model.json says",
            fix="keep the model folder as training wrote it, or run `dvc pull`",
        )
