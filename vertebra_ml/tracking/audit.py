"""The audit of a registered model: who let which version answer, when, why and against what.

Each registered model has one run of its own for it, in the experiment ``promotions``, tagged
``audit`` with the model's name. An entry is committed as one tag of that run (``entry.0001``, ...),
which a database writes whole or not at all; ``audit.csv`` is the artifact made of them, and only
ever grows. Both hold a chain of hashes, so that a changed or lost row shows, whichever of the two
was changed.
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.kept import read_kept
from vertebra_ml.tracking.store import experiment_id

EXPERIMENT: Final = "promotions"
FILE: Final = "audit.csv"
NAME_TAG, SETTLED_TAG, ENTRY_TAG = "audit", "settled", "entry."
PROMOTED, ROLLED_BACK, FOUND = "promoted", "rolled back", "found"
"""What a row says happened; ``found``: in production by other hands than these commands."""


@dataclass(frozen=True)
class Entry:
    """A row of the audit; all text, so that what is hashed is what is read.

    Parameters
    ----------
    number : from 1.
    moment : UTC.
    action : ``promoted``, ``rolled back`` or ``found``.
    version, instead_of : what answers from now on, and what answered before ("" for nothing).
    by, because : who, and the reason given.
    forced : ``yes`` where the comparison was overruled.
    verdict : what the comparison found, in a few words.
    evidence, evidence_sha256 : artifact with the comparison, beside the audit, and its hash.
    chain : SHA-256 over the chain of the row before and all the above.
    """

    number: str
    moment: str
    action: str
    version: str
    instead_of: str
    by: str
    because: str
    forced: str = "no"
    verdict: str = ""
    evidence: str = ""
    evidence_sha256: str = ""
    chain: str = ""

    def linked(self, before: str) -> "Entry":
        """Return this row with its place in the chain, after a row whose chain is ``before``."""
        values = [value for key, value in asdict(self).items() if key != "chain"]
        text = json.dumps([before, *values], ensure_ascii=False)
        return replace(self, chain=hashlib.sha256(text.encode()).hexdigest())


COLUMNS: Final = tuple(field.name for field in fields(Entry))


def as_csv(entries: Sequence[Entry]) -> str:
    """Return the text of ``audit.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(entry) for entry in entries)
    return text.getvalue()


class Audit:
    """The open audit of a registered model; whoever writes holds the store's lock."""

    def __init__(self, client: MlflowClient, name: str, run: Run) -> None:
        self.client, self.name, self.run_id = client, name, str(run.info.run_id)
        self.entries = _entries(name, run.data.tags)
        self.settled = int(run.data.tags.get(SETTLED_TAG, 0))
        if self.settled > len(self.entries):
            raise _changed(name, len(self.entries) + 1)

    @property
    def last(self) -> Entry | None:
        """The newest row."""
        return self.entries[-1] if self.entries else None

    @property
    def pending(self) -> Entry | None:
        """The newest row where what it says was perhaps cut off before it was done."""
        return self.last if self.settled < len(self.entries) else None

    @property
    def next_number(self) -> str:
        """The number of the row to come."""
        return str(len(self.entries) + 1)

    def commit(self, entry: Entry) -> Entry:
        """Add a row, in one write: from here on it happened, and a repeated command ends it."""
        linked = replace(entry, number=self.next_number).linked(_chain(self.entries))
        text = json.dumps(asdict(linked), ensure_ascii=False)
        self.client.set_tag(self.run_id, _tag(linked.number), text)
        self.entries.append(linked)
        return linked

    def settle(self, kept: str) -> None:
        """Bring ``audit.csv``, now ``kept``, up to the rows; note that all they say is done."""
        text = as_csv(self.entries)
        if self.entries and kept != text:
            self.client.log_text(self.run_id, text, FILE)
        if self.settled < len(self.entries):
            self.settled = len(self.entries)
            self.client.set_tag(self.run_id, SETTLED_TAG, str(self.settled))

    def checked(self) -> str:
        """Return ``audit.csv`` as it is. Raises ModelError where its rows are not those recorded.

        Rows that a kill kept out of it may be missing at its end; none may differ.
        """
        text = self._read()
        if not as_csv(self.entries).startswith(text):
            raise ModelError(
                f"{FILE} of {self.name}",
                found="rows that are not those recorded: somebody changed the file",
                expected="every row as it was appended",
                fix=f"find out who and why, and put back what `vertebra-ml audit {self.name} "
                "--csv` prints",
            )
        return text

    def _read(self) -> str:
        # Bytes, so that a changed end of line shows; what is no text differs from any.
        content = read_kept(self.client, self.run_id, FILE) or b""
        return content.decode(errors="backslashreplace")


def place_of_audits(client: MlflowClient) -> str:
    """Return the experiment of all audits; takes the store's lock itself."""
    return experiment_id(client, EXPERIMENT)


def open_audit(client: MlflowClient, place: str, name: str) -> Audit:
    """Return the audit of a registered model, begun where there is none.

    One whose run was deleted by hand is restored. Raises ModelError where rows were changed.
    """
    run = find_run(client, place, name)
    if run is None:
        tags = {NAME_TAG: name, "mlflow.note.content": f"Who promoted which version of {name}."}
        run = client.create_run(place, run_name=f"audit of {name}", tags=tags)
    elif run.info.lifecycle_stage != "active":
        client.restore_run(run.info.run_id)
    if run.info.status == "RUNNING":  # nothing runs here; rows are added all the same
        client.set_terminated(run.info.run_id)
    return Audit(client, name, run)


def read_audit(client: MlflowClient, name: str) -> Audit | None:
    """Return the audit of a registered model for reading; None where there is none."""
    place = client.get_experiment_by_name(EXPERIMENT)
    run = find_run(client, str(place.experiment_id), name) if place else None
    return Audit(client, name, run) if run else None


def find_run(client: MlflowClient, place: str, name: str) -> Run | None:
    """Return the run of an audit, also a deleted one; the first where there are several."""
    found = client.search_runs(
        [place],
        f"tags.{NAME_TAG} = '{name}'",
        run_view_type=ViewType.ALL,
        order_by=["attributes.start_time ASC"],
        max_results=1,
    )
    return found[0] if found else None


def _entries(name: str, tags: dict[str, str]) -> list[Entry]:
    """Read the rows out of a run's tags. Raises ModelError where one was changed or is lost."""
    rows: list[Entry] = []
    for key in sorted(key for key in tags if key.startswith(ENTRY_TAG)):
        number = str(len(rows) + 1)
        try:
            entry = Entry(**json.loads(tags[key]))
            whole = key == _tag(number) and entry.number == number
            whole = whole and entry == entry.linked(_chain(rows))
        except (ValueError, TypeError):
            whole = False
        if not whole:
            raise _changed(name, int(number))
        rows.append(entry)
    return rows


def _changed(name: str, number: int) -> ModelError:
    return ModelError(
        f"audit of {name}",
        found=f"row {number} changed or lost: it does not fit the chain of hashes",
        expected="every row as it was appended",
        fix=f"find out who and why; {FILE} of the run may still hold the row",
    )


def _chain(entries: Sequence[Entry]) -> str:
    return entries[-1].chain if entries else ""


def _tag(number: str) -> str:
    return f"{ENTRY_TAG}{int(number):06d}"
