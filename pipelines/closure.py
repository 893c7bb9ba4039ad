"""Which of the project's own files a module runs through: its imports, followed to the end.

Found by reading the source, so imports inside functions and literal tables of import strings
(``"vertebra_ml.models.slice_spotter:build"``) count too. A stage's dependencies must cover it, and
the key of a cache of products is made from it.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("vertebra_ml", "pipelines", "serving")
_NAMED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")


def closure(module: str, root: Path = ROOT, without: tuple[str, ...] = ()) -> set[Path]:
    """Return the files, relative to ``root``, that importing and calling ``module`` can run.

    Modules and packages named in ``without`` are left out, with whatever only they lead to.
    """
    seen: set[Path] = set()
    todo = list(_files(module, root))
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            names = _imported(root / path, root)
            names = {name for name in names if not _within(name, without)}
            todo += [file for name in names for file in _files(name, root)]
    return seen


def code_hash(modules: Iterable[str], root: Path = ROOT, without: tuple[str, ...] = ()) -> str:
    """Return a digest of every file that ``modules`` can run, by name and content."""
    files = sorted(set().union(*(closure(module, root, without) for module in modules)))
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.as_posix()}\0".encode() + (root / path).read_bytes())
    return digest.hexdigest()


def _files(module: str, root: Path) -> Iterator[Path]:
    """Yield the module's file and those of the packages above it; nothing for a foreign name."""
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        base = Path(*parts[:length])
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if (root / path).is_file():
                yield path


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _imported(path: Path, root: Path) -> set[str]:
    names: set[str] = set()
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= {name for name in _NAMED.findall(node.value) if " " not in node.value}
    return {name for name in names if name.split(".")[0] in PACKAGES}
