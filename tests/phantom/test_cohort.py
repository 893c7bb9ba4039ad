"""Whole phantoms: bone where the truth says, the same mm on any grid, seeds that repeat."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vertebra_ml import phantom
from vertebra_ml.phantom.cohort import _person, _scan, _streams, truth_of
from vertebra_ml.phantom.fields import Field
from vertebra_ml.volume import Volume

SEED = 12


def lumbar_field(person, spacing=(2.0, 2.0, 2.0), orientation="RAS", tilt=None, half=45.0) -> Field:
    """A narrow field round T12 to L2 in the scanner's frame."""
    low, high = person.guide.level("L2"), person.guide.level("T12")
    centre = (low + high) / 2
    reach = np.array([half, half, abs(high[2] - low[2]) / 2 + 30])
    tilt = np.eye(3) if tilt is None else tilt
    return Field("test", centre - reach, centre + reach, np.array(spacing), orientation, tilt)


EVEN = {"patchiness": (0.0, 0.0), "texture_hu": (0.0, 0.0), "noise_hu": (0.1, 0.1),
        "plaque_rate": 0.0, "contrast_rate": 0.0, "oral_rate": 0.0,
        "spongy_hu": (260.0, 260.0), "cortex_hu": (1200.0, 1200.0), "cortex_factor": (0.6, 0.6),
        "sclerosis_rate": 0.0, "cement_rate": 0.0, "clips_rate": 0.0,
        "screws_rate": 0.0, "wires_rate": 0.0, "stent_rate": 0.0}  # fmt: skip


def quiet_scan(spacing, orientation, tilt=None):
    """Scan the person of ``SEED`` on a small grid, without what differs from grid to grid."""
    streams = _streams(SEED, "training")
    person = _person(streams, "training", np.eye(3) if tilt is None else tilt)
    person = replace(person, habits=replace(person.habits, **EVEN))
    return _scan(person, lumbar_field(person, spacing, orientation, tilt), streams)


def turned(*degrees: float) -> np.ndarray:
    """Rotation by angles about x, y and z."""
    result: np.ndarray = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return result


def bone_centre(volume: Volume, near_mm: np.ndarray, reach_mm: float = 30.0) -> np.ndarray:
    """Brightness-weighted centre (mm) of what is denser than 150 HU within a ball."""
    voxels = np.argwhere(volume.array > 150)
    mm = volume.voxel_to_world(voxels)
    weight = np.minimum(volume.array[tuple(voxels.T)].astype(float) - 150, 500)
    weight = weight * (np.linalg.norm(mm - near_mm, axis=1) < reach_mm)
    centre: np.ndarray = (mm * weight[:, None]).sum(axis=0) / weight.sum()
    return centre


@pytest.fixture(scope="module")
def plain():
    return quiet_scan((1.5, 1.5, 1.5), "RAS")


