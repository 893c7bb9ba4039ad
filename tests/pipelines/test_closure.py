"""The import closure: every way in which one of our modules reaches another."""

from pathlib import Path

import pytest

from pipelines.closure import closure, code_hash

FILES = {
    "vertebra_ml/__init__.py": "",
    "vertebra_ml/top.py": "import numpy\nfrom vertebra_ml import plain\nimport vertebra_ml.dotted",
    "vertebra_ml/plain.py": "from vertebra_ml.room import thing",
    "vertebra_ml/dotted.py": "def late():\n    from vertebra_ml.hidden import x\n    return x",
    "vertebra_ml/hidden.py": "TABLE = {'a': 'vertebra_ml.named:build'}",
    "vertebra_ml/named.py": "from vertebra_ml import top",  # a circle ends
    "vertebra_ml/room/__init__.py": "from . import inner",
    "vertebra_ml/room/inner.py": "from ..beside import y",
    "vertebra_ml/room/unused.py": "",
    "vertebra_ml/beside.py": "",
    "vertebra_ml/spoken.py": "",
    "vertebra_ml/stranger.py": "'see vertebra_ml.spoken for more'",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_every_way_is_followed(tree: Path) -> None:
    expected = set(FILES) - {
        "vertebra_ml/room/unused.py", "vertebra_ml/stranger.py", "vertebra_ml/spoken.py",
    }  # fmt: skip
    assert {path.as_posix() for path in closure("vertebra_ml.top", tree)} == expected


def test_a_sentence_is_no_import(tree: Path) -> None:
    assert Path("vertebra_ml/spoken.py") not in closure("vertebra_ml.stranger", tree)


def test_what_is_left_out_is_not_followed(tree: Path) -> None:
    left = closure("vertebra_ml.top", tree, without=("vertebra_ml.dotted",))
    assert "vertebra_ml/hidden.py" not in {path.as_posix() for path in left}


@pytest.mark.parametrize(
    ("name", "changes"), [("vertebra_ml/beside.py", True), ("vertebra_ml/stranger.py", False)]
)
def test_hash_follows_the_code_that_runs(tree: Path, name: str, changes: bool) -> None:
    before = code_hash(["vertebra_ml.top"], tree)
    (tree / name).write_text("changed = 1")
    assert (code_hash(["vertebra_ml.top"], tree) != before) is changes
