"""What a project holds when all is done: the same, however often it was killed on the way."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

SECONDS = re.compile(r"(^|[._])seconds$")
"""How long something took: the one thing that may differ between two runs of the same."""
PAGES = (".html",)
"""They show the same numbers, and how long it took."""


def held(project: Path, name: str) -> dict[str, Any]:
    """Return all that two ends are compared by; ``name`` is the registered model of the audit."""
    return {
        "outputs": outputs(project), "broken": torn(project), "litter": litter(project),
        **tracked(project), "audit": audited(project, name),
    }  # fmt: skip


def outputs(project: Path) -> dict[str, str]:
    """Return a digest of every file that ``dvc.lock`` says was made, without what is only time."""
    found = {}
    lock = project / "dvc.lock"
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    for stage in stages.values():
        for out in stage.get("outs", []):
            path = project / out["path"]
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file() and file.suffix not in PAGES:
                    name = file.relative_to(project).as_posix()
                    found[name] = hashlib.sha256(_timeless(file)).hexdigest()[:16]
    return found


def torn(project: Path) -> list[str]:
    """Return what is broken for good: files of DVC's cache that are not what their name says."""
    wrong = []
    for path in (project / ".dvc" / "cache" / "files" / "md5").glob("*/*"):
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if digest != path.parent.name + path.name.removesuffix(".dir"):
            wrong.append(path.relative_to(project).as_posix())
    return wrong


def litter(project: Path) -> list[str]:
    """Return half-written files that lie where somebody would look."""
    return [
        path.relative_to(project).as_posix()
        for root in ("prepared", "models", "reports")
        for path in (project / root).rglob(".*")
        if path.name != ".gitignore"
    ]


def tracked(project: Path) -> dict[str, Any]:
    """Return what the tracking store of a project holds, without ids and times."""
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    uri = f"sqlite:///{project}/mlflow.db"
    client = MlflowClient(uri, registry_uri=uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    named = {e.experiment_id: e.name for e in experiments}
    runs = [run for place in named for run in client.search_runs([place], max_results=1000)]
    models = [model for place in named for model in client.search_logged_models([place])]
    return {
        "runs": Counter(_run(client, run, named[run.info.experiment_id]) for run in runs),
        "models": Counter(f"{m.tags.get('weights_md5')} {m.status}" for m in models),
        "versions": dict(_versions(client)),
    }


def audited(project: Path, name: str) -> list[str]:
    """Return the rows of a model's audit, without times and what is made of them.

    Raises ModelError where a row does not fit those before it.
    """
    from vertebra_ml import tracking

    entries, _ = tracking.audit_of(name, f"sqlite:///{project}/mlflow.db")
    return [
        f"{e.number} {e.action} {e.version} instead of {e.instead_of}: {e.because}, {e.forced}"
        for e in entries
    ]


def _run(client: Any, run: Any, experiment: str) -> str:
    tags = run.data.tags
    said = [tags.get(name, "-") for name in ("kind", "source", "gate", "weights_md5")]
    curves = {
        name: [point.step for point in client.get_metric_history(run.info.run_id, name)]
        for name in sorted(run.data.metrics)
        if name.startswith("epoch/")
    }
    return f"{experiment} {run.info.status} {' '.join(said)} {json.dumps(curves)}"


def _versions(client: Any) -> Iterator[tuple[str, list[str]]]:
    for model in client.search_registered_models():
        held = {str(version): alias for alias, version in sorted(model.aliases.items())}
        yield (
            model.name,
            sorted(
                f"{v.version} {v.tags.get('weights_md5')} {v.tags.get('gate')} "
                f"{held.get(str(v.version), '-')} {v.status}"
                for v in client.search_model_versions(f"name = '{model.name}'")
            ),
        )


def _timeless(file: Path) -> bytes:
    if file.name == "history.csv":
        table = pd.read_csv(file)
        return table.loc[:, [not SECONDS.search(name) for name in table]].to_csv().encode()
    if file.suffix == ".json":
        return json.dumps(_without_seconds(json.loads(file.read_text()))).encode()
    return file.read_bytes()


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_seconds(v) for k, v in value.items() if not SECONDS.search(k)}
    return [_without_seconds(v) for v in value] if isinstance(value, list) else value