GRIDS = {
    "flipped": ((1.5, 1.5, 1.5), "LPI", None),
    "sagittal": ((1.2, 1.2, 2.5), "PIR", None),
    "left-handed": ((2.0, 2.0, 1.0), "ARS", None),
    "tilted": ((1.5, 1.5, 2.0), "SAL", turned(6, -4, 7)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_same_body_lies_at_the_same_mm_on_any_grid(plain, name):
    spacing, orientation, tilt = GRIDS[name]
    other = quiet_scan(spacing, orientation, tilt)
    assert other.volume.orientation == orientation
    assert np.allclose(sorted(other.volume.spacing_mm), sorted(spacing))
    assert other.truth.landmarks["L1"] == pytest.approx(plain.truth.landmarks["L1"], abs=1e-6)
    spot = plain.truth.landmarks["L1"]
    found = bone_centre(other.volume, spot) - bone_centre(plain.volume, spot)
    assert np.abs(found).max() < 0.5


def test_a_body_centre_is_bone_and_the_disc_below_is_dimmer(plain):
    marks, volume = plain.truth.landmarks, plain.volume
    for upper, lower in (("T12", "L1"), ("L1", "L2")):
        body, disc = marks[lower], (marks[upper] + marks[lower]) / 2
        assert ball_mean(volume, body) > ball_mean(volume, disc) > 0


def ball_mean(volume: Volume, point: np.ndarray, radius_mm: float = 3.0) -> float:
    grid = np.stack(np.meshgrid(*[np.arange(-radius_mm, radius_mm + 0.1)] * 3), -1).reshape(-1, 3)
    near = grid[np.linalg.norm(grid, axis=1) <= radius_mm] + point
    voxels = np.round(volume.world_to_voxel(near)).astype(int)
    return float(volume.array[tuple(voxels.T)].mean())


def test_visible_are_levels_that_reach_in_and_landmarks_those_whose_centre_does():
    streams = _streams(SEED, "training")
    person = _person(streams, "training", np.eye(3))
    frame = person.world.frames["L2"]
    half = highest_above_centre(frame)
    middle = person.world.landmarks["L2"]

    def levels(low_z: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        affine = np.eye(4)
        affine[:3, 3] = [middle[0] - 99.5, middle[1] - 99.5, low_z + 0.5]
        volume = Volume(np.zeros((200, 200, 60), np.int16), affine)
        truth = truth_of(person.world, volume)
        return truth.landmarks.labels, truth.visible

    for low_z, centred, seen in (
        (middle[2] - 0.01, True, True),
        (middle[2] + 0.01, False, True),
        (middle[2] + half - 0.3, False, True),  # lines round the rim miss the very highest point
        (middle[2] + half + 0.01, False, False),
    ):
        held, visible = levels(low_z)
        assert ("L2" in held, "L2" in visible) == (centred, seen)
        assert "L1" in visible
        assert "L3" not in visible
        assert set(held) <= set(visible)


def highest_above_centre(frame) -> float:
    """Height above its centre of the highest point of an upright or leaning elliptic cylinder."""
    across = np.hypot(*(frame.size[:2] / 2 * frame.axes[:2, 2]))
    return float(frame.size[2] / 2 * abs(frame.axes[2, 2]) + across)


@pytest.mark.parametrize("side", [0, 1], ids=["width", "depth"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_vertebra_is_visible_as_long_as_one_side_of_it_is_in_the_field(side, sign):
    """A field that ends beside the axis shows half a vertebra: it must not count as absent."""
    streams = _streams(SEED, "training")
    person = _person(streams, "training", np.eye(3))
    frame = person.world.frames["L2"]
    outward = sign * frame.axes[side]
    for past_mm, seen in ((-0.5, True), (0.5, False)):
        face = frame.centre + (frame.size[side] / 2 + past_mm) * outward
        affine = np.eye(4)
        affine[:3, :3] = frame.axes.T * (sign if side == 0 else 1.0, sign if side else 1.0, 1.0)
        middle = np.full(3, 59.5)
        middle[side] = -0.5  # this face of the grid lies past_mm beyond the body's side
        affine[:3, 3] = face - affine[:3, :3] @ middle
        truth = truth_of(person.world, Volume(np.zeros((120, 120, 120), np.int16), affine))
        assert "L2" not in truth.landmarks
        assert ("L2" in truth.visible) is seen


def test_a_level_beside_a_narrow_field_is_not_visible():
    streams = _streams(SEED, "training")
    person = _person(streams, "training", np.eye(3))
    affine = np.eye(4)
    affine[:3, 3] = person.world.landmarks["L2"] + [40, -20, -20]
    aside = Volume(np.zeros((40, 40, 40), np.int16), affine)
    assert truth_of(person.world, aside).visible == ()
    assert len(truth_of(person.world, aside).landmarks) == 0


@pytest.fixture(scope="module")
def drawn():
    return phantom.draw(33, voxels_max=2_000_000)


def test_a_drawn_scan_is_int16_in_the_range_of_scanners(drawn):
    assert drawn.volume.array.dtype == np.int16
    assert drawn.volume.array.min() >= -3024
    assert drawn.volume.array.max() <= 3071
    assert drawn.volume.array.min() < -900
    assert drawn.volume.contains(drawn.truth.landmarks.points_mm).all()


def test_a_seed_repeats_to_the_voxel(drawn):
    again = phantom.draw(33, voxels_max=2_000_000)
    assert np.array_equal(again.volume.array, drawn.volume.array)
    assert np.array_equal(again.volume.affine, drawn.volume.affine)
    assert again.facts == drawn.facts


def test_seeds_and_populations_differ():
    people = [
        _person(_streams(seed, ranges), ranges, np.eye(3)).world.landmarks.points_mm
        for seed, ranges in ((1, "training"), (2, "training"), (1, "unlike"))
    ]
    spans = [points[0, 2] - points[-1, 2] for points in people]
    assert len({round(float(span), 3) for span in spans}) == 3


def test_a_trunk_shows_every_level_and_its_surroundings():
    whole = phantom.trunk(SEED)
    volume, marks = whole.volume, whole.truth.landmarks
    assert volume.orientation == "RAS"
    assert marks.labels == whole.truth.visible
    assert {"C2", "T12", "L3"} <= set(marks.labels)
    for label in ("T5", "T12", "L3"):
        assert ball_mean(volume, marks[label]) > 40
    # Beside T6 lies lung on both sides, in front of the skin air.
    x, y, z = marks["T6"]
    for side in (-65, 65):
        assert ball_mean(volume, np.array([x + side, y + 30, z])) < -500
    bounds = volume.bounds_mm()
    assert ball_mean(volume, np.array([x, bounds[1, 1] - 4, marks["L3"][2]])) < -600


def test_a_cohort_goes_on_where_it_stopped(monkeypatch):
    def small(seed: int, ranges: str) -> str:
        return f"{ranges} {seed}"

    monkeypatch.setattr(sys.modules["vertebra_ml.phantom.cohort"], "trunk", small)
    whole = list(phantom.cohort(4, 7))
    assert list(phantom.cohort(4, 7, start=2)) == whole[2:]
    assert len(set(whole)) == 4
    assert not set(whole) & set(phantom.cohort(4, 8))
    assert whole[0] == f"training {phantom.phantom_seed(7, 0)}"


def test_a_person_has_the_same_bones_and_metal_on_any_grid():
    facts = []
    for spacing, half in (((3.0, 3.0, 3.0), 45.0), ((4.0, 4.0, 5.0), 150.0)):
        streams = _streams(11, "training")
        person = _person(streams, "training", np.eye(3))
        person = replace(person, habits=replace(person.habits, clips_rate=0.5, stent_rate=0.5))
        facts.append(_scan(person, lumbar_field(person, spacing, half=half), streams).facts)
    for name in ("spongy_hu", "cortex_hu", "cortex_factor", "foreign", "prone", "contrast"):
        assert facts[0][name] == facts[1][name], name
