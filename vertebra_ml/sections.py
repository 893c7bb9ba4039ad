"""Sections of the parameters that no product depends on, and what all sections are made of.

They are read through ``config``.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vertebra_ml.anatomy import RANK

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _known_level(level: str) -> str:
    if level not in RANK:
        raise ValueError(f"{level!r} is no vertebra (C1..C7, T1..T13, L1..L6)")
    return level


def _each_once(levels: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(levels)) < len(levels):
        raise ValueError("a level is given twice")
    return levels


Level = Annotated[str, AfterValidator(_known_level)]
Levels = Annotated[tuple[Level, ...], AfterValidator(_each_once)]
SomeLevels = Annotated[Levels, Field(min_length=1)]


class Section(BaseModel):
    """A group of settings: frozen, complete, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Margin(Section):
    """By how much a challenger may be worse while chance can explain it; shares of 1, and mm."""

    gross_rate: Fraction
    id_rate: Fraction
    presence_right: Fraction
    median_mm: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Promotion(Section):
    """When a challenger counts as worse than the model in production."""

    bootstrap: Count
    margin: Margin


class Range(Section):
    """Values tried from ``low`` to ``high``: whole numbers where both are whole, else any.

    ``step`` is the least distance between two of them, on a ``log`` scale the least ratio.
    """

    low: int | float
    high: int | float
    scale: Literal["linear", "log"] = "linear"
    step: int | float | None = None


class Choices(Section):
    """Values tried, one by one."""

    choices: Annotated[tuple[int | float | str, ...], Field(min_length=1)]


class Search(Section):
    """A search for better settings of one model kind; keys are those of ``models.<kind>``.

    ``short`` makes a trial shorter than a training; ``space`` says what is tried.
    """

    search: Literal["random", "hyperband", "bayesian"]
    trials: Count
    workers: Count
    factor: Annotated[int, Field(ge=2)]
    short: dict[str, int | float]
    space: Annotated[dict[str, Range | Choices], Field(min_length=1)]


class Tuning(Section):
    """One search a model kind."""

    slice_spotter: Search
    two_stage: Search


class Monitor(Section):
    """When served requests count as drifted from the scans that a model was made for."""

    phantoms: int = Field(ge=0)
    last: Count
    requests_min: Annotated[int, Field(ge=2)]
    index_max: Positive
    chance_max: Fraction
    outside_share_max: Fraction
    refused_share_max: Fraction


class Tracking(Section):
    """The tracking server and the names of registered models, by kind."""

    uri: str
    artifacts: str = ""
    """Root of the artifacts of a store on a server; those of a local database lie beside it."""
    experiment: str
    registered: dict[str, str]
