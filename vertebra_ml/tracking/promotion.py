"""Promotion, a person's act: which version answers, who decided that, when and why."""

import getpass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from vertebra_ml.errors import GateError, ModelError
from vertebra_ml.tracking.registry import PREVIOUS, PRODUCTION, aliases_of, versions
from vertebra_ml.tracking.store import lock, open_store


def promote(name: str, *, reason: str, version: str | None = None, uri: str | None = None) -> str:
    """Let ``version`` (default: the newest that passed the gate) answer as ``production``.

    The version that answered before keeps the alias ``previous``. Who, when, why and instead of
    what are tags of the version. Returns the version; one that is in production already stays.

    Raises ModelError for an unknown model or version and for an empty reason, GateError for a
    version that did not pass the quality gate.
    """
    client = open_store(uri)
    with lock(client.tracking_uri):
        chosen = _choose(client, name, version)
        _check_reason(name, reason)
        before = aliases_of(client, name).get(PRODUCTION)
        number = str(chosen.version)
        if before == number:
            return number
        _tag(client, name, number, reason=reason, instead_of=before)
        if before is not None:
            client.set_registered_model_alias(name, PREVIOUS, before)
        client.set_registered_model_alias(name, PRODUCTION, number)
        return number


def rollback(name: str, *, reason: str, uri: str | None = None) -> str:
    """Let the version that answered before answer again; returns it.

    The two aliases change places, so that a rollback can itself be undone.
    Raises ModelError where there is no version to go back to, and for an empty reason.
    """
    client = open_store(uri)
    with lock(client.tracking_uri):
        _check_reason(name, reason)
        held = aliases_of(client, name)
        now, before = held.get(PRODUCTION), held.get(PREVIOUS)
        if before is None or before == now:
            raise ModelError(
                name,
                found="no earlier version under the alias previous",
                expected="a second promotion before a rollback",
                fix="choose one with `vertebra-ml promote NAME --version V`",
            )
        _tag(client, name, before, reason=f"rollback: {reason}", instead_of=now)
        client.set_registered_model_alias(name, PRODUCTION, before)
        if now is not None:
            client.set_registered_model_alias(name, PREVIOUS, now)
        return before


def _choose(client: MlflowClient, name: str, version: str | None) -> ModelVersion:
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


def _check_reason(name: str, reason: str) -> None:
    if not reason.strip():
        raise ModelError(
            name,
            found="an empty reason",
            expected="why this version should answer",
            fix="say it with --reason",
        )


def _tag(
    client: MlflowClient, name: str, version: str, *, reason: str, instead_of: str | None
) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    tags = {
        "promoted": moment,
        "promoted_by": _who(),
        "promoted_because": " ".join(reason.split()),
        "promoted_instead_of": instead_of or "nothing",
    }
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user id has no name
        return "unknown"
