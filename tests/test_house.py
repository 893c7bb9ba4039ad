"""Guards of the house itself: floors, closed doors, room sizes, one source of settings."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from vertebra_ml.config import load

ROOT = Path(__file__).parent.parent
LIBRARY = sorted(
    path for room in ("vertebra_ml", "pipelines", "serving") for path in (ROOT / room).rglob("*.py")
)
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 40

DOORS = {  # package: the files that may import it
    "keras": ("vertebra_ml/models/", "vertebra_ml/two_stage/"),
    "tensorflow": ("vertebra_ml/models/program.py",),  # one program for all sizes
    "keras_tuner": ("vertebra_ml/tuning/oracle.py", "vertebra_ml/tuning/search.py"),
    "mlflow": ("vertebra_ml/tracking", "serving/"),
    "great_expectations": (
        "vertebra_ml/limits/ephemeral.py",
        "vertebra_ml/limits/gate.py",
        "vertebra_ml/monitor/rules.py",
    ),
    "pydicom": ("vertebra_ml/readers/",),
    "distributed": ("vertebra_ml/many/cluster.py",),
    "matplotlib": ("vertebra_ml/plots.py", "vertebra_ml/plots/", "vertebra_ml/tuning/chart.py"),
    "pipelines": ("pipelines/",),
}
HEAVY = {"keras", "tensorflow", "mlflow", "great_expectations", "pydicom", "matplotlib", "sklearn",
         "pandas", "scipy", "nibabel", "dvc"}  # fmt: skip


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_there_is_a_library_to_guard() -> None:
    assert len(LIBRARY) > 20


def test_imports_go_down_only() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", LIBRARY, ids=_name)
def test_doors_stay_where_they_are(path: Path) -> None:
    imported = _imports(ast.parse(path.read_text()))
    wrong = [
        package
        for package, rooms in DOORS.items()
        if package in imported and not any(_name(path).startswith(room) for room in rooms)
    ]
    assert not wrong, f"{_name(path)} imports {wrong}"


@pytest.mark.parametrize("path", LIBRARY, ids=_name)
def test_rooms_are_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= MAX_FUNCTION_LINES, f"{_name(path)} {node.name}: {length} lines"


def test_help_opens_no_heavy_door() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from vertebra_ml.cli import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result.output;"
        "print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert HEAVY.isdisjoint(result.stdout.split())


def test_params_mirror_config() -> None:
    assert load(ROOT / "params.yaml").seed >= 0


def test_tracked_text_names_no_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.yaml", "*.toml", "*.html", "*.json", "Makefile"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    machine = (f"{ROOT}/", f"{Path.home()}/")
    holding = [
        name
        for name in listed.stdout.split("\n")
        if name and (ROOT / name).is_file() and any(m in (ROOT / name).read_text() for m in machine)
    ]
    assert not holding
