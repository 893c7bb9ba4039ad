"""Kill -9 at random moments in the pipeline, a search and a promotion, then do the same again.

    python -m benchmarks.kills [--kills 30] [--seed 6] [--parts pipeline,search,promotion] [--all]

For each part a small project (that of the pipeline's tests) is got ready and goes through it twice:
once undisturbed, then killed again and again, each time with every process that it started, and
repeated as a person would: by the same command, after ``python -m pipelines.mend`` as in ``make
repro``. In the end both must hold the same: outputs by content, runs, packed models, versions,
aliases, the audit. Moments are drawn from the seed, uniformly over the time undisturbed.

The pipeline is that of the slice spotter without phantoms; with ``--all`` it is whole.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.kills.killing import Attempt, Moment, attempt
from tests.pipelines.conftest import ROOT, change_params, make_project

NAME = "spotter"  # of the versions that a test of the store registers
MEND = (sys.executable, "-m", "pipelines.mend")
SHARES = {"pipeline": 16, "search": 7, "promotion": 7}
"""How the kills are dealt."""
A_ROUND = 16
"""Kills on the way to one end; then it is looked at, and a new round begins."""
ROUNDS_MAX = 12
TUNING = {"tuning.slice_spotter.trials": 4, "tuning.slice_spotter.short": {"epochs": 1}}
NO_PHANTOMS = {
    "phantoms.train": {"trunks": 0, "scans": 0}, "phantoms.validation": {"trunks": 0, "scans": 0},
    "evaluate.phantoms": 0, "monitor.phantoms": 0,
}  # fmt: skip

Command = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Commands that a person gives one after the other, and what gets a project ready for them."""

    name: str
    prepare: Callable[[Path], None]
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Seen:
    """An undisturbed run: what each command was like, and what it all left."""

    attempts: tuple[Attempt, ...]
    held: dict[str, Any]


@dataclass
class Told:
    """What came of the kills."""

    kills: int = 0
    mended: int = 0
    faults: list[str] = field(default_factory=list)


def promoting(*words: str) -> Command:
    """Return a command on the registered model."""
    # The project's own copy of the code, as its stages run: not that which is installed.
    program = "from vertebra_ml.cli import app; app()"
    return ("python", "-c", program, words[0], NAME, *words[1:])


def whole(project: Path) -> None:
    """Write the project with its data, as after a clone."""
    make_project(project)
    change_params(project, TUNING)
    for words in (("git", "init", "-q"), ("dvc", "add", "-q", "data")):
        done(attempt(words, project))


def lay_out(project: Path) -> None:
    """... without phantoms, which take most of the time."""
    whole(project)
    change_params(project, NO_PHANTOMS)


def with_inputs(project: Path) -> None:
    """... and with what a search learns from."""
    lay_out(project)
    done(attempt(("dvc", "repro", "project", "phantoms"), project))


def with_versions(project: Path) -> None:
    """... and with two registered versions."""
    lay_out(project)
    code = "import sys; from pathlib import Path; from tests.kills.toy import two_versions;"
    elsewhere(code + "two_versions(Path(sys.argv[1]))", str(project))


PARTS = (
    Part("pipeline", lay_out, (("dvc", "repro", "publish@slice_spotter"),)),
    Part("search", with_inputs, (("python", "-m", "pipelines.tune", "slice_spotter"),)),
    Part(
        "promotion",
        with_versions,
        (
            promoting("promote", "--version", "1", "--reason", "the first one"),
            promoting("promote", "--version", "2", "--force", "--reason", "trained for longer"),
            promoting("rollback", "--reason", "killed on the way"),
        ),
    ),
)


WHOLE = Part("pipeline", whole, (("dvc", "repro"),))


def main() -> int:
    """Run the parts; return the exit status: 1 where something was not recovered."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=sum(SHARES.values()))
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--parts", default=",".join(SHARES))
    parser.add_argument("--all", action="store_true", help="the whole pipeline, with phantoms")
    parser.add_argument("--folder", type=Path, help="an empty one; default: a temporary one")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    every = (WHOLE, *PARTS[1:]) if chosen.all else PARTS
    parts = [part for part in every if part.name in chosen.parts.split(",")]
    all_told = sum(SHARES[part.name] for part in parts)
    told = Told()
    print(f"seed {chosen.seed}\n\n| part | kill | in | after | mended first |\n{'|---' * 5}|")
    for part in parts:
        project, start = folder / part.name, folder / f"{part.name}-start"
        part.prepare(project)
        copy(project, start)
        seen = undisturbed(part, project)
        kills = round(chosen.kills * SHARES[part.name] / all_told)
        rng = random.Random(f"{chosen.seed} {part.name}")
        disturb(part, (project, start), seen, kills, rng, told)
    return conclude(told)


def copy(source: Path, target: Path) -> None:
    """Put a project where another lies: paths in its tracking store are absolute."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def undisturbed(part: Part, project: Path) -> Seen:
    """Run a part to its end."""
    return Seen(tuple(done(attempt(words, project)) for words in part.commands), held(project))


