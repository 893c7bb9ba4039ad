"""Promotion, a person's act: which version answers, who decided that, when, why, against what.

Every change is first committed as a row of the audit, then carried out (aliases, tags of the
version, ``audit.csv``), then noted as done. A command that is killed in between is completed by
the next one, whichever that is: so nothing is half done for good, and no row is doubled.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from vertebra_ml.errors import GateError, ModelError
from vertebra_ml.tracking.audit import (
    PROMOTED,
    ROLLED_BACK,
    Audit,
    Entry,
    as_csv,
    open_audit,
    place_of_audits,
    read_audit,
)
from vertebra_ml.tracking.choice import (
    REASON_MAX,
    check_known,
    checked_reason,
    choose,
    told_plainly,
)
from vertebra_ml.tracking.comparison import Comparison
from vertebra_ml.tracking.in_words import as_rows, line_in_words
from vertebra_ml.tracking.registry import PREVIOUS, PRODUCTION, aliases_of
from vertebra_ml.tracking.standing import acknowledge, complete, moment, person
from vertebra_ml.tracking.store import lock, open_store
from vertebra_ml.tracking.weighing import Weighing, compared


def promote(
    name: str,
    *,
    reason: str,
    version: str | None = None,
    uri: str | None = None,
    weighing: Weighing | None = None,
    forced: bool = False,
    only_first: bool = False,
) -> str:
    """Let ``version`` (default: the newest that passed the gate) answer as ``production``.

    It is first held against the version that answers now, on the cases that both were evaluated
    on; ``weighing`` says how, and is not needed where nothing is in production. ``forced`` lets a
    worse one, or one that cannot be compared, pass all the same, which is kept. ``only_first``
    does nothing where a version is in production.

    The version that answered before keeps the alias ``previous``. Who, when, why and instead of
    what are tags of the version and a row of the audit. Returns the version in production
    afterwards; one that is in production already stays, without a row.

    Raises ModelError for an unknown model or version, an empty reason, a comparison that cannot be
    made, or an audit that somebody changed; GateError for a version that did not pass the quality
    gate, or that is worse than the one in production.
    """
    with _writing(name, uri) as (client, audit):
        reason = checked_reason(name, reason)
        complete(client, audit)
        before = aliases_of(client, name).get(PRODUCTION)
        if before and only_first:
            return before
        chosen = choose(client, name, version)
        number = str(chosen.version)
        if before == number:
            return number
        acknowledge(client, audit)
        entry = Entry("", moment(), PROMOTED, number, before or "", person(), reason)
        if before:
            current = client.get_model_version(name, before)
            entry = _weighed(client, audit, entry, (current, chosen), weighing, forced=forced)
        audit.commit(entry)
        complete(client, audit)
        return number


def rollback(name: str, *, reason: str, uri: str | None = None) -> str:
    """Let the version that answered before answer again; returns it.

    The two aliases change places, so that a rollback can itself be undone, for a reason of its
    own: the same command given again, after a kill or not, changes nothing more.

    Raises ModelError where there is no version to go back to, for an empty reason, and for an
    audit that somebody changed; GateError where the version failed its quality gate since.
    """
    with _writing(name, uri) as (client, audit):
        reason = checked_reason(name, reason)
        cut_off = audit.pending
        complete(client, audit)
        held = aliases_of(client, name)
        now, before = held.get(PRODUCTION), held.get(PREVIOUS)
        if now and now == _rolled_back_to(audit, cut_off, reason):
            return now
        if before is None or before == now:
            raise ModelError(
                name,
                found="no earlier version under the alias previous",
                expected="a second promotion before a rollback",
                fix="choose one with `vertebra-ml promote NAME --version V`",
            )
        choose(client, name, before)
        acknowledge(client, audit)
        audit.commit(Entry("", moment(), ROLLED_BACK, before, now or "", person(), reason))
        complete(client, audit)
        return before


def weigh(
    name: str, weighing: Weighing | None, *, version: str | None = None, uri: str | None = None
) -> tuple[str, Comparison | None]:
    """Return the version that ``promote`` would choose and how it compares; changes nothing.

    None where nothing is in production, or that version is. Raises as ``promote`` does for a
    comparison that cannot be made.
    """
    client = open_store(uri)
    with told_plainly(name):
        chosen = choose(client, name, version)
        before = aliases_of(client, name).get(PRODUCTION)
        if before is None or before == str(chosen.version):
            return str(chosen.version), None
        return str(chosen.version), compared(
            client, (client.get_model_version(name, before), chosen), weighing
        )


def in_production(name: str, uri: str | None = None) -> str | None:
    """Return the version under the alias ``production``; None where there is none."""
    client = open_store(uri)
    with told_plainly(name):
        return aliases_of(client, name).get(PRODUCTION)


def audit_of(name: str, uri: str | None = None) -> tuple[list[Entry], str]:
    """Return the rows of a model's audit and its ``audit.csv``; none where nothing happened yet.

    Raises ModelError where either was changed since.
    """
    client = open_store(uri)
    with told_plainly(name):
        audit = read_audit(client, name)
        if audit is None:
            return [], ""
        audit.checked()
        return audit.entries, as_csv(audit.entries)


@contextmanager
def _writing(name: str, uri: str | None) -> Iterator[tuple[MlflowClient, Audit]]:
    """Hold the store's lock, with the audit open; a model that is not there gets no audit."""
    client = open_store(uri)
    with told_plainly(name):
        check_known(client, name)
        place = place_of_audits(client)
        with lock(client.tracking_uri):
            yield client, open_audit(client, place, name)


def _weighed(
    client: MlflowClient,
    audit: Audit,
    entry: Entry,
    pair: tuple[ModelVersion, ModelVersion],
    weighing: Weighing | None,
    *,
    forced: bool,
) -> Entry:
    """Return the row of a promotion with what the comparison found, and keep the comparison.

    Raises where the challenger is worse, or cannot be compared, and is not forced.
    """
    try:
        comparison = compared(client, pair, weighing)
    except ModelError as error:
        if not forced:
            raise
        return replace(entry, forced="yes", verdict=f"not compared: {error.found}"[:REASON_MAX])
    if weighing:
        weighing.tell(comparison)
    if comparison.worse and not forced:
        raise GateError(
            f"{audit.name} version {entry.version}",
            found="; ".join(line_in_words(line) for line in comparison.worse),
            expected=f"no worse than version {entry.instead_of}, which is in production",
            fix="improve it, or promote it with --force and a --reason that says why",
        )
    path, text = f"comparisons/{int(audit.next_number):06d}.csv", as_rows(comparison)
    client.log_text(audit.run_id, text, path)
    return replace(
        entry,
        forced="yes" if comparison.worse else "no",
        verdict=comparison.verdict,
        evidence=path,
        evidence_sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _rolled_back_to(audit: Audit, cut_off: Entry | None, reason: str) -> str | None:
    """Return what production was rolled back to where this command only repeats that."""
    last = audit.last
    if last is None or last.action != ROLLED_BACK:
        return None
    repeated = cut_off is last or (last.by, last.because) == (person(), reason)
    return last.version if repeated else None
