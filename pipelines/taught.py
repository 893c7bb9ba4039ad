"""What a training is given: the same few things for every kind of model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

OnEpoch = Callable[[int, dict[str, float]], None]


class Teach(Protocol):
    """Trains a model and writes its folder."""

    def __call__(self, *, folder: Path, data_hash: str, on_epoch: OnEpoch) -> None:
        """Train; ``on_epoch`` is called after each epoch with its number, from 1."""


@dataclass(frozen=True, eq=False)
class Taught:
    """What one kind of model learns from, past its gate, and how.

    Parameters
    ----------
    table : the cases, a row each.
    files : every file learnt from or tuned on: the hash of the data is made of these.
    teach : trains.
    settings : what ``model.json`` will say beside the seed and the hash of the data; other settings
        are another training, and not gone on with.
    said : what is learnt from, in words.
    """

    table: pd.DataFrame
    files: Sequence[Path]
    teach: Teach
    settings: dict[str, Any]
    said: str
