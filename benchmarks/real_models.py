"""The models as the bench of real scans asks them: for every level that they have learnt."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vertebra_ml import models
from vertebra_ml.errors import ModelError
from vertebra_ml.models.contract import WEIGHTS, Contract, kind_of
from vertebra_ml.two_stage.contract import Contract as ColumnContract


@dataclass(frozen=True)
class Asked:
    """A model ready to answer.

    Parameters
    ----------
    name : how it is called in tables; also the folder of its pictures.
    localiser : asked for every level that it has learnt.
    shown : the levels that it answers when it is used as shipped.
    warning : a score below this makes it warn.
    """

    name: str
    localiser: models.Localiser
    shown: tuple[str, ...]
    warning: float


def two_stage(folder: Path) -> Asked:
    """Load a two-stage model. Raises ModelError where ``folder`` holds none."""
    _check(folder, "two_stage")
    settings = ColumnContract.read(folder).settings
    localiser = models.load_model(folder)
    return Asked("two_stage", localiser, localiser.levels, settings.warning_score)


def slice_spotter(folder: Path, scratch: Path) -> Asked:
    """Load a slice spotter that answers all its heads. Raises ModelError where there is none.

    Its ``model.json`` names the levels to answer; a copy in ``scratch`` names every head. One
    network and one decoding over all heads serve both, so an answer is the same however many
    levels are asked for.
    """
    _check(folder, "slice_spotter")
    contract = Contract.read(folder)
    settings = contract.settings
    if not (folder / WEIGHTS).is_file():
        raise _absent(folder / WEIGHTS, "slice_spotter")
    scratch.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / WEIGHTS, scratch / WEIGHTS)
    replace(contract, settings=replace(settings, levels=settings.heads)).write(scratch)
    shown = _in_order(settings.levels, settings.heads)
    warning = contract.thresholds["warning"]
    return Asked("slice_spotter", models.load_model(scratch), shown, warning)


def _in_order(levels: Sequence[str], heads: Sequence[str]) -> tuple[str, ...]:
    return tuple(level for level in heads if level in levels)


def _check(folder: Path, kind: str) -> None:
    if not folder.is_dir():
        raise _absent(folder, kind)
    found = kind_of(folder)
    if found != kind:
        raise ModelError(
            folder,
            found=f"a model of kind {found!r}",
            expected=f"a model of kind {kind!r}",
            fix=f"give another folder with --{kind.replace('_', '-')}",
        )


def _absent(path: Path, kind: str) -> ModelError:
    return ModelError(
        path,
        found="nothing at that path",
        expected=f"a model of kind {kind!r}",
        fix=f"run `dvc pull`, or give another folder with --{kind.replace('_', '-')}",
    )
