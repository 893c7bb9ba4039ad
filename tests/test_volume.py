"""Volumes: a world point stays where it is whatever is done to the grid; bad grids are refused."""

import pickle
from dataclasses import replace
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from tests.layouts import GRIDS, make_scan, turn
from vertebra_ml.errors import GeometryError
from vertebra_ml.volume import Source, Volume

ORIENTATIONS = [
    "".join(letters[axis] for axis in order)
    for order in permutations(range(3))
    for letters in product("RL", "AP", "SI")
]
SPACING = st.floats(0.3, 6.0)
SHAPE = st.tuples(*[st.integers(2, 9)] * 3)
HYPOTHESIS = settings(derandomize=True, max_examples=60)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Draw a small volume on any grid: 48 orientations, odd spacings, up to 12 degrees oblique."""
    shape = draw(SHAPE)
    spacing = draw(st.tuples(SPACING, SPACING, SPACING))
    angles = draw(st.tuples(*[st.floats(-12, 12)] * 3))
    affine = np.eye(4)
    affine[:3, :3] = turn(angles) @ np.diag(spacing)
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.integers(-1000, 1000, shape).astype(draw(st.sampled_from([np.int16, np.float32])))
    turned = Volume(array, affine).reorient(draw(st.sampled_from(ORIENTATIONS)))
    return Volume(turned.array, turned.affine)  # its own source


def values_at(volume: Volume, voxels: np.ndarray) -> np.ndarray:
    return volume.array[tuple(np.asarray(voxels).T)]


def all_voxels(volume: Volume) -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1).reshape(-1, 3)


def assert_holds(changed: Volume, original: Volume) -> None:
    """Assert that each voxel of ``changed`` holds what ``original`` holds at the same place."""
    voxels = all_voxels(changed)
    before = original.world_to_voxel(changed.voxel_to_world(voxels))
    nearest = np.round(before).astype(int)
    assert np.abs(before - nearest).max() < 1e-6
    np.testing.assert_array_equal(values_at(changed, voxels), values_at(original, nearest))


@HYPOTHESIS
@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_reorient_keeps_every_voxel_where_it_is(volume: Volume, orientation: str) -> None:
    turned = volume.reorient(orientation)
    assert turned.orientation == orientation
    assert_holds(turned, volume)
    assert np.shares_memory(turned.array, volume.array)
    np.testing.assert_allclose(turned.bounds_mm(), volume.bounds_mm(), atol=1e-6)
    np.testing.assert_allclose(turned.reorient(volume.orientation).affine, volume.affine, atol=1e-9)


@HYPOTHESIS
@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_reorient_agrees_with_nibabel(volume: Volume, orientation: str) -> None:
    change = ornt_transform(io_orientation(volume.affine), axcodes2ornt(orientation))
    second_opinion = nib.Nifti1Image(volume.array, volume.affine).as_reoriented(change)
    turned = volume.reorient(orientation)
    assert volume.orientation == "".join(nib.aff2axcodes(volume.affine))
    np.testing.assert_array_equal(turned.array, apply_orientation(volume.array, change))
    np.testing.assert_allclose(turned.affine, second_opinion.affine, atol=1e-9)


@HYPOTHESIS
@given(volumes(), st.data())
def test_crop_and_pad_keep_every_voxel_where_it_is(volume: Volume, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, n - 1)) for n in volume.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, volume.shape, strict=True))
    cropped = volume.crop(start, stop)
    assert_holds(cropped, volume)
    padded = cropped.pad((2, 0, 1), (0, 3, 1), -999)
    assert padded.shape == tuple(np.add(cropped.shape, (2, 3, 2)))
    assert_holds(padded.crop((2, 0, 1), tuple(np.add((2, 0, 1), cropped.shape))), volume)
    assert (padded.array[0] == -999).all()


@HYPOTHESIS
@given(volumes(), st.tuples(SPACING, SPACING, SPACING))
def test_resample_keeps_a_ramp_and_the_outer_faces(
    volume: Volume, spacing: tuple[float, float, float]
) -> None:
    """A field that grows linearly along the axes is the same field on any grid."""
    slopes = np.array([3.0, -2.0, 5.0])
    ramp = (all_voxels(volume) @ slopes).reshape(volume.shape).astype(np.float32)
    volume = replace(volume, array=ramp)
    resampled = volume.resample(spacing)
    assert resampled.spacing_mm == pytest.approx(spacing)
    voxels = all_voxels(resampled)
    before = volume.world_to_voxel(resampled.voxel_to_world(voxels))
    held = np.clip(before, 0, np.array(volume.shape) - 1)  # the edge value beyond the last centres
    assert values_at(resampled, voxels) == pytest.approx(held @ slopes, abs=1e-2)
    faces = volume.voxel_to_world(np.array([-0.5] * 3))
    assert resampled.voxel_to_world(np.array([-0.5] * 3)) == pytest.approx(faces)
    away = np.abs(
        np.array(resampled.shape) * spacing - np.multiply(volume.shape, volume.spacing_mm)
    )
    assert (away <= np.maximum(0.5 * np.array(spacing) + 1e-9, np.subtract(spacing, 0))).all()


@HYPOTHESIS
@given(volumes(), st.sampled_from(ORIENTATIONS))
def test_the_source_slice_of_a_point_outlives_every_change(volume: Volume, other: str) -> None:
    centre = volume.voxel_to_world((np.array(volume.shape) - 1) / 2)
    changed = volume.reorient(other).pad((1, 1, 1), (1, 1, 1)).resample((1.0, 2.0, 3.0))
    assert changed.origin is volume.origin
    place = changed.origin.slice_at(centre)
    assert place is not None
    axis = changed.origin.slice_axis
    assert place.index in {(volume.shape[axis] - 1) // 2, volume.shape[axis] // 2}
    assert volume.orientation[axis] in "SI"


@HYPOTHESIS
@given(volumes())
def test_world_and_voxel_are_inverse_and_contains_agrees(volume: Volume) -> None:
    rng = np.random.default_rng(1)
    voxels = rng.uniform(-3, 12, (50, 3))
    world = volume.voxel_to_world(voxels)
    np.testing.assert_allclose(volume.world_to_voxel(world), voxels, atol=1e-6)
    inside = ((voxels >= -0.5) & (voxels <= np.array(volume.shape) - 0.5)).all(axis=1)
    np.testing.assert_array_equal(volume.contains(world), inside)


def test_every_orientation_of_a_scan_is_told_by_its_letters() -> None:
    scan = make_scan(GRIDS["oblique"])
    assert len(set(ORIENTATIONS)) == 48
    assert [scan.reorient(o).orientation for o in ORIENTATIONS] == ORIENTATIONS


def test_slices_outside_the_file_are_none() -> None:
    source = Source(np.diag([1.0, 1.0, 5.0, 1.0]), (4, 4, 3), (7, 8, 9), ("a", "b", "c"))
    # Slice 0 reaches from -2.5 to 2.5 mm, slice 2 to 12.5 mm.
    found = [source.slice_at(np.array([0, 0, z])) for z in (-2.6, -2.5, 2.4, 2.6, 12.4, 12.6)]
    numbers = [place and place.instance_number for place in found]
    assert numbers == [None, 7, 7, 8, 9, None]
    assert source.slice_spacing_mm == 5
    assert source.slice_position(np.array([0, 0, 7.5])) == 1.5


def test_resampled_int16_stays_within_the_values_it_had() -> None:
    scan = make_scan()
    coarse = scan.resample((3.0, 3.0, 3.0))
    assert coarse.array.dtype == np.int16
    assert scan.array.min() <= coarse.array.min() <= coarse.array.max() <= scan.array.max()


def test_a_volume_says_what_it_is_and_crosses_processes() -> None:
    scan = make_scan(GRIDS["VerSe's PIR, thick in the last axis"])
    assert repr(scan) == "Volume((70, 71, 18), spacing 1.3 1.7 5 mm, PIR, int16)"
    again = pickle.loads(pickle.dumps(scan))
    np.testing.assert_array_equal(again.array, scan.array)
    np.testing.assert_array_equal(again.origin.affine, scan.origin.affine)
    with pytest.raises(ValueError, match="read-only"):
        scan.affine[0, 0] = 3
    oblique = make_scan(GRIDS["oblique"])
    assert oblique.obliquity_deg == pytest.approx(12.6, abs=1.5)
    assert scan.obliquity_deg == pytest.approx(0, abs=1e-6)


CUBE = np.zeros((3, 3, 3), np.int16)
EYE = np.eye(4)


def with_entry(row: int, column: int, value: float) -> np.ndarray:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


BAD = {
    "2D": (CUBE[0], EYE, r"an array of shape \(3, 3\)"),
    "4D": (CUBE[None], EYE, r"an array of shape \(1, 3, 3, 3\)"),
    "empty": (CUBE[:0], EYE, r"an array of shape \(0, 3, 3\)"),
    "float64": (CUBE.astype(float), EYE, "values of type float64"),
    "unsigned": (CUBE.astype(np.uint16), EYE, "values of type uint16"),
    "3x3": (CUBE, np.eye(3), r"an affine of shape \(3, 3\)"),
    "NaN": (CUBE, with_entry(0, 0, np.nan), "NaN or infinity"),
    "infinite": (CUBE, with_entry(1, 3, np.inf), "NaN or infinity"),
    "last row": (CUBE, with_entry(3, 0, 1), "last row"),
    "singular": (CUBE, with_entry(2, 2, 0), "spacing of"),
    "two columns alike": (CUBE, EYE[[0, 0, 2, 3]] + EYE[[1, 1, 1, 1]] * 0, "not|spacing"),
    "sheared": (CUBE, with_entry(0, 1, 0.1), "not at right angles"),
    "too fine": (CUBE, with_entry(0, 0, 1e-4), r"spacing of \[0.0001, 1.0, 1.0\] mm"),
    "too coarse": (CUBE, with_entry(0, 0, 1000), "spacing of"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_volumes_cannot_be_built(kind: str) -> None:
    array, affine, message = BAD[kind]
    with pytest.raises(GeometryError, match=message):
        Volume(array, affine)


@pytest.mark.parametrize("word", ["", "RA", "RAX", "RRS", "RASL", "LRS", "ras"])
def test_words_that_are_no_orientation_are_refused(word: str) -> None:
    with pytest.raises(GeometryError, match="three letters such as RAS"):
        make_scan().reorient(word)


@pytest.mark.parametrize(
    ("start", "stop"), [((0, 0, 0), (0, 2, 2)), ((-1, 0, 0), (2, 2, 2)), ((0, 0, 0), (2, 2, 999))]
)
def test_crops_that_leave_the_grid_are_refused(
    start: tuple[int, ...], stop: tuple[int, ...]
) -> None:
    with pytest.raises(GeometryError, match="a box within"):
        make_scan().crop(start, stop)


def test_a_source_needs_a_number_for_each_slice() -> None:
    with pytest.raises(GeometryError, match="2 numbers or UIDs for 3 slices"):
        Source(EYE, (3, 3, 3), (1, 2))
