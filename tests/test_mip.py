"""MIPs: rows from the head down, columns from right and front, and what cannot be built."""

from dataclasses import replace

import numpy as np
import pytest

from vertebra_ml.errors import GeometryError
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.volume import AIR_HU

IMAGE = np.zeros((6, 4), np.int16)
FRONTAL = Mip(IMAGE, (1.0, 2.0), (100.0, 40.0), "frontal")
SAGITTAL = Mip(IMAGE[:, :3], (1.0, 2.0), (100.0, 55.0), "sagittal")


def test_mm_fall_along_both_axes_and_come_back() -> None:
    assert FRONTAL.z_of_row([0, 5]).tolist() == [100, 95]
    assert FRONTAL.across_of_column([0, 3]).tolist() == [40, 34]
    for value in (-3.5, 0, 2.25, 99):
        assert FRONTAL.row_of_z(FRONTAL.z_of_row(value)) == pytest.approx(value)
        assert SAGITTAL.column_of_across(SAGITTAL.across_of_column(value)) == pytest.approx(value)
    assert (FRONTAL.rows, FRONTAL.columns) == (6, 4)
    assert repr(FRONTAL) == "Mip(frontal, 6 rows x 4 columns, spacing (1.0, 2.0) mm)"


BAD = {
    "3D": ({"image": IMAGE[None]}, r"an image of shape \(1, 6, 4\)"),
    "empty": ({"image": IMAGE[:0]}, r"an image of shape \(0, 4\)"),
    "float": ({"image": IMAGE.astype(np.float32)}, "type float32"),
    "spacing": ({"spacing_mm": (0.0, 1.0)}, r"spacing \(0.0, 1.0\)"),
    "origin": ({"origin_mm": (np.nan, 1.0)}, "origin .nan"),
    "view": ({"view": "axial"}, "a view named 'axial'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_mips_cannot_be_built(kind: str) -> None:
    changes, message = BAD[kind]
    with pytest.raises(GeometryError, match=message):
        replace(FRONTAL, **changes)


def test_a_pair_shares_its_rows() -> None:
    pair = MipPair(FRONTAL, SAGITTAL, (3.0, -20.0))
    assert pair.rows == 6
    assert not pair.is_air
    air = np.full((6, 4), AIR_HU, np.int16)
    assert MipPair(replace(FRONTAL, image=air), replace(SAGITTAL, image=air), (0, 0)).is_air
    for other in (
        replace(SAGITTAL, origin_mm=(101.0, 55.0)),
        replace(SAGITTAL, spacing_mm=(2.0, 2.0)),
        replace(SAGITTAL, image=IMAGE[:5]),
        FRONTAL,
    ):
        with pytest.raises(GeometryError, match="a frontal and a sagittal view on the same rows"):
            MipPair(FRONTAL, other, (0.0, 0.0))
