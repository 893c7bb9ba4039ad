"""Model families: one table, one way to load, one way to ask. Each kind learns in its own way.

Importing this package is light; keras is imported when a model is built or loaded.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from vertebra_ml.bounds import OUTSIDE
from vertebra_ml.case import Case
from vertebra_ml.errors import ModelError
from vertebra_ml.landmarks import ModelIdentity, Prediction
from vertebra_ml.mip import MipPair
from vertebra_ml.models.contract import kind_of
from vertebra_ml.notes import heard
from vertebra_ml.volume import Source, Volume

# Read once, when TensorFlow is imported. It leaves this off on processors without AVX-512, where
# convolutions are several times slower for it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


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
    contract: str


FAMILIES: Final = {
    "slice_spotter": Family(
        load="vertebra_ml.models.slice_spotter:load",
        contract="vertebra_ml.models.contract:Contract",
    ),
    "two_stage": Family(
        load="vertebra_ml.two_stage.localiser:load",
        contract="vertebra_ml.two_stage.contract:Contract",
    ),
}

OnEpoch = Callable[[int, dict[str, float]], None]


def load_model(
    folder: Path, identity: ModelIdentity | None = None, *, outside: str = OUTSIDE[0]
) -> Localiser:
    """Load the model in ``folder``, ready to answer.

    ``identity`` is what its answers say of it; without one, its kind and data hash alone.
    ``outside`` says whether a scan outside the limits that the model brings along is answered
    with a warning (``warn``) or refused (``refuse``).
    Raises ModelError where the folder is no model folder, or of an unknown kind.
    """
    family = _family(kind_of(Path(folder)), folder)
    reads: Any = _function(family.contract)
    contract = reads.read(Path(folder))
    if outside not in OUTSIDE:
        raise ModelError(
            folder,
            found=f"outside={outside!r}",
            expected=" or ".join(OUTSIDE),
            fix="correct what is to be done with a scan outside the model's limits",
        )
    if contract.limits:
        contract = replace(contract, limits={**contract.limits, "outside": outside})
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
    settings: Mapping[str, Any],
    projection: Mapping[str, Any],
    archives: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    seed: int,
    data_hash: str,
    on_epoch: OnEpoch,
    start: Path | None = None,
    limits: Mapping[str, Any] | None = None,
) -> None:
    """Train a slice spotter and write its folder; see ``fitting.train``, imported here."""
    from vertebra_ml.models.fitting import train as fit

    fit(
        settings, projection, archives, Path(folder),
        seed=seed, data_hash=data_hash, on_epoch=on_epoch, start=start, limits=limits,
    )  # fmt: skip


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
