"""``model.json``: everything needed to use a trained model, without ``params.yaml``."""

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from vertebra_ml.anatomy import RANK
from vertebra_ml.errors import ModelError

CONTRACT: Final = "model.json"
WEIGHTS: Final = "model.weights.h5"
HISTORY: Final = "history.csv"


@dataclass(frozen=True)
class Settings:
    """How the slice spotter is built and trained; the keys of ``models.slice_spotter``."""

    levels: tuple[str, ...]
    auxiliary_levels: tuple[str, ...]
    architecture: str
    loss: str
    target: str
    target_sigma_mm: float
    epochs: int
    steps_per_epoch: int
    batch: int
    learning_rate: float
    patience: int
    minutes: float
    validation_fields: int
    presence_threshold: float
    warning_score: float
    start_from: str = ""

    @classmethod
    def of(cls, values: Mapping[str, Any], where: object = "settings") -> Self:
        """Build from plain values. Raises ModelError naming missing and unknown keys.

        A key that came with a later version, and so has a default, may be missing.
        """
        known = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        wrong = sorted((needed - set(values)) | (set(values) - known))
        if wrong:
            raise ModelError(
                where,
                found=f"keys missing or unknown: {', '.join(wrong)}",
                expected=", ".join(sorted(known)),
                fix="train the model again with this version",
            )
        plain = dict(values)
        for name in ("levels", "auxiliary_levels"):
            plain[name] = tuple(plain[name])
        return cls(**plain)

    @property
    def heads(self) -> tuple[str, ...]:
        """Every level the network learns, head to foot."""
        return tuple(sorted({*self.levels, *self.auxiliary_levels}, key=RANK.__getitem__))


@dataclass(frozen=True)
class Contract:
    """The content of ``model.json``.

    Parameters
    ----------
    kind : the model family.
    settings : as trained.
    preparation : the section ``projection`` of the params: how a CT becomes MIPs for this model.
    thresholds : ``presence`` and ``warning``, in use when answering.
    seed, data_hash : what made the weights.
    limits : what a scan may be to be answered, see ``bounds``; empty where it may be anything.
    start : the model whose weights this one began with (kind, levels, data hash, SHA-256 of its
        weights); empty where it began at random.
    """

    kind: str
    settings: Settings
    preparation: dict[str, Any]
    thresholds: dict[str, float]
    seed: int
    data_hash: str
    limits: dict[str, Any]
    start: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``model.json`` into ``folder``."""
        content = asdict(self) | {"levels": list(self.settings.levels)}
        replace_text(folder / CONTRACT, json.dumps(content, indent=2, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read ``model.json`` of ``folder``. Raises ModelError where there is none that fits."""
        path = folder / CONTRACT
        try:
            content = json.loads(path.read_text())
            content.pop("levels")
            settings = Settings.of(content.pop("settings"), path)
            return cls(settings=settings, **content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                path,
                found=f"{type(error).__name__}: {error}",
                expected="the model.json of a trained model",
                fix="give a folder made by training, or run `dvc pull`",
            ) from error


def kind_of(folder: Path) -> str:
    """Return the model family of ``folder``. Raises ModelError where it holds no model."""
    path = folder / CONTRACT
    try:
        return str(json.loads(path.read_text())["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            path,
            found=f"{type(error).__name__}: {error}",
            expected="the model.json of a trained model",
            fix="give a folder made by training, or run `dvc pull`",
        ) from error


def replace_text(path: Path, text: str) -> None:
    """Write a text file in one step: a reader sees the old or the new."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    os.replace(part, path)  # noqa: PTH105 - one atomic step
