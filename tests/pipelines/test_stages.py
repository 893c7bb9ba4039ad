"""The stages: their dependencies cover the code they run, and each ends in what it should."""

from pathlib import Path

import pytest
import yaml

from pipelines.closure import closure

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

LEFT_OUT = {
    "vertebra_ml.config": "it mirrors params.yaml, whose values DVC follows one by one",
    "vertebra_ml.errors": "the words of a refusal change no product",
    "vertebra_ml.tracking": "it watches a training and its products, and changes neither",
}
JUDGES = {
    "train": ("vertebra_ml.limits", "pipelines.split"),
}
"""What stops a stage and changes none of its products: other words of a rule retrain nothing."""
GATES = {
    "validate": "raw", "split": "split", "project": "mips", "phantoms": "phantoms",
    "train": "inputs-${item.kind}", "evaluate": "metrics-${item.kind}",
}  # fmt: skip


def _paths(entries: list[object]) -> list[str]:
    return [str(next(iter(e))) if isinstance(e, dict) else str(e) for e in entries]


def _script(name: str) -> str:
    words = STAGES[name]["cmd"].split()
    assert words[:2] == ["python", "-m"]
    return str(words[2])


def _covers(dependency: str, path: Path) -> bool:
    return path == Path(dependency) or Path(dependency) in path.parents


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_cover_the_code(name: str) -> None:
    dependencies = _paths(STAGES[name]["deps"])
    needed = [
        path
        for path in closure(_script(name), ROOT, without=(*LEFT_OUT, *JUDGES.get(name, ())))
        if path.name != "__init__.py" or path.parts[1:-1]  # the packages' own hold a docstring
    ]
    missing = [str(p) for p in needed if not any(_covers(d, p) for d in dependencies)]
    assert not missing, f"{name} runs through {sorted(missing)}"


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_are_there_and_used(name: str) -> None:
    code = [
        d for d in _paths(STAGES[name]["deps"]) if d.split("/")[0] in ("vertebra_ml", "serving")
    ]
    run = closure(_script(name), ROOT, without=(*LEFT_OUT, *JUDGES.get(name, ())))
    unused = [d for d in code if not any(_covers(d, path) for path in run)]
    assert not unused or name == "publish", f"{name} does not run through {unused}"
    assert all((ROOT / d).exists() for d in code)


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
