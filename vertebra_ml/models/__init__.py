"""Model families: one table, one way to load, one way to ask, one way to train.

Importing this package is light; keras is imported when a model is built or loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from vertebra_ml.case import Case
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import ModelIdentity, Prediction
from vertebra_ml.mip import MipPair
from vertebra_ml.models.contract import kind_of
from vertebra_ml.notes import heard
from vertebra_ml.volume import Source, Volume


class Localiser(Protocol):
    """A trained model: one CT in, one Prediction out. Many threads may call its methods."""

    @property
    def kind(self) -> str:
        """The model family."""

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels it answers."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is, as its answers say."""

    def locate(self, volume: Volume, case: str) -> Prediction:
        """Answer for a CT."""

    def locate_mips(self, pair: MipPair, source: Source, case: str) -> Prediction:
        """Answer for MIPs made before, of a CT on the grid ``source``."""


@dataclass(frozen=True)
class Family:
    """Where the functions of a model kind live, as "module:function".

    ``contract`` is the class that reads its ``model.json``.
    """

    load: str
    train: str
    contract: str


FAMILIES: Final = {
    "slice_spotter": Family(
        load="vertebra_ml.models.slice_spotter:load",
        train="vertebra_ml.models.fitting:train",
        contract="vertebra_ml.models.contract:Contract",
    ),
    "two_stage": Family(
        load="vertebra_ml.two_stage.localiser:load",
        train="vertebra_ml.two_stage.fitting:train",
        contract="vertebra_ml.two_stage.contract:Contract",
    ),
}

OnEpoch = Callable[[int, dict[str, float]], None]


def load_model(folder: Path, identity: ModelIdentity | None = None) -> Localiser:
    """Load the model in ``folder``, ready to answer.

    ``identity`` is what its answers say of it; without one, its kind and data hash alone.
    Raises ModelError where the folder is no model folder, or of an unknown kind.
    """
    family = _family(kind_of(Path(folder)), folder)
    reads: Any = _function(family.contract)
    contract = reads.read(Path(folder))
    identity = identity or ModelIdentity(contract.kind, data_hash=contract.data_hash)
    localiser: Localiser = _function(family.load)(Path(folder), contract, identity)
    return localiser


def locate(localiser: Localiser, case: Case) -> Prediction:
    """Answer for one case, opening its MIPs where it is an archive, else its CT.

    What its reader says of the scan stands before the warnings of the model.

    Raises what its reader raises: DatasetError, GeometryError, LimitError.
    """
    if case.open_mips is not None:
        with heard(case.source) as notes:
            pair, source = case.open_mips()
        prediction = localiser.locate_mips(pair, source, case.id)
        return replace(prediction, warnings=(*notes, *prediction.warnings))
    if case.open_volume is None:
        raise ModelError(
            case.source,
            found="a case with neither CT nor MIPs",
            expected="one of them",
            fix="give a NIfTI file, a DICOM folder or a MIP archive",
        )
    with heard(case.source) as notes:
        volume = case.open_volume()
    prediction = localiser.locate(volume, case.id)
    return replace(prediction, warnings=(*notes, *prediction.warnings))


def train(
    kind: str,
    settings: Mapping[str, Any],
    projection: Mapping[str, Any],
    archives: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    seed: int,
    data_hash: str,
    on_epoch: OnEpoch,
    start: Path | None = None,
) -> None:
    """Train a model and write its folder: ``model.json``, ``model.weights.h5``, ``history.csv``.

    Parameters
    ----------
    kind : a key of ``FAMILIES``.
    settings : the section ``models.<kind>`` of the params, plain values.
    projection : the section ``projection``: how the archives were made.
    archives : paths of MIP archives, under ``train`` and ``validation``.
    folder : the model folder; a checkpoint lies beside it until training ends, and a training
        that was killed goes on from there.
    seed : of every random choice.
    data_hash : of the training data, kept in ``model.json``.
    on_epoch : called after each epoch with its number, from 1, and its figures.
    start : folder of a model of the same kind and architecture whose weights are gone on from;
        None for the folder ``start_from`` of the settings, or at random where that is empty.

    Raises ModelError for an unknown kind or setting and for a start that does not fit,
    DatasetError for archives that are not.
    """
    function = _function(_family(kind, "models").train)
    contract = {"kind": kind, "settings": settings, "preparation": projection}
    function(
        contract,
        archives,
        Path(folder),
        seed=seed,
        data_hash=data_hash,
        on_epoch=on_epoch,
        start=start,
    )


def _family(kind: str, where: object) -> Family:
    if kind not in FAMILIES:
        raise ModelError(
            where,
            found=f"a model of kind {kind!r}",
            expected=f"one of {', '.join(FAMILIES)}",
            fix="name one of these, or use the version of vertebra-ml that made the model",
        )
    return FAMILIES[kind]


def _function(address: str) -> Callable[..., Any]:
    module, _, name = address.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
