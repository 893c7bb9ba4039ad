"""Small files kept with a run, read back."""

import tempfile
from pathlib import Path, PurePosixPath

from mlflow import MlflowClient


def read_kept(client: MlflowClient, run_id: str, path: str) -> bytes | None:
    """Return the content of a run's artifact; None where it is not there."""
    folder = PurePosixPath(path).parent
    known = client.list_artifacts(run_id, None if folder == PurePosixPath() else str(folder))
    if not any(file.path == path and not file.is_dir for file in known):
        return None
    with tempfile.TemporaryDirectory() as place:
        return Path(client.download_artifacts(run_id, path, place)).read_bytes()