def disturb(
    part: Part, places: tuple[Path, Path], seen: Seen, kills: int, rng: random.Random, told: Told
) -> None:
    """Go through a part in rounds until it was killed so often; ``places``: project, its start."""
    project, start = places
    due = kills
    for _ in range(ROUNDS_MAX):
        if not due:
            return
        copy(start, project)
        due -= a_round(part, project, seen, min(due, A_ROUND), rng, told)
        told.faults += [f"{part.name}: {line}" for line in differences(seen.held, held(project))]
    told.faults.append(f"{part.name}: {due} kills came too late in {ROUNDS_MAX} rounds")


def a_round(
    part: Part, project: Path, seen: Seen, kills: int, rng: random.Random, told: Told
) -> int:
    """Go through a part once, killed at random moments; return how often it was."""
    moments = drawn(seen, kills, rng)
    killed = 0
    for words, planned in zip(part.commands, moments, strict=True):
        while True:
            mended = attempt(MEND, project).said.strip().replace("\n", "; ")
            moment = planned.pop(0) if planned else None
            result = attempt(words, project, moment)
            told.mended += bool(mended)
            if result.status is not None:
                done(result)
                break
            killed, told.kills = killed + 1, told.kills + 1
            stage = result.begun[-1][0] if result.begun else shown(words)
            said = f"{result.seconds:.1f} s"
            print(f"| {part.name} | {told.kills} | {stage} | {said} | {mended} |", flush=True)
            told.faults += [f"{part.name}: still running: {line}" for line in left(project)]
    return killed


def shown(words: Command) -> str:
    """Return what a command does, in a word or two."""
    return next((word for word in words if word in ("promote", "rollback")), " ".join(words[1:3]))


def drawn(seen: Seen, kills: int, rng: random.Random) -> list[list[Moment]]:
    """Draw moments for each command, uniformly over the seconds that all took undisturbed."""
    planned: list[list[Moment]] = [[] for _ in seen.attempts]
    ends = [sum(a.seconds for a in seen.attempts[: i + 1]) for i in range(len(seen.attempts))]
    for at in sorted(rng.uniform(0, ends[-1]) for _ in range(kills)):
        number = next(i for i, end in enumerate(ends) if at <= end)
        result = seen.attempts[number]
        planned[number].append(moment_at(result, at - ends[number] + result.seconds))
    return planned


def moment_at(result: Attempt, at: float) -> Moment:
    """Return the moment ``at`` seconds into a command, told by the stage that it was in then."""
    before = [stage for stage, begin in result.begun if begin <= at]
    if not before:
        return Moment(at)
    names = tuple(stage for stage, _ in result.begun)
    number = len(before) - 1
    return Moment(at - result.begun[number][1], names[number:])


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Return a line for each thing that is not as after the undisturbed run."""
    lines = []
    for name, value in wanted.items():
        other = found[name]
        if isinstance(value, dict):
            keys = [key for key in {**value, **other} if value.get(key) != other.get(key)]
            lines += [f"{name} {k}: {other.get(k)} instead of {value.get(k)}" for k in keys]
        elif value != other:
            lines.append(f"{name}: {other} instead of {value}")
    return lines


def held(project: Path) -> dict[str, Any]:
    """Return all that two ends are compared by."""
    code = "import json, sys; from pathlib import Path; from tests.kills.looking import held;"
    code += "print(json.dumps(held(Path(sys.argv[1]), sys.argv[2])))"
    result: dict[str, Any] = json.loads(elsewhere(code, str(project), NAME).splitlines()[-1])
    return result


def elsewhere(code: str, *words: str) -> str:
    """Run Python in a process of its own: MLflow keeps a database open, which is replaced here."""
    said = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return said.stdout if not said.returncode else sys.exit(said.stderr[-3000:])


def left(project: Path) -> list[str]:
    """Return the commands of processes that still work in a project."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(project):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def done(result: Attempt) -> Attempt:
    """Return a command's result. Exits with what it said where it failed."""
    if result.status != 0:
        sys.exit(f"exit status {result.status}:\n{result.said[-3000:]}")
    return result


def conclude(told: Told) -> int:
    """Print what came of it all; return the exit status."""
    print(f"\n{told.kills} kills; {told.mended} times something was mended before the next start")
    print("\n".join(told.faults) or "all recovered: the same as undisturbed")
    return 1 if told.faults else 0


if __name__ == "__main__":
    sys.exit(main())
