"""The table of two-stage networks: what each keeps of a case, how it learns, how it reads a CT."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vertebra_ml.errors import ModelError
from vertebra_ml.two_stage.cuts import Cut
from vertebra_ml.two_stage.settings import Settings
from vertebra_ml.volume import Volume

__all__ = ["ARCHITECTURES", "Architecture", "Cut", "Lesson", "Reader", "Reading", "architecture"]

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reading:
    """The named vertebrae of one CT, head to foot.

    Parameters
    ----------
    levels : names, each at most once.
    points_mm : (n, 3) body centres, RAS mm.
    scores : (n,) 0..1, how sure the name is.
    spread_mm : (n,) radius that holds the truth nine times in ten; NaN where unknown.
    warnings : one line each.
    absent : how sure it is that a level is not in the scan, 0..1; levels may be missing.
    """

    levels: tuple[str, ...]
    points_mm: Doubles
    scores: Doubles
    spread_mm: Doubles
    warnings: tuple[str, ...] = ()
    absent: Mapping[str, float] = field(default_factory=dict)


class Reader(Protocol):
    """Trained networks of both stages. Many threads may call ``read``."""

    def read(self, volume: Volume) -> Reading:
        """Name the vertebrae of a CT."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """All that a training needs.

    Parameters
    ----------
    settings : the section ``models.two_stage``.
    detection, identification : ``.npz`` of ``Cut``, under ``train`` and ``validation``.
    groups : group of each sample by the name of its file: ``phantom``, or the layout of a scan.
    folder : where the weights go; checkpoints lie beside it.
    seed, data_hash : as in ``model.json``.
    on_epoch : called after each epoch of either stage with its number, from 1, and its figures.
    """

    settings: Settings
    detection: Mapping[str, Sequence[Path]]
    identification: Mapping[str, Sequence[Path]]
    groups: Mapping[str, str]
    folder: Path
    seed: int
    data_hash: str
    on_epoch: Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Architecture:
    """Where the functions of an architecture live, each as "module:function".

    ``cut(volume, landmarks, seed) -> Cut``; ``learn(lesson) -> thresholds`` (numbers that the
    reader wants, kept in ``model.json``), which writes weights into the lesson's folder;
    ``load(folder, settings, thresholds) -> Reader``; ``untrained(folder, seed)``, which writes
    weights at random, for tests and benchmarks.
    """

    cut: str
    learn: str
    load: str
    untrained: str


ARCHITECTURES: Final = {
    "compact": Architecture(
        cut="vertebra_ml.two_stage.compact.cutting:cut",
        learn="vertebra_ml.two_stage.compact.learning:learn",
        load="vertebra_ml.two_stage.readers.compact:load",
        untrained="vertebra_ml.two_stage.readers.compact:untrained",
    ),
    "spinefinder": Architecture(
        cut="vertebra_ml.two_stage.spinefinder.cutting:cut",
        learn="vertebra_ml.two_stage.spinefinder.learning:learn",
        load="vertebra_ml.two_stage.readers.spinefinder:load",
        untrained="vertebra_ml.two_stage.readers.spinefinder:untrained",
    ),
}
"""``compact`` is ours; ``spinefinder`` are the published networks (McCouat & Glocker 2019)."""


def architecture(name: str) -> Architecture:
    """Return an entry of the table. Raises ModelError for a name that is none."""
    if name not in ARCHITECTURES:
        raise ModelError(
            "models.two_stage.architecture",
            found=repr(name),
            expected=f"one of {', '.join(ARCHITECTURES)}",
            fix="correct params.yaml",
        )
    return ARCHITECTURES[name]


def function(address: str) -> Callable[..., Any]:
    """Return the function at "module:function"; keras is imported no earlier."""
    module, _, name = address.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
