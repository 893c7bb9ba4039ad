"""The typed, frozen mirror of ``params.yaml``: unknown and missing keys are errors by name."""

from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from vertebra_ml.errors import ModelError
from vertebra_ml.sections import (
    Choices,
    Count,
    Fraction,
    Levels,
    Monitor,
    Positive,
    Promotion,
    Range,
    Search,
    Section,
    SomeLevels,
    Tracking,
    Tuning,
)

__all__ = ["Choices", "Monitor", "Params", "Projection", "Range", "Search", "Section", "load"]


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
    architecture: Literal["compact", "pair", "kanavati", "own", "efficientnet"]
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


class Answers(Section):
    """What a model that answers does with a scan outside the limits that it brings along."""

    outside: Literal["warn", "refuse"]


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
    answers: Answers
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
