"""What is taught of a name."""

import numpy as np
import pytest

from vertebra_ml.anatomy import LEVELS, RANK
from vertebra_ml.two_stage.compact.identification import ANY, NEXT, _softened


def test_a_name_is_taught_with_a_little_doubt() -> None:
    table = _softened()
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-6)
    row = table[RANK["T5"]]
    assert row.argmax() == RANK["T5"]
    assert row[RANK["T4"]] == row[RANK["T6"]] == pytest.approx(NEXT + ANY / len(LEVELS))
    assert row[RANK["L3"]] == pytest.approx(ANY / len(LEVELS))
