"""Networks on disk: ``weights.npz`` beside this file, from ``rivals.fit``; plain numbers only."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.errors import ModelError
from vertebra_ml.rivals.network import LEVEL, Reals, Weights, begin

SHIPPED: Final = Path(__file__).with_name("weights.npz")
KEPT: Final = np.float16
"""Weights are rounded to it, which halves the file."""
TOLD: Final = ("sure", "temperature", "source")


@dataclass(frozen=True, eq=False)
class Networks:
    """Networks of several seeds, whose chances are averaged.

    Parameters
    ----------
    seeds : the weights of each.
    sure : the least probability of a name that may be trusted.
    temperature : what the logarithms of chances are divided by before they are told.
    source : what they were taught with, and its licence.
    """

    seeds: tuple[Weights, ...]
    sure: float
    temperature: float
    source: str


def rounded(weights: Weights) -> Weights:
    """Return what the file keeps of weights; without those that only training needs."""
    return {
        name: value.astype(KEPT).astype(np.float32)
        for name, value in weights.items()
        if name not in LEVEL
    }


def packed(networks: Networks) -> bytes:
    """Return the content of ``weights.npz``; the same bytes for the same numbers."""
    arrays = {
        name: np.stack([weights[name] for weights in networks.seeds]).astype(KEPT)
        for name in sorted(networks.seeds[0])
    }
    arrays |= {name: np.array(getattr(networks, name)) for name in TOLD}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # dates of 1980: no clock in it
    return buffer.getvalue()


def load(path: Path) -> Networks:
    """Read networks.

    Raises ModelError for a file that is absent, no archive of plain numbers, or of other networks.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays: Mapping[str, Reals] = {name: file[name] for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unlike(path, f"no readable weights ({error})") from None
    wanted = rounded(begin(np.random.default_rng(0)))
    if set(arrays) != {*wanted, *TOLD}:
        raise _unlike(path, "arrays of other names")
    count = len(np.atleast_1d(arrays["trust"]))
    for name, like in wanted.items():
        value = arrays[name]
        if (
            value.shape != (count, *like.shape)
            or value.dtype != KEPT
            or not np.isfinite(value).all()
        ):
            raise _unlike(path, f"{name} of shape {value.shape}, {value.dtype}, or not finite")
    if not count:
        raise _unlike(path, "no network")
    if not 0 <= _number(arrays["sure"]) <= 1:
        raise _unlike(path, "no probability under sure")
    if not 0 < _number(arrays["temperature"]) < np.inf:
        raise _unlike(path, "no number above 0 under temperature")
    seeds = tuple(
        {name: arrays[name][number].astype(np.float32) for name in wanted}
        for number in range(count)
    )
    sure, temperature = float(arrays["sure"]), float(arrays["temperature"])
    return Networks(seeds, sure, temperature, str(arrays["source"]))


def _number(value: Reals) -> float:
    return float(value) if value.shape == () and value.dtype.kind == "f" else np.nan


@cache
def shipped() -> Networks:
    """Return the networks that lie beside this file."""
    return load(SHIPPED)


def _unlike(path: Path, found: str) -> ModelError:
    return ModelError(
        path,
        found=found,
        expected="networks as vertebra_ml.rivals.fit writes them",
        fix="install the package again, or make them with python -m vertebra_ml.rivals.fit",
    )
