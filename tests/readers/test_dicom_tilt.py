"""Gantry tilt: straightened so that each place in the world keeps its HU."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layouts import turn
from vertebra_ml import readers
from vertebra_ml.errors import DatasetError, LimitError
from vertebra_ml.readers.dicom_tilt import Shear, straightened
from vertebra_ml.readers.dicom_writer import Dress, write_enhanced, write_series
from vertebra_ml.volume import Volume

GRADIENT = np.array([3.1, -2.3, 1.7])  # HU a mm along each axis of the world
FLOATS = Dress(slope=0.01, intercept=0)  # so that HU are not rounded to whole numbers


def analytic(points_mm: np.ndarray) -> np.ndarray:
    """HU that rise along each axis of the world: linear between pixels is then exact."""
    return points_mm @ GRADIENT


SHAPE = (20, 18, 14)
STEP_MM = 2.5  # of the table


@dataclass(frozen=True)
class Written:
    """What was written: (n, 3) corners of the slices and (3, 2) steps along columns and rows."""

    corners: np.ndarray
    steps: np.ndarray

    def pixels(self, found: Volume) -> np.ndarray:
        """(x, y, z, 2): where each voxel of ``found`` lies in the picture of its plane."""
        planes = found.world_to_voxel(self.corners)[:, 2]
        np.testing.assert_allclose(np.sort(planes), np.arange(SHAPE[2]), atol=1e-3)
        voxels = np.stack(np.meshgrid(*map(np.arange, found.shape), indexing="ij"), axis=-1)
        away = found.voxel_to_world(voxels) - self.corners[np.argsort(planes)]
        return away @ self.steps / (self.steps**2).sum(axis=0)


def write_tilted(
    folder: Path,
    degrees: float,
    *,
    swivel: float = 0,
    feet_first: bool = False,
    one: bool = False,
    **dress: Any,
) -> Written:
    """Write the analytic phantom: the table moves along z, the normal is ``degrees`` from it."""
    rotation = turn((degrees, swivel, 0)) @ turn((0, 180 if feet_first else 0, 0))
    up = -1 if feet_first else 1
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([-1.3, -1.1, STEP_MM * abs(rotation[2, 2])])
    affine[:3, 3] = [12.0, 9.0, -7.0]
    corners = affine[:3, 3] + np.arange(SHAPE[2])[:, None] * [0, 0, up * STEP_MM]
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    world = corners[index[..., 2]] + index[..., :2] @ affine[:3, :2].T
    volume = Volume(analytic(world).astype(np.float32), affine)
    aside = (np.array([0, 0, up * STEP_MM]) - affine[:3, 2]) @ affine[:3, :2] / [1.3, 1.1]
    how = replace(FLOATS, aside_mm=(aside[0], aside[1]), **dress)
    if one:
        write_enhanced(folder / "ct", volume, seed="tilt", dress=how)
    else:
        write_series(folder, volume, seed="tilt", dress=how)
    return Written(corners, affine[:3, :2])


def assert_analytic(found: Volume, written: Written) -> None:
    """Assert the right HU wherever a picture had pixels, air elsewhere, and no pixel lost."""
    pixels = written.pixels(found)
    last = np.array(SHAPE[:2]) - 1
    inside = ((pixels > -1e-6) & (pixels < last + 1e-6)).all(axis=-1)
    outside = ((pixels < -1) | (pixels > last + 1)).any(axis=-1)
    voxels = np.stack(np.nonzero(inside), axis=-1)
    wrong = np.abs(found.array[inside] - analytic(found.voxel_to_world(voxels)))
    assert wrong.max() < 0.01 * np.linalg.norm(GRADIENT)  # 0.01 mm along the steepest direction
    assert (found.array[outside] == -1024).all()
    assert inside.sum() >= (SHAPE[0] - 1) * (SHAPE[1] - 1) * SHAPE[2]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("degrees", [-30.0, -12.5, 3.0, 20.0, 34.0])
def test_each_place_keeps_its_hu(tmp_path: Path, degrees: float, reverse: bool) -> None:
    written = write_tilted(tmp_path, degrees, reverse=reverse)
    found = readers.open_volume(tmp_path)
    assert_analytic(found, written)
    assert found.origin.instance_numbers == tuple(range(1, 15))[:: -1 if reverse else 1]


def test_an_enhanced_image_may_be_tilted(tmp_path: Path) -> None:
    written = write_tilted(tmp_path, 15.0, one=True)
    assert_analytic(readers.open_volume(tmp_path), written)


@pytest.mark.parametrize("swivel", [-11.0, 14.0])
def test_a_swivelled_gantry_shifts_columns_too(tmp_path: Path, swivel: float) -> None:
    written = write_tilted(tmp_path, -8.0, swivel=swivel)
    assert_analytic(readers.open_volume(tmp_path), written)


def test_feet_first_is_the_same(tmp_path: Path) -> None:
    """Columns run to the other side, and the slices' normal to the feet."""
    written = write_tilted(tmp_path, 17.0, feet_first=True)
    found = readers.open_volume(tmp_path)
    assert found.orientation == "RPI"
    assert_analytic(found, written)


def test_the_log_names_the_tilt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tilted(tmp_path, 12.5)
    with caplog.at_level(logging.WARNING):
        readers.open_volume(tmp_path)
    assert f"straightened a gantry tilt of 12.5 degrees in {tmp_path}" in caplog.text


def test_no_gantry_turns_that_far(tmp_path: Path) -> None:
    write_tilted(tmp_path, 40.0)
    with pytest.raises(DatasetError, match=r"a gantry tilt of 40.0 degrees; expected at most 35"):
        readers.open_volume(tmp_path)


def test_the_straight_grid_is_held_against_the_limit(tmp_path: Path) -> None:
    write_tilted(tmp_path, 34.0)
    assert readers.open_volume(tmp_path, voxels_max=9800).shape[:2] == (20, 35)
    with pytest.raises(LimitError, match="20 x 35 x 14"):
        readers.open_volume(tmp_path, voxels_max=20 * 18 * 14)


def test_whole_pixels_are_moved_as_they_are() -> None:
    array = np.asfortranarray(np.arange(24, dtype=np.int16).reshape(4, 3, 2))
    found = straightened(array, Shear(np.array([[0.0, 0.0], [-2.0, 1.0]]), 20.0))
    assert found.shape == (6, 4, 2)
    np.testing.assert_array_equal(found[2:, :3, 0], array[:, :, 0])
    np.testing.assert_array_equal(found[:4, 1:, 1], array[:, :, 1])
    assert (found == -1024).sum() == 2 * (24 - 12)
