"""How a two-stage model is built and trained; the keys of ``models.two_stage``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from vertebra_ml.errors import ModelError


@dataclass(frozen=True)
class Training:
    """How one of the two networks is trained."""

    epochs: int
    steps_per_epoch: int
    batch: int
    learning_rate: float
    patience: int
    minutes: float

    @classmethod
    def of(cls, values: Mapping[str, Any], where: object) -> Self:
        """Build from plain values. Raises ModelError naming missing and unknown keys."""
        return cls(**_checked(cls, values, where))


@dataclass(frozen=True)
class Settings:
    """The section ``models.two_stage``.

    Parameters
    ----------
    levels : levels answered.
    architecture : a key of ``architectures.ARCHITECTURES``.
    precision : of the arithmetic while training: ``float32`` or ``mixed_bfloat16``.
    detection, identification : how each network is trained.
    mix : how often a sample of a group is drawn, against one of weight 1; groups are ``phantom``
        and the layouts of scans, and ``scans`` stands for layouts not named.
    warning_score : an answer that scores less carries a warning.
    """

    levels: tuple[str, ...]
    architecture: str
    precision: str
    detection: Training
    identification: Training
    mix: dict[str, float]
    warning_score: float

    @classmethod
    def of(cls, values: Mapping[str, Any], where: object = "models.two_stage") -> Self:
        """Build from plain values. Raises ModelError naming missing and unknown keys."""
        plain = _checked(cls, values, where)
        plain["levels"] = tuple(plain["levels"])
        plain["mix"] = dict(plain["mix"])
        for stage in ("detection", "identification"):
            plain[stage] = Training.of(plain[stage], f"{where}.{stage}")
        return cls(**plain)

    def share(self, group: str) -> float:
        """Return the weight of a sample of ``group``."""
        usual = self.mix.get("phantom" if group == "phantom" else "scans", 1.0)
        return float(self.mix.get(group, usual))


def _checked(cls: type[Any], values: Mapping[str, Any], where: object) -> dict[str, Any]:
    known = {field.name for field in fields(cls)}
    wrong = sorted(known ^ set(values))
    if wrong:
        raise ModelError(
            where,
            found=f"keys missing or unknown: {', '.join(wrong)}",
            expected=", ".join(sorted(known)),
            fix="train the model again with this version",
        )
    return dict(values)
