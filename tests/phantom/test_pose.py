"""Whole drawn skeletons: what must be where, seed by seed."""

from dataclasses import replace

import numpy as np
import pytest

from vertebra_ml.anatomy import USUAL
from vertebra_ml.phantom.bones import Body, Bone
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import RANGES, TRAINING, UNLIKE, Ranges

PLAIN = replace(
    TRAINING, l6_rate=0.0, t13_rate=0.0, t12_absent_rate=0.0, lumbar_rib_rate=0.0,
    cervical_rib_rate=0.0, fracture_rate=0.0, osteophyte_rate=0.0,
)  # fmt: skip
STILL = {"turn_deg": (0.0, 0.0), "lean_deg": (0.0, 0.0), "nod_deg": (0.0, 0.0)}


def _body(seed: int, ranges: Ranges = PLAIN) -> Body:
    return draw_body(np.random.default_rng(seed), ranges)


def _named(body: Body) -> dict[str, Bone]:
    return {bone.name: bone for bone in body.bones}


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
def test_meshes_are_sound(ranges: Ranges) -> None:
    for seed in range(6):
        body = _body(seed, ranges)
        names = [bone.name for bone in body.bones]
        assert len(names) == len(set(names))
        assert body.landmarks.labels == tuple(body.frames)
        for bone in body.bones:
            assert np.isfinite(bone.vertices).all()
            assert bone.faces.min() >= 0
            assert bone.faces.max() < len(bone.vertices)
            a, b, c = (bone.vertices - bone.vertices.mean(axis=0))[bone.faces].transpose(1, 0, 2)
            assert (a * np.cross(b, c)).sum() > 0, f"{bone.name} is inside out"


def test_a_usual_person_has_every_bone() -> None:
    body = _body(0)
    count = {kind: len(body.of(kind)) for kind in {bone.kind for bone in body.bones}}
    assert count == {
        "vertebra": 24, "disc": 23, "rib": 24, "cartilage": 20, "sternum": 1, "scapula": 2,
        "clavicle": 2, "skull": 1, "jaw": 1, "sacrum": 1, "pelvis": 2, "femur": 2, "humerus": 6,
    }  # fmt: skip
    assert body.landmarks.labels == USUAL


@pytest.mark.parametrize("seed", range(6))
def test_ribs_meet_their_own_vertebra(seed: int) -> None:
    body = _body(seed)
    bones = _named(body)
    for n in range(1, 13):
        frame = body.frames[f"T{n}"]
        for side, sign in (("right", 1), ("left", -1)):
            rib = bones[f"rib_{n}_{side}"].vertices
            near = frame.local(rib[-2][None])[0]  # the end cap at the head
            width, depth, height = frame.size
            assert sign * near[0] == pytest.approx(width / 2, abs=3)
            assert -0.6 * depth < near[1] < 0
            # 2 to 9 at the upper edge, by the disc; the others below it, on their own body.
            shared = n not in {1, 10, 11, 12}
            low, high = (0.45, 0.6) if shared else (0.0, 0.45)
            assert low * height <= near[2] <= high * height
            assert ((rib[:, 0] - frame.centre[0]) * sign).mean() > 0  # a scoliosis goes far aside


@pytest.mark.parametrize("seed", range(6))
def test_ribs_run_back_then_round_and_down(seed: int) -> None:
    body = _body(seed, replace(PLAIN, scoliosis_rate=0.0, **STILL))
    bones = _named(body)
    for n in range(2, 10):
        rib = bones[f"rib_{n}_right"].vertices
        head, end = rib[-2], rib[-1]
        assert rib[:, 1].min() < head[1] - 8
        assert end[1] > head[1] + 40
        assert end[2] < head[2] - 15
    # Each rib's outermost point lies lower than that of the rib above it.
    outer = [bones[f"rib_{n}_right"].vertices for n in range(3, 11)]
    assert (np.diff([v[:, 2].mean() for v in outer]) < 0).all()


def test_transverse_processes_of_l3_are_the_longest_and_l4s_thin() -> None:
    body = _body(3)
    bones = _named(body)
    span = {
        n: np.ptp(body.frames[n].local(bones[n].vertices)[:, 0]) for n in ("L1", "L2", "L3", "L4")
    }
    assert max(span, key=span.__getitem__) == "L3"
    assert span["L4"] < span["L3"]


@pytest.mark.parametrize("crest", [-10.0, 0.0, 20.0])
def test_iliac_crests_lie_as_high_as_drawn(crest: float) -> None:
    body = _body(4, replace(PLAIN, crest_mm=(crest, crest), **STILL))
    middle = (body.landmarks["L4"][2] + body.landmarks["L5"][2]) / 2
    top = max(bone.vertices[:, 2].max() for bone in body.of("pelvis"))
    assert top - middle == pytest.approx(crest, abs=0.5)


def test_a_sixth_lumbar_vertebra_sets_the_pelvis_lower() -> None:
    body = _body(4, replace(PLAIN, l6_rate=1.0, crest_mm=(5.0, 5.0), **STILL))
    top = max(bone.vertices[:, 2].max() for bone in body.of("pelvis"))
    assert top - body.landmarks["L5"][2] == pytest.approx(5.0, abs=0.5)


