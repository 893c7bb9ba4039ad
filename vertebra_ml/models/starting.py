"""Starting a training from the weights of another model: fine-tuning one level from another's."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.anatomy import RANK
from vertebra_ml.errors import ModelError
from vertebra_ml.models.contract import WEIGHTS, Contract, Settings
from vertebra_ml.models.slice_spotter import load_network

HEADS: Final = ("rows", "absent")
"""Names of the layers whose last axis is the level; every other weight knows of no level."""


@dataclass(frozen=True, eq=False)
class Start:
    """A trained network to start from: what it was, and its weights in the network's order."""

    contract: Contract
    weights: list[NDArray[Any]]
    digest: str

    @property
    def facts(self) -> dict[str, str]:
        """What ``model.json`` of the new model says of it."""
        return {
            "kind": self.contract.kind,
            "levels": " ".join(self.contract.settings.heads),
            "data_hash": self.contract.data_hash,
            "weights_sha256": self.digest,
        }


def read_start(folder: Path, kind: str, settings: Settings) -> Start:
    """Read the model in ``folder`` as the start of one of ``settings``.

    Raises ModelError where the folder is no model folder, or holds another network.
    """
    contract = Contract.read(folder)
    found = (contract.kind, contract.settings.architecture)
    if found != (kind, settings.architecture):
        raise ModelError(
            folder,
            found=f"a model of {' '.join(found)}",
            expected=f"{kind} {settings.architecture}, the network that is to be trained",
            fix="correct architecture or start_from in models.slice_spotter",
        )
    network = load_network(folder, contract)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return Start(contract, network.get_weights(), digest)


def begin(network: Any, heads: tuple[str, ...], start: Start) -> None:
    """Give ``network``, which answers for ``heads``, the weights of ``start``.

    A head takes what the old head of its level had; a level that the old model did not know takes
    those of the nearest level that it knew, the upper one of two as near.
    """
    known = start.contract.settings.heads
    taken = [known.index(nearest(level, known)) for level in heads]
    weights = [
        np.take(old, taken, axis=-1) if variable.path.split("/")[-2] in HEADS else old
        for variable, old in zip(network.weights, start.weights, strict=True)
    ]
    network.set_weights(weights)


def nearest(level: str, known: tuple[str, ...]) -> str:
    """Return the one of ``known``, head to foot, that lies nearest to ``level`` in the column."""
    return min(known, key=lambda other: abs(RANK[other] - RANK[level]))
