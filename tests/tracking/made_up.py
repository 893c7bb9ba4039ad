"""Made-up evaluations, and versions registered with them in a real store without a packed model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from vertebra_ml import tracking
from vertebra_ml.tracking.comparison import Comparison, Rule
from vertebra_ml.tracking.evidence import (
    COLUMNS,
    NO_SCANS,
    SCAN_COLUMNS,
    Scored,
    read_table,
)
from vertebra_ml.tracking.store import experiment_id, open_store

NAME = "spotter"
LEVELS = ("T12", "L3")
MARGIN = {"gross_rate": 0.02, "id_rate": 0.02, "presence_right": 0.02, "median_mm": 0.5}
RULE = Rule(gross_mm=20.0, draws=400, seed=3, margin=MARGIN)

Errors = Mapping[str, Sequence[float | None]]
"""mm for each of ``LEVELS``, by case; None where the level is there and was not found."""


def errors(count: int = 40, moved_mm: float = 0.0, gross: int = 0, silent: int = 0) -> Errors:
    """Return errors of 1 to 3 mm, moved; the first cases gross, or the last ones not found."""
    made: dict[str, Sequence[float | None]] = {}
    for place in range(count):
        usual = 1 + (place * 7 % count) / count * 2 + moved_mm
        found = [usual + 30 * (place < gross), usual]
        made[f"case-{place:03d}"] = [None, None] if place >= count - silent else found
    return made


def table(made: Errors, levels: Sequence[str] = LEVELS) -> str:
    """Return ``table.csv``; truths depend on case and level alone."""
    rows = [",".join(COLUMNS)]
    for case, values in made.items():
        for level, error in zip(levels, values, strict=False):
            height = int(hashlib.md5(f"{case} {level}".encode()).hexdigest()[:4], 16) / 100
            shown = "" if error is None else f"{error:.6f}"
            rows.append(f"verse,{case},{level},True,{height},5.0,{error is not None},{shown}")
    return "\n".join(rows) + "\n"


def scans(identified: Mapping[str, int], labelled: int = 10) -> str:
    """Return ``scans.csv``."""
    rows = [f"verse,{case},{labelled},{count}" for case, count in identified.items()]
    return "\n".join([",".join(SCAN_COLUMNS), *rows]) + "\n"


def as_scored(made: Errors | str, named: str = NO_SCANS, version: str = "1") -> Scored:
    """Return an evaluation as it is read back."""
    text = made if isinstance(made, str) else table(made)
    return Scored(
        version,
        read_table(text.encode(), "made up", COLUMNS),
        read_table(named.encode(), "made up", SCAN_COLUMNS),
    )


@dataclass
class Registry:
    """A real store, and short ways to fill and to read it."""

    uri: str
    name: str = NAME

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, registry_uri=self.uri)

    def register(self, made: Errors, *, gate: str = "passed", named: str = NO_SCANS) -> str:
        """Register a version with the tables of its evaluation; nothing is packed."""
        client = open_store(self.uri)
        run = client.create_run(experiment_id(client, "made up"))
        for file, text in (("table.csv", table(made)), ("scans.csv", named)):
            client.log_text(run.info.run_id, text, f"reports/{file}")
        return self._add(run.info.run_id, gate)

    def also(self, name: str) -> "Registry":
        """Return a model of another name with the same versions, none promoted."""
        other = Registry(self.uri, name)
        known = self.client.search_model_versions(f"name = '{self.name}'")
        for version in sorted(known, key=lambda each: int(each.version)):
            other._add(version.run_id, "passed")
        return other

    def _add(self, run: str, gate: str) -> str:
        client = self.client
        if not client.search_registered_models(f"name = '{self.name}'"):
            client.create_registered_model(self.name)
        place = f"{client.get_run(run).info.artifact_uri}/model"
        version = client.create_model_version(self.name, place, run, tags={"gate": gate})
        return str(version.version)

    def promote(self, version: str, reason: str = "better", **how: object) -> str:
        how.setdefault("weighing", tracking.Weighing(RULE))
        return tracking.promote(self.name, reason=reason, version=version, uri=self.uri, **how)

    def rollback(self, reason: str = "wrong in T12") -> str:
        return tracking.rollback(self.name, reason=reason, uri=self.uri)

    def weigh(self, version: str) -> Comparison | None:
        return tracking.weigh(self.name, tracking.Weighing(RULE), version=version, uri=self.uri)[1]

    def aliases(self) -> dict[str, str]:
        held = self.client.get_registered_model(self.name).aliases
        return {alias: str(version) for alias, version in held.items()}

    def tags(self, version: str) -> dict[str, str]:
        return dict(self.client.get_model_version(self.name, version).tags)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return action, version, instead_of and forced of each row of the audit."""
        entries, _ = tracking.audit_of(self.name, self.uri)
        return [(e.action, e.version, e.instead_of, e.forced) for e in entries]

    def audit_run(self) -> str:
        known = self.client.get_experiment_by_name("promotions")
        (run,) = self.client.search_runs([known.experiment_id], f"tags.audit = '{self.name}'")
        return str(run.info.run_id)

    def audit_file(self) -> Path:
        """Return ``audit.csv`` as it lies in the store's artifacts."""
        folder = self.client.get_run(self.audit_run()).info.artifact_uri
        return Path(folder.removeprefix("file://")) / "audit.csv"

    def state(self) -> object:
        """Return all that a command could change."""
        client = self.client
        experiments = client.search_experiments()
        runs = client.search_runs([each.experiment_id for each in experiments])
        known = client.search_model_versions(f"name = '{self.name}'")
        return (
            self.aliases(),
            sorted((each.version, sorted(each.tags.items())) for each in known),
            sorted((run.info.run_id, sorted(run.data.tags.items())) for run in runs),
            sorted(len(client.list_artifacts(run.info.run_id)) for run in runs),
        )
