"""What test cases an evaluation speaks of, by ``dvc.lock``."""

from pathlib import Path

import pytest
import yaml

from vertebra_ml.tracking.inputs import evaluated_on
from vertebra_ml.tracking.provenance import md5

REPORTS = Path("reports/spotter")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write a table and a lock file that names it."""
    (tmp_path / REPORTS).mkdir(parents=True)
    (tmp_path / REPORTS / "table.csv").write_text("case\n")
    (tmp_path / "prepared").mkdir()
    write_lock(tmp_path)
    return tmp_path


def write_lock(project: Path, *, data: str = "1.dir", code: str = "2", phantoms: int = 4) -> None:
    table = f"{REPORTS}/table.csv"
    stage = {
        "deps": [{"path": "data", "md5": data}, {"path": "vertebra_ml/chain", "md5": code}],
        "params": {"params.yaml": {"seed": 1, "evaluate": {"phantoms": phantoms, "gross_mm": 20}}},
        "outs": [{"path": table, "md5": md5(project / table)}],
    }
    stages = {"index": {"outs": [{"path": "x", "md5": "3"}]}, "evaluate@spotter": stage}
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))


def test_only_what_makes_the_cases_counts(project: Path) -> None:
    first = evaluated_on(project, REPORTS)
    assert len(first) == 16
    write_lock(project, code="other")
    assert evaluated_on(project, REPORTS) == first
    for changed in ({"data": "other.dir"}, {"phantoms": 5}):
        write_lock(project, **changed)
        assert evaluated_on(project, REPORTS) not in (first, "")


def test_a_lock_of_other_reports_says_nothing(project: Path) -> None:
    (project / REPORTS / "table.csv").write_text("another\n")
    assert evaluated_on(project, REPORTS) == ""
    for text in ("", "[]", "{", "stages: {}"):
        (project / "dvc.lock").write_text(text)
        assert evaluated_on(project, REPORTS) == ""
    assert evaluated_on(project / "nowhere", REPORTS) == ""
