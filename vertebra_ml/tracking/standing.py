"""Which version answers, kept in step with the audit."""

import getpass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from vertebra_ml.tracking.audit import FOUND, ROLLED_BACK, Audit, Entry
from vertebra_ml.tracking.choice import REASON_MAX
from vertebra_ml.tracking.registry import PREVIOUS, PRODUCTION, aliases_of


def complete(client: MlflowClient, audit: Audit) -> None:
    """Carry out the newest row where that is not known to be done, and settle the audit."""
    entry, kept = audit.pending, audit.checked()
    if entry and entry.action != FOUND and _exists(client, audit.name, entry.version):
        if entry.instead_of and _exists(client, audit.name, entry.instead_of):
            client.set_registered_model_alias(audit.name, PREVIOUS, entry.instead_of)
        client.set_registered_model_alias(audit.name, PRODUCTION, entry.version)
        for key, value in _tags(entry).items():
            client.set_model_version_tag(audit.name, entry.version, key, value)
    audit.settle(kept)


def _exists(client: MlflowClient, name: str, version: str) -> bool:
    """Return whether a version was not deleted since."""
    try:
        client.get_model_version(name, version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def acknowledge(client: MlflowClient, audit: Audit) -> None:
    """Add a row where production was moved by other hands since the last one."""
    now = aliases_of(client, audit.name).get(PRODUCTION, "")
    known = audit.last.version if audit.last else ""
    if now == known:
        return
    tags = client.get_model_version(audit.name, now).tags if now and not audit.last else {}
    because = (
        "moved by other means than `vertebra-ml`" if audit.last
        else f"in production before this audit: {tags.get('promoted_because', 'no reason kept')}"
    )  # fmt: skip
    who = tags.get("promoted_by", "unknown")
    audit.commit(Entry("", moment(), FOUND, now, known, who, because[:REASON_MAX]))
    audit.settle(audit.checked())


def _tags(entry: Entry) -> dict[str, str]:
    rolled = "rollback: " if entry.action == ROLLED_BACK else ""
    return {
        "promoted": entry.moment,
        "promoted_by": entry.by,
        "promoted_because": f"{rolled}{entry.because}",
        "promoted_instead_of": entry.instead_of or "nothing",
        "promoted_forced": entry.forced,
        "promoted_verdict": entry.verdict or "not compared",
        "promoted_row": f"{entry.number} {entry.chain}",
    }


def moment() -> str:
    """Return the time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def person() -> str:
    """Return who is at work, by the name of the account."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user id has no name
        return "unknown"
