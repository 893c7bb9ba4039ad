"""The typed, frozen mirror of ``params.yaml``: unknown and missing keys are errors by name."""

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vertebra_ml.anatomy import RANK
from vertebra_ml.errors import ModelError

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


class Data(Section):
    """Where raw scans lie and how each folder is laid out."""

    root: Path
    sources: dict[str, str]


class Limits(Section):
    """What a raw scan may be."""

    voxels_max: Count
    spacing_min_mm: Positive
    spacing_max_mm: Positive
    height_min_mm: Positive
    width_min_mm: Positive
    hu_low_max: int
    hu_high_min: int
    gap_sigmas: Positive


class Split(Section):
    """Shares of patients, and the levels that each part must show."""

    train: Fraction
    validation: Fraction
    test: Fraction
    levels: SomeLevels


class Cohort(Section):
    """How many phantoms: whole trunks, and scans as they come (any part, field and spacing).

    None of either where the data's own scans or MIP archives are to teach alone.
    """

    trunks: int = Field(ge=0)
    scans: int = Field(ge=0)


class Phantoms(Section):
    """Size of the synthetic cohort."""

    train: Cohort
    validation: Cohort
    workers: Count


class SamplePhantoms(Section):
    """How many phantoms the two-stage model learns from."""

    train: Cohort
    validation: Cohort


class Samples(Section):
    """What the two-stage model learns from, beside the labelled scans of the data."""

    phantoms: SamplePhantoms


class Projection(Section):
    """How a CT becomes a pair of MIPs."""

    spacing_mm: Positive
    body_threshold_hu: int
    sagittal_slab_mm: Positive

    def arguments(self) -> dict[str, Any]:
        """Return what ``prepare.project`` wants, by name."""
        return {
            "spacing_mm": self.spacing_mm,
            "body_threshold_hu": self.body_threshold_hu,
            "slab_mm": self.sagittal_slab_mm,
        }


class Project(Section):
    """Who projects the data's scans: a cluster's workers, where its scheduler is named."""

    scheduler: str


class SliceSpotter(Section):
    """Settings of the model kind ``slice_spotter``."""

    levels: SomeLevels
    auxiliary_levels: Levels
    architecture: Literal["compact", "kanavati", "own", "efficientnet"]
    loss: Literal["bce", "focal"]
    target: Literal["gaussian", "onehot"]
    target_sigma_mm: Positive
    epochs: Count
    steps_per_epoch: Count
    batch: Count
    learning_rate: Positive
    patience: Count
    minutes: Positive
    validation_fields: Count
    presence_threshold: Fraction
    warning_score: Fraction
    start_from: str


class Training(Section):
    """How one network of a two-stage model is trained."""

    epochs: Count
    steps_per_epoch: Count
    batch: Count
    learning_rate: Positive
    patience: Count
    minutes: Positive


class TwoStage(Section):
    """Settings of the model kind ``two_stage``."""

    levels: SomeLevels
    architecture: Literal["compact", "spinefinder"]
    precision: Literal["float32", "mixed_bfloat16"]
    detection: Training
    identification: Training
    mix: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    warning_score: Fraction


class Models(Section):
    """One section a model kind."""

    slice_spotter: SliceSpotter
    two_stage: TwoStage


class Evaluate(Section):
    """What a trained model is measured on."""

    phantoms: int = Field(ge=0)
    gross_mm: Positive
    bootstrap: Count


class ColumnGate(Section):
    """Thresholds for a model that names whole columns, beside those of ``Gate``."""

    id_rate_min: Fraction
    mean_mm_max: Positive
    off_by_one_max: Fraction
    all_right_min: Fraction


class Gate(Section):
    """Thresholds that a model must meet to be promoted."""

    median_mm_max: Positive
    gross_rate_max: Fraction
    presence_min: Fraction
    two_stage: ColumnGate


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


class Params(Section):
    """All of ``params.yaml``."""

    seed: int = Field(ge=0)
    data: Data
    limits: Limits
    split: Split
    phantoms: Phantoms
    samples: Samples
    projection: Projection
    project: Project
    models: Models
    evaluate: Evaluate
    gate: Gate
    promotion: Promotion
    tuning: Tuning
    monitor: Monitor
    tracking: Tracking


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which lets the last of two equal keys win, made to refuse them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def load(path: Path) -> Params:
    """Read and check ``params.yaml``.

    Raises ModelError naming the file and each key that is unknown, missing, given twice or out of
    range.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        return Params.model_validate(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = str(error).replace("\n", " ")
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
    raise ModelError(
        path, found=found, expected="the keys of vertebra_ml/config.py", fix="correct the file"
    )
