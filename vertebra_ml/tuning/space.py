"""What a search tries: ranges and choices of a model's settings, by dotted names."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from vertebra_ml.config import Choices, Range, Search, Section
from vertebra_ml.errors import ModelError

DIGITS: Final = 4
"""Figures of a number that are kept: what is tried is what is proposed, and can be typed."""

OF_THE_TUNER: Final = "tuner/"
"""Before the names of what Hyperband says of a trial beside its settings."""

EPOCHS: Final = "epochs"

S = TypeVar("S", bound=Section)
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Space:
    """A search's settings, held against those of the model kind that they are of.

    Parameters
    ----------
    kind : a model kind.
    section : its settings as they are.
    search : what is tried.
    """

    kind: str
    section: Section
    search: Search

    def check(self) -> None:
        """Raise ModelError, naming the key, where a value that may be tried is no setting."""
        for name, allowed in self.search.space.items():
            ends = allowed.choices if isinstance(allowed, Choices) else _ends(allowed, self._at)
            for value in ends:
                self.settings({name: value})
        self.settings({})

    def settings(self, values: Values) -> Section:
        """Return the settings of a trial: those as they are, made short, with ``values``.

        Raises ModelError naming a key that there is none of, or a value that is not allowed.
        """
        whole = self.section.model_dump()
        for name, value in (self._short(values) | self.chosen(values)).items():
            place = whole
            *sections, last = name.split(".")
            for part in sections:
                place = place.get(part, {}) if isinstance(place, dict) else {}
            if not isinstance(place, dict) or last not in place:
                raise ModelError(
                    self._at, found=f"the key {name!r}", fix="correct params.yaml",
                    expected=f"keys of models.{self.kind}",
                )  # fmt: skip
            place[last] = value
        try:
            return type(self.section).model_validate(whole)
        except ValidationError as error:
            said = "; ".join(
                f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
            )
            raise ModelError(
                self._at, found=said, expected=f"values that models.{self.kind} may have",
                fix="correct params.yaml",
            ) from error  # fmt: skip

    def chosen(self, values: Values) -> dict[str, Any]:
        """Return what a trial tries, rounded, without what the tuner says beside it."""
        return {
            name: tidy(value) for name, value in values.items() if not name.startswith(OF_THE_TUNER)
        }

    def current(self) -> dict[str, Any]:
        """Return the settings as they are of what is searched."""
        return {name: _held(self.section, name) for name in self.search.space}

    def first(self) -> dict[str, Any]:
        """Return ``current``, or nothing where one of its values is outside of what is tried."""
        current = self.current()
        allowed = self.search.space
        return current if all(_within(current[name], allowed[name]) for name in current) else {}

    @property
    def epochs(self) -> int:
        """The most epochs that one network of a trial may have."""
        return max(self._epochs().values())

    @property
    def _at(self) -> str:
        return f"tuning.{self.kind}"

    def _short(self, values: Values) -> dict[str, Any]:
        """Return what makes a trial short; Hyperband gives each a part of the epochs."""
        part = values.get(f"{OF_THE_TUNER}{EPOCHS}", self.epochs) / self.epochs
        epochs = {name: max(1, math.ceil(most * part)) for name, most in self._epochs().items()}
        return {**self.search.short, **epochs}

    def _epochs(self) -> dict[str, int]:
        """Return how many epochs each network may have, by the name of the setting."""
        found = {
            name: int(value)
            for name, value in _leaves(self.section.model_dump()).items()
            if name.split(".")[-1] == EPOCHS
        }
        return found | {name: int(v) for name, v in self.search.short.items() if name in found}


def tidy(value: Any) -> Any:
    """Return a number with DIGITS figures; anything else as it is."""
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _held(section: Section, name: str) -> Any:
    leaves = _leaves(section.model_dump())
    return leaves.get(name)


def _leaves(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = value
    return found


def _ends(allowed: Range, where: str) -> tuple[float, float]:
    if not allowed.low <= allowed.high or (allowed.scale == "log" and allowed.low <= 0):
        raise ModelError(
            where, found=f"a {allowed.scale} range from {allowed.low} to {allowed.high}",
            expected="low at most high, and above 0 on a log scale", fix="correct params.yaml",
        )  # fmt: skip
    return allowed.low, allowed.high


def _within(value: Any, allowed: Range | Choices) -> bool:
    if isinstance(allowed, Choices):
        return value in allowed.choices
    return isinstance(value, int | float) and allowed.low <= value <= allowed.high
