"""Both networks of a model in one file of weights, so that one digest names the model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vertebra_ml.errors import ModelError
from vertebra_ml.models.contract import WEIGHTS


def save(
    networks: Mapping[str, Any], builders: Mapping[str, Callable[[], Any]], folder: Path
) -> None:
    """Write ``model.weights.h5`` into ``folder`` in one step.

    ``builders`` make each network anew: optimizers and the precision of training stay behind.
    """
    plain = {}
    for stage, build in builders.items():
        plain[stage] = build()
        plain[stage].set_weights(networks[stage].get_weights())
    part = folder / f".part.{WEIGHTS}"
    _joined(plain).save_weights(part)
    part.replace(folder / WEIGHTS)


def load(
    builders: Mapping[str, Callable[[], Any]], folder: Path, architecture: str
) -> dict[str, Any]:
    """Build each network with its weights. Raises ModelError where they are missing or others'."""
    networks = {stage: build() for stage, build in builders.items()}
    path = folder / WEIGHTS
    try:
        _joined(networks).load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            path,
            found=f"{type(error).__name__}: {error}",
            expected=f"weights of the networks {' and '.join(builders)} ({architecture})",
            fix="train the model again, or run `dvc pull`",
        ) from error
    return networks


def _joined(networks: Mapping[str, Any]) -> Any:
    """Return one model around all networks, which it shares."""
    import keras

    inputs = [tensor for network in networks.values() for tensor in network.inputs]
    outputs = [network(network.inputs) for network in networks.values()]
    return keras.Model(inputs, outputs)