def test_lengths_of_the_floating_ribs_vary() -> None:
    def length(factor: float) -> float:
        body = _body(5, replace(PLAIN, rib12_length=(factor, factor)))
        return float(np.ptp(_named(body)["rib_12_right"].vertices[:, 0]))

    assert length(0.3) < 0.55 * length(1.0)
    assert length(1.8) > 1.4 * length(1.0)


@pytest.mark.parametrize(
    ("rate", "last_rib", "levels"),
    [("t12_absent_rate", 11, 23), ("t13_rate", 13, 25), ("l6_rate", 12, 25)],
)
def test_variants_bear_their_ribs(rate: str, last_rib: int, levels: int) -> None:
    body = _body(6, replace(PLAIN, **{rate: 1.0}))
    numbers = {int(bone.name.split("_")[1]) for bone in body.of("rib")}
    assert numbers == set(range(1, last_rib + 1))
    assert len(body.landmarks) == len(body.of("vertebra")) == levels


def test_stub_ribs_hang_on_l1_or_c7() -> None:
    body = _body(7, replace(PLAIN, lumbar_rib_rate=1.0, cervical_rib_rate=1.0))
    extra = {bone.name.split("_")[1] for bone in body.of("rib")} - {str(n) for n in range(1, 13)}
    assert extra == {"L1", "C7"}


def test_arms_go_up_or_down() -> None:
    up, down = (_named(_body(8, replace(PLAIN, arms_up_rate=rate))) for rate in (1.0, 0.0))
    for side in ("right", "left"):
        blade = up[f"scapula_{side}"].vertices[:, 2].mean()
        assert up[f"humerus_{side}"].vertices[:, 2].mean() > blade
        blade = down[f"scapula_{side}"].vertices[:, 2].mean()
        assert down[f"humerus_{side}"].vertices[:, 2].mean() < blade


def test_fractures_sink_the_front_and_move_the_centre() -> None:
    whole, broken = _body(9), _body(9, replace(PLAIN, fracture_rate=1.0, fracture_loss=(0.4, 0.4)))
    level = str(broken.facts["fractures"]).split()[0]
    frame = whole.frames[level]

    def front_height(body: Body) -> float:
        local = frame.local(_named(body)[level].vertices)
        return float(np.ptp(local[local[:, 1] > 0.3 * frame.size[1]][:, 2]))

    assert front_height(broken) < 0.75 * front_height(whole)
    shift = np.linalg.norm(broken.landmarks[level] - whole.landmarks[level])
    assert shift == pytest.approx(0.1 * frame.size[2], rel=0.01)


def test_spurs_widen_the_rims_only() -> None:
    whole, spurred = _body(10), _body(10, replace(PLAIN, osteophyte_rate=1.0))
    assert spurred.facts["osteophytes"] > 0
    grown = [
        level
        for level in USUAL
        if not np.array_equal(_named(whole)[level].vertices, _named(spurred)[level].vertices)
    ]
    assert len(grown) == spurred.facts["osteophytes"]
    for level in grown:
        moved = np.abs(_named(whole)[level].vertices - _named(spurred)[level].vertices).max(axis=1)
        assert 0.5 < moved.max() < 16
        assert np.median(moved) < 0.5


def test_same_seed_same_body_other_seed_another() -> None:
    first, again, other = _body(11), _body(11), _body(12)
    for a, b in zip(first.bones, again.bones, strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)
    assert first.facts == again.facts
    assert not np.allclose(first.landmarks["T1"], other.landmarks["T1"])


def test_landmarks_lie_inside_their_bodies() -> None:
    body = _body(13, UNLIKE)
    for level in body.landmarks.labels[2:]:
        local = body.frames[level].local(_named(body)[level].vertices)
        front = local[local[:, 1] > 0]
        assert abs(front[:, 0].max() + front[:, 0].min()) < 0.25 * body.frames[level].size[0]
        assert front[:, 2].max() > 0 > front[:, 2].min()


def _height_at(body: Body, n: int, out_mm: float) -> float:
    """Return how high the back of right rib ``n`` runs, ``out_mm`` beside its vertebra."""
    rings = _named(body)[f"rib_{n}_right"].vertices[:-2].reshape(-1, 8, 3).mean(axis=1)
    out = rings[:, 0] - body.landmarks[f"T{n}"][0]
    return float(rings[np.argmax(out > out_mm), 2])


@pytest.mark.parametrize("seed", range(8))
def test_ribs_lie_apart_behind_and_lower_ones_more(seed: int) -> None:
    body = _body(seed, replace(PLAIN, scoliosis_rate=0.0, rib12_length=(1.0, 1.0), **STILL))
    heights = np.array([_height_at(body, n, 50.0) for n in range(3, 13)])
    gaps = -np.diff(heights)
    # LIDC-IDRI-0001 in the same place: 14 mm between ribs 3 and 4, then 20 to 36.
    assert gaps.min() > 5
    assert 17 < gaps[1:].mean() < 36
    assert gaps[5:].mean() > gaps[:3].mean()
