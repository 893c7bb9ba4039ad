"""Properties of the whole way: places survive every change of grid, archives and files their trip.

The voxels carry their own place: three volumes hold x, y and z of their centres in RAS+ mm as HU.
After any chain of changes, what a voxel says must be where it lies.
"""

import tempfile
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layouts import POINTS_MM, TRUTH, Grid, assert_same_scan, make_scan, turn
from tests.readers.test_layouts import HU_TOLERANCE, POINT_TOLERANCE_MM, WRITTEN, assert_same_case
from tests.test_archive import assert_same
from vertebra_ml import readers
from vertebra_ml.archive import Archive, read_archive, write_archive
from vertebra_ml.prepare import project
from vertebra_ml.readers.writers import WRITERS, write_case
from vertebra_ml.volume import AIR_HU, Volume

ORIENTATIONS = [
    "".join(letters[axis] for axis in order)
    for order in permutations(range(3))
    for letters in product("RL", "AP", "SI")
]
ANGLES = st.tuples(*[st.floats(-14, 14)] * 3)
PROPERTY = settings(derandomize=True, max_examples=80)
FEW = settings(PROPERTY, max_examples=8)
MM = 0.01


def spacings(least: float, most: float) -> st.SearchStrategy[tuple[float, float, float]]:
    return st.tuples(*[st.floats(least, most)] * 3)


@st.composite
def affines(draw: st.DrawFn) -> Any:
    """Draw any of 48 orientations, odd spacings, up to some 20 degrees oblique, far from zero."""
    affine = np.eye(4)
    affine[:3, :3] = turn(draw(ANGLES)) @ np.diag(draw(spacings(0.3, 6)))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    grid = Volume(np.zeros((2, 2, 2), np.int16), affine)
    return grid.reorient(draw(st.sampled_from(ORIENTATIONS))).affine


def told_places(affine: Any, shape: tuple[int, int, int]) -> list[Volume]:
    """Return three volumes that hold x, y and z of their voxel centres, RAS+ mm."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = Volume(np.zeros(shape, np.int16), affine).voxel_to_world(index)
    return [Volume(world[..., axis].astype(np.float32), affine) for axis in range(3)]


STEPS = ("reorient", "crop", "pad", "resample")


def change(volumes: list[Volume], step: str, data: st.DataObject) -> list[Volume]:
    """Do the same drawn step to each volume."""
    shape = volumes[0].shape
    if step == "reorient":
        wanted = data.draw(st.sampled_from(ORIENTATIONS))
        return [volume.reorient(wanted) for volume in volumes]
    if step == "crop":
        start = tuple(data.draw(st.integers(0, n // 4)) for n in shape)
        stop = tuple(data.draw(st.integers(3 * n // 4 + 1, n)) for n in shape)
        return [volume.crop(start, stop) for volume in volumes]
    if step == "pad":
        before, after = (tuple(data.draw(st.integers(0, 3)) for _ in shape) for _ in range(2))
        return [volume.pad(before, after) for volume in volumes]
    spacing = tuple(s * data.draw(st.floats(0.6, 1.7)) for s in volumes[0].spacing_mm)
    return [volume.resample(spacing) for volume in volumes]


def without_rim(known: Volume) -> Volume:
    """Return what is known but for the outermost voxels: beyond their centres values are held."""
    array = np.zeros_like(known.array)
    inner = tuple(slice(1, -1) for _ in range(3))
    array[inner] = known.array[inner]
    return replace(known, array=array)


@PROPERTY
@given(affine=affines(), steps=st.lists(st.sampled_from(STEPS), max_size=5), data=st.data())
def test_a_voxel_lies_where_it_says_after_any_chain_of_changes(
    affine: Any, steps: list[str], data: st.DataObject
) -> None:
    places = told_places(affine, (11, 12, 13))
    known = Volume(np.ones((11, 12, 13), np.float32), affine)
    for step in steps:
        if step == "resample":
            known = without_rim(known)
        *places, known = change([*places, known], step, data)
        if step == "pad":
            # The rim that was added says AIR_HU of everything; nothing is known there.
            known = replace(known, array=np.where(known.array == AIR_HU, 0, known.array))
    sure = np.argwhere(known.array > 1 - 1e-6)
    world = places[0].voxel_to_world(sure)
    said = np.stack([volume.array[tuple(sure.T)] for volume in places], axis=-1)
    np.testing.assert_allclose(said, world, atol=MM)
    if "resample" not in steps:
        assert len(sure)


@PROPERTY
@given(affine=affines(), data=st.data())
def test_a_world_point_has_the_same_value_in_every_orientation(
    affine: Any, data: st.DataObject
) -> None:
    rng = np.random.default_rng(3)
    volume = Volume(rng.integers(-1000, 1000, (5, 6, 7)).astype(np.int16), affine)
    for orientation in data.draw(st.lists(st.sampled_from(ORIENTATIONS), min_size=1, max_size=4)):
        turned = volume.reorient(orientation)
        assert turned.orientation == orientation
        assert_same_scan(turned, volume, mm=1e-6)
        volume = turned


@FEW
@given(
    orientation=st.sampled_from(ORIENTATIONS), spacing=spacings(1.8, 5), angles=ANGLES,
    labelled=st.booleans(),
)  # fmt: skip
def test_an_archive_out_and_in_is_the_same_archive(
    orientation: str, spacing: tuple[float, float, float], angles: Any, labelled: bool
) -> None:
    volume = make_scan(Grid(orientation, spacing, angles))
    pair = project(volume, spacing_mm=1.0, body_threshold_hu=-300, slab_mm=60.0)
    entry = Archive("p1", "p", "plain", pair, volume.origin, TRUTH if labelled else None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p1.npz"
        write_archive(path, entry)
        first = path.read_bytes()
        again = read_archive(path)
        assert_same(again, entry)
        write_archive(path, again)
        assert path.read_bytes() == first


@pytest.mark.parametrize("written", WRITERS)
@FEW
@given(
    orientation=st.sampled_from(ORIENTATIONS), spacing=spacings(1.8, 5), angles=ANGLES,
    kind=st.sampled_from([np.int16, np.float32]),
)  # fmt: skip
def test_every_layout_gives_back_what_was_written(
    written: str, orientation: str, spacing: tuple[float, float, float], angles: Any, kind: type
) -> None:
    volume = make_scan(Grid(orientation, spacing, angles, kind))
    with tempfile.TemporaryDirectory() as folder:
        write_case(Path(folder), "p1", volume, TRUTH, written)
        (case,) = readers.find(Path(folder), WRITTEN[written])
        assert_same_case(case, volume, hu=HU_TOLERANCE.get(written, 0))
        truth = case.truth()
    assert truth is not None
    assert set(truth.landmarks.labels) == set(POINTS_MM)
    for label, point in POINTS_MM.items():
        away = np.linalg.norm(truth.landmarks[label] - point)
        assert away < POINT_TOLERANCE_MM.get(written, MM) * np.sqrt(3)
