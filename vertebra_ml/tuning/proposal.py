"""What a search came to, and the command that would try it in full: a person decides."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vertebra_ml.tuning.space import Space, tidy

OBJECTIVE = "validation error of the best epoch, as training chooses it (sum over networks)"


@dataclass(frozen=True)
class Row:
    """One trial of the table: ``error`` is None where it failed, which ``failure`` then says."""

    trial: str
    error: float | None
    failure: str
    values: dict[str, Any]
    run: str


def rows_of(space: Space, trials: Sequence[Any], runs: Mapping[str, Any]) -> list[Row]:
    """Return a row for each trial that ended, in the order in which they were begun.

    ``trials`` are keras-tuner's, ``runs`` the nested runs of the tracking store by trial.
    """
    found = []
    for trial in trials:
        run = runs.get(trial.trial_id)
        done = trial.status == "COMPLETED"
        found.append(
            Row(
                trial=trial.trial_id,
                error=float(f"{trial.score:.6g}") if done else None,
                failure="" if done else (run.data.tags.get("failure", "") if run else ""),
                values=space.chosen(trial.hyperparameters.values) | _part(trial),
                run=run.info.run_id if run else "",
            )
        )
    return found


def best_of(rows: Sequence[Row]) -> Row | None:
    """Return the row of least error; None where every trial failed."""
    done = [row for row in rows if row.error is not None]
    return min(done, key=lambda row: row.error or 0.0, default=None)


def proposal(space: Space, rows: Sequence[Row], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``tuning.json``; ``facts`` stand in it as they are."""
    best = best_of(rows)
    current = {name: tidy(value) for name, value in space.current().items()}
    as_they_are = next((row for row in rows if _settings(space, row) == current), None)
    return {
        **facts,
        "kind": space.kind,
        "search": space.search.search,
        "objective": OBJECTIVE,
        "short": dict(space.search.short),
        "current": {"values": current, "error": as_they_are.error if as_they_are else None},
        "best": asdict(best) if best else None,
        "failed": sum(row.error is None for row in rows),
        "command": command(space, best),
        "trials": [asdict(row) for row in rows],
    }


def command(space: Space, best: Row | None) -> str:
    """Return the line that trains in full with the best values; "" where they are those we have."""
    if best is None:
        return ""
    current = {name: tidy(value) for name, value in space.current().items()}
    changed = {k: v for k, v in _settings(space, best).items() if v != current[k]}
    words = [f"-S models.{space.kind}.{name}={_said(value)}" for name, value in changed.items()]
    name = f"tuned-{space.kind.replace('_', '-')}"
    return " ".join(["dvc exp run", f"-n {name}", *words]) if words else ""


def said(space: Space, content: Mapping[str, Any]) -> str:
    """Return the proposal in a few lines for the terminal."""
    best, current = content["best"], content["current"]["error"]
    lines = [f"{len(content['trials'])} trials, {content['failed']} of them failed"]
    if best is None:
        return lines[0]
    beside = "" if current is None else f" (the settings as they are: {current:.4g})"
    lines.append(f"best: trial {best['trial']}, error {best['error']:.4g}{beside}")
    lines.append(", ".join(f"{name} {value}" for name, value in best["values"].items()))
    if content["command"]:
        lines += ["to train with it in full, if you want to:", f"  {content['command']}"]
    else:
        lines.append("these are the settings as they are: nothing to change")
    return "\n".join(lines)


def as_text(content: Mapping[str, Any]) -> str:
    """Return ``tuning.json``."""
    return json.dumps(content, indent=1)


def _settings(space: Space, row: Row) -> dict[str, Any]:
    return {name: row.values[name] for name in space.search.space if name in row.values}


def _part(trial: Any) -> dict[str, Any]:
    """Return the epochs that Hyperband gave a trial."""
    values = trial.hyperparameters.values
    return {"epochs of this trial": values["tuner/epochs"]} if "tuner/epochs" in values else {}


def _said(value: Any) -> str:
    return shlex.quote(str(value).lower() if isinstance(value, bool) else str(value))
