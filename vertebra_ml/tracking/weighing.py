"""How two registered versions are held against each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.comparison import Comparison, Rule, compare
from vertebra_ml.tracking.evidence import Scored, scored


@dataclass(frozen=True)
class Weighing:
    """How a challenger is held against the model in production.

    Parameters
    ----------
    rule : what counts as worse.
    patients : the patient of each case, where known.
    rescored : versions that were scored anew on the cases at hand, by number.
    tell : called with the comparison before anything is decided.
    """

    rule: Rule
    patients: Mapping[str, str] = field(default_factory=dict)
    rescored: Mapping[str, Scored] = field(default_factory=dict)
    tell: Callable[[Comparison], object] = lambda comparison: None


def compared(
    client: MlflowClient,
    versions: tuple[ModelVersion, ModelVersion],
    weighing: Weighing | None,
) -> Comparison:
    """Compare (production, challenger). Raises ModelError where that cannot be done."""
    production, challenger = versions
    if weighing is None:
        raise ModelError(
            challenger.name,
            found="no rule by which to compare it with the version in production",
            expected="the section promotion of params.yaml",
            fix="run this in the project's folder, or promote with --force and say why",
        )
    current = weighing.rescored.get(str(production.version)) or scored(client, production)
    return compare(current, scored(client, challenger), weighing.rule, weighing.patients)
