"""``model.json`` of a two-stage model: everything needed to use it, without ``params.yaml``."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from vertebra_ml.errors import ModelError
from vertebra_ml.models.contract import CONTRACT, replace_text
from vertebra_ml.two_stage.settings import Settings


@dataclass(frozen=True)
class Contract:
    """The content of ``model.json``.

    Parameters
    ----------
    kind : the model family.
    settings : as trained.
    thresholds : numbers that the reader of the architecture wants, chosen on validation; of
        ``guess``, if it is there, the localiser: a name that scores less is not told.
    seed, data_hash : what made the weights.
    limits : what a scan may be to be answered, see ``bounds``; empty where it may be anything.
    anchor : the slice spotter that it carries (``carried.facts``); empty where it carries none.
    """

    kind: str
    settings: Settings
    thresholds: dict[str, float]
    seed: int
    data_hash: str
    limits: dict[str, Any]
    anchor: dict[str, str] = field(default_factory=dict)

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
                expected="the model.json of a trained two-stage model",
                fix="give a folder made by training, or run `dvc pull`",
            ) from error
