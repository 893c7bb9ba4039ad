"""A store made ready for a group, and what a member is told of it."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import unquote, urlsplit

from vertebra_ml.errors import ModelError
from vertebra_ml.tracking.addresses import database_file, on_postgresql, shown
from vertebra_ml.tracking.store import experiment_id, open_store, set_root


@dataclass(frozen=True)
class Ready:
    """A store that can be used: its address without password, where artifacts go, what locks it."""

    address: str
    artifacts: str
    locked_by: str


def make_ready(uri: str | None, *, experiment: str, artifacts: str | Path = "") -> Ready:
    """Open a store, make what is missing in it, and try what a member of the group must be able to.

    ``artifacts`` as for ``store.set_root``; made ready again, nothing changes.

    Raises ModelError where the store cannot be opened, has no root of artifacts or another one, or
    where that is a folder in which this person cannot write.
    """
    client = open_store(uri)
    set_root(client, artifacts)
    place = str(client.get_experiment(experiment_id(client, experiment)).artifact_location)
    if place.startswith("file:"):
        _try_writing(Path(unquote(urlsplit(place).path)))
    return Ready(shown(client.tracking_uri), place, _locked_by(client.tracking_uri))


def _try_writing(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ModelError(
            folder,
            found=error.strerror or type(error).__name__,
            expected="a folder of artifacts in which every member of the group can write",
            fix="mount it here under this name, and let its group write (docs/group.md)",
        ) from error


def _locked_by(uri: str) -> str:
    if on_postgresql(uri):
        return "the PostgreSQL server, for every machine"
    database = database_file(uri)
    if database is not None:
        return f"{database}.lock, for every process on this machine"
    return "a file of this user on this machine: do not publish or promote from two at once"
