"""What a promotion asks for, checked: a version that may answer, and a reason."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from vertebra_ml.errors import GateError, ModelError
from vertebra_ml.tracking.registry import versions

REASON_MAX = 2000
"""Characters: an entry of the audit is one tag of at most 8000."""


def choose(client: MlflowClient, name: str, version: str | None) -> ModelVersion:
    """Return the version meant. Raises ModelError or GateError where it must not be promoted."""
    known = versions(client, name)
    passed = [v for v in known if v.tags.get("gate") == "passed"]
    if version is None and passed:
        return passed[0]
    asked = [v for v in known if str(v.version) == version]
    if asked and asked[0] in passed:
        return asked[0]
    if asked:
        raise GateError(
            f"{name} version {version}",
            found=f"gate={asked[0].tags.get('gate', 'unknown')}",
            expected="gate=passed",
            fix="promote a version that met the thresholds, see `vertebra-ml models`",
        )
    numbers = ", ".join(str(v.version) for v in known) or "none"
    raise ModelError(
        name if version is None else f"{name} version {version}",
        found=f"versions {numbers}",
        expected="a registered version that passed the gate",
        fix="publish one with `dvc repro`, see `vertebra-ml models`",
    )


def check_known(client: MlflowClient, name: str) -> None:
    """Raise ModelError for a registered model that is not there."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        choose(client, name, None)


def checked_reason(name: str, reason: str) -> str:
    """Return the reason in one line. Raises ModelError where there is none."""
    words = " ".join(reason.split())
    if words and len(words) <= REASON_MAX:
        return words
    raise ModelError(
        name,
        found=f"a reason of {len(words)} characters" if words else "an empty reason",
        expected=f"why this version should answer, in at most {REASON_MAX} characters",
        fix="say it with --reason",
    )


@contextmanager
def told_plainly(name: str) -> Iterator[None]:
    """Turn what a store that is down or refuses raises into a ModelError about ``name``."""
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise ModelError(
            name,
            found=str(error).strip().split("\n")[0][:200],
            expected="a tracking store that answers",
            fix="see that it is up and repeat the command, which goes on where it was cut off",
        ) from error
