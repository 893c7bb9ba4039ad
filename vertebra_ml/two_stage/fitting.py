"""Training a two-stage model: both networks learn, then the folder is made whole."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vertebra_ml.errors import ModelError
from vertebra_ml.two_stage import carried
from vertebra_ml.two_stage.architectures import Lesson, architecture, function
from vertebra_ml.two_stage.contract import Contract
from vertebra_ml.two_stage.settings import Settings

KIND: Final = "two_stage"
STAGES: Final = ("detection", "identification")
Samples = Mapping[str, Mapping[str, Sequence[Path]]]


def train(
    settings: Mapping[str, Any],
    samples: Samples,
    groups: Mapping[str, str],
    folder: Path,
    *,
    seed: int,
    data_hash: str,
    on_epoch: Callable[[int, dict[str, float]], None],
    anchor: Path | None = None,
    limits: Mapping[str, Any] | None = None,
) -> None:
    """Train both networks and write ``folder``: ``model.json``, weights, ``history.csv``.

    Parameters
    ----------
    settings : the section ``models.two_stage`` of the params, plain values.
    samples : paths of ``.npz`` samples (see ``cuts.Cut``), under ``detection`` and
        ``identification``, then under ``train`` and ``validation``.
    groups : the group of each sample by the name of its file; see ``Settings.mix``.
    folder : the model folder; checkpoints lie beside it until training ends, and a training that
        was killed goes on from there.
    seed, data_hash : kept in ``model.json``.
    on_epoch : called after each epoch of either network with its number, from 1, and its figures.
    anchor : folder of the slice spotter that the model carries; None for none.
    limits : the section ``limits`` of the params, which a scan is held against when it is answered;
        None for none.

    Raises ModelError for unknown settings, where a part has no sample, and where ``anchor`` holds
    no slice spotter.
    """
    known = Settings.of(settings)
    if anchor:
        carried.facts(anchor)  # refused before hours of training, not after
    for stage in STAGES:
        for part in ("train", "validation"):
            if not samples[stage][part]:
                raise ModelError(
                    "training",
                    found=f"no {part} sample for {stage}",
                    expected="at least one",
                    fix="add scans or phantoms",
                )
    lesson = Lesson(
        known, samples["detection"], samples["identification"], groups, folder, seed, data_hash,
        on_epoch,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    thresholds = function(architecture(known.architecture).learn)(lesson)
    facts = carried.carry(anchor, folder) if anchor else {}
    thresholds = {**thresholds, **(carried.wrong(anchor) if anchor else {})}
    Contract(KIND, known, thresholds, seed, data_hash, dict(limits or {}), facts).write(folder)


def untrained(
    settings: Mapping[str, Any], folder: Path, seed: int, anchor: Path | None = None
) -> None:
    """Write a model folder with weights at random, for tests and benchmarks."""
    known = Settings.of(settings)
    folder.mkdir(parents=True, exist_ok=True)
    thresholds = function(architecture(known.architecture).untrained)(folder, seed)
    facts = carried.carry(anchor, folder) if anchor else {}
    Contract(KIND, known, dict(thresholds), seed, f"untrained-{seed}", {}, facts).write(folder)
