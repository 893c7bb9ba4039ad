"""The stages: their dependencies cover the code they run, and each ends in what it should."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.closure import closure
from vertebra_ml.tracking.provenance import ANSWERS
from vertebra_ml.two_stage.architectures import ARCHITECTURES

ROOT = Path(__file__).parents[2]
KINDS = ("slice_spotter", "two_stage")


def _stages() -> dict[str, dict[str, Any]]:
    """Return every stage of ``dvc.yaml`` as DVC makes it of the groups: one a kind."""
    stages = {}
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        if "do" in stage:
            each = {kind: _filled(stage["do"], kind, stage["foreach"][kind]) for kind in KINDS}
            assert set(stage["foreach"]) == set(KINDS)
        elif "matrix" in stage:
            assert stage["matrix"] == {"kind": list(KINDS)}
            each = {kind: _filled(stage, kind, {"kind": kind}) for kind in KINDS}
        else:
            stages[name] = stage
            continue
        stages |= {f"{name}@{kind}": made for kind, made in each.items()}
    return stages


def _filled(stage: dict[str, Any], kind: str, item: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(stage).replace("${key}", kind)
    for name, value in item.items():
        for i, one in enumerate(value if isinstance(value, list) else [value]):
            place = f"[{i}]" if isinstance(value, list) else ""
            text = text.replace(f"${{item.{name}{place}}}", one)
    assert "${" not in text
    filled: dict[str, Any] = json.loads(text)
    return filled


STAGES = _stages()

LEFT_OUT = {
    "vertebra_ml.config": "it mirrors params.yaml, whose values DVC follows one by one",
    "vertebra_ml.errors": "the words of a refusal change no product",
    "vertebra_ml.refused": "... nor do these",
    "vertebra_ml.leash": "it ends a process whose owner was killed, and changes no product",
    "vertebra_ml.many": "which process does the work changes no product",
    "vertebra_ml.tracking": "it watches a training and its products, and changes neither",
}
JUDGES = {
    "train": ("vertebra_ml.limits", "pipelines.split", "pipelines.facts"),
}
"""What stops a stage and changes none of its products: other words of a rule retrain nothing."""
UNASKED = {
    "train@two_stage": (
        "vertebra_ml.models.slice_spotter",
        "vertebra_ml.two_stage.localiser",
        *(entry.load.partition(":")[0] for entry in ARCHITECTURES.values()),
    ),
}
"""What a stage's code leads to and its products do not hang on: a training copies the slice
spotter's folder, which is a dependency, and asks neither it nor what it teaches itself."""
OTHERS = {
    "slice_spotter": ("vertebra_ml.two_stage", "pipelines.teach_two_stage"),
    "two_stage": ("vertebra_ml.models.fitting", "pipelines.teach_slice_spotter"),
}  # fmt: skip
"""Where a kind's way parts from another's: named in tables that all kinds share."""
NETWORKS = tuple(
    address.partition(":")[0]
    for entry in ARCHITECTURES.values()
    for address in (entry.learn, entry.load, entry.untrained)
)
"""What learns and reads does not change what is cut."""
GATES = {
    "validate": "raw", "split": "split", "project": "mips", "phantoms": "phantoms",
    **{f"train@{kind}": f"inputs-{kind}" for kind in KINDS},
    **{f"evaluate@{kind}": f"metrics-{kind}" for kind in KINDS},
}  # fmt: skip


def _paths(entries: list[object]) -> list[str]:
    return [str(next(iter(e))) if isinstance(e, dict) else str(e) for e in entries]


def _script(name: str) -> str:
    words = STAGES[name]["cmd"].split()
    assert words[:2] == ["python", "-m"]
    return str(words[2])


def _left_out(name: str) -> tuple[str, ...]:
    stage, _, kind = name.partition("@")
    other = NETWORKS if stage == "samples" else OTHERS.get(kind, ())
    return (*LEFT_OUT, *JUDGES.get(stage, ()), *UNASKED.get(name, ()), *other)


def _covers(dependency: str, path: Path) -> bool:
    return path == Path(dependency) or Path(dependency) in path.parents


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_cover_the_code(name: str) -> None:
    dependencies = _paths(STAGES[name]["deps"])
    needed = [
        path
        for path in closure(_script(name), ROOT, without=_left_out(name))
        if path.name != "__init__.py" or path.parts[1:-1]  # the packages' own hold a docstring
    ]
    missing = [str(p) for p in needed if not any(_covers(d, p) for d in dependencies)]
    assert not missing, f"{name} runs through {sorted(missing)}"


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_are_there_and_used(name: str) -> None:
    code = [
        d for d in _paths(STAGES[name]["deps"]) if d.split("/")[0] in ("vertebra_ml", "serving")
    ]
    run = closure(_script(name), ROOT, without=_left_out(name))
    unused = [d for d in code if not any(_covers(d, path) for path in run)]
    assert not unused or name.startswith("publish"), f"{name} does not run through {unused}"
    assert all((ROOT / d).exists() for d in code)


def test_no_kind_hangs_on_what_another_learns_from() -> None:
    kinds = {kind: set(_paths(STAGES[f"train@{kind}"]["deps"])) for kind in KINDS}
    assert {"prepared/mips", "prepared/phantoms", "vertebra_ml/models"}.isdisjoint(
        kinds["two_stage"]
    )
    assert {"prepared/detection", "prepared/identification", "vertebra_ml/two_stage"}.isdisjoint(
        kinds["slice_spotter"]
    )
    assert "models/slice_spotter" in kinds["two_stage"]  # the copy that it carries
    assert "models.two_stage" not in STAGES["train@slice_spotter"]["params"]
    assert "projection" not in STAGES["train@two_stage"]["params"]


def test_samples_have_a_gate_for_each_network() -> None:
    outs = _paths(STAGES["samples"]["outs"])
    for gate in ("detection", "identification"):
        for suffix in ("html", "json", "verdict.json"):
            assert f"reports/validation/{gate}.{suffix}" in outs


@pytest.mark.parametrize(("stage", "gate"), GATES.items())
def test_stages_that_make_data_end_in_a_gate(stage: str, gate: str) -> None:
    outs = _paths(STAGES[stage]["outs"])
    for suffix in ("html", "json", "verdict.json"):
        assert f"reports/validation/{gate}.{suffix}" in outs


def test_only_the_package_docstrings_are_exempt() -> None:
    for package in ("vertebra_ml", "pipelines"):
        text = (ROOT / package / "__init__.py").read_text().strip()
        assert text.startswith('"""')
        assert text.endswith('"""')
        assert text.count('"""') == 2


@pytest.mark.parametrize("kind", KINDS)
def test_publish_hangs_on_all_that_a_version_is_known_by(kind: str) -> None:
    """Answers may change where no number of ``metrics.json`` does."""
    held = _paths(STAGES[f"publish@{kind}"]["deps"])
    assert {f"models/{kind}", f"reports/{kind}/{ANSWERS}"} <= set(held)
