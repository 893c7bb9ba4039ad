"""Errors: one line of four parts, whole after crossing a process."""

import pickle

import pytest

from vertebra_ml import errors

KINDS = [
    errors.DatasetError,
    errors.GeometryError,
    errors.LimitError,
    errors.GateError,
    errors.ModelError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_one_line_and_survives_pickling(kind: type[errors.VertebraError]) -> None:
    error = kind("a.nii", found="two\nlines", expected="one\tline", fix="join  them")
    assert str(error) == "a.nii: found two lines; expected one line; join them"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.where) == (kind, str(error), "a.nii")


def test_the_tree_is_as_drawn() -> None:
    assert all(issubclass(kind, errors.VertebraError) for kind in KINDS)
    values = {kind for kind in KINDS if issubclass(kind, ValueError)}
    assert values == set(KINDS) - {errors.GateError}
