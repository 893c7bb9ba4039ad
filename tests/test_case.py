"""Cases: ids that can name files, and nothing else."""

from pathlib import Path

import pytest

from vertebra_ml.case import Case, safe_id
from vertebra_ml.errors import DatasetError


@pytest.mark.parametrize("name", ["p1", "sub-verse004_split-1", "A.b-c_9", "1"])
def test_ids_that_can_name_files_stay_as_they_are(name: str) -> None:
    assert Case(name, name, Path("x"), "plain").id == name
    assert safe_id(name) == name


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "é", "a\n", "-x", "x" * 201])
def test_others_are_refused_and_can_be_made_safe(name: str) -> None:
    with pytest.raises(DatasetError, match=r"found the id .*; expected letters, digits"):
        Case(name, "p", Path("x"), "plain")
    with pytest.raises(DatasetError, match="found the id"):
        Case("p", name, Path("x"), "plain")
    made = safe_id(name)
    assert Case(made, made, Path("x"), "plain").id == made


def test_a_case_without_labels_has_no_truth() -> None:
    assert Case("p", "p", Path("x"), "plain").truth() is None
