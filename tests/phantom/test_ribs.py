"""Ribs against a mask of a real kyphotic chest: where they stand and when they turn forward."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vertebra_ml.phantom.bones import Body, Frame, atlas
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import TRAINING
from vertebra_ml.phantom.ribs import _beyond_angle, draw_chest, rib_lines, rib_path
from vertebra_ml.phantom.spine import Column, draw_column
from vertebra_ml.phantom.vertebra import shape_vertebra

STRAIGHT = replace(
    TRAINING, l6_rate=0.0, t13_rate=0.0, t12_absent_rate=0.0, scoliosis_rate=0.0,
    turn_deg=(0.0, 0.0), lean_deg=(0.0, 0.0), nod_deg=(0.0, 0.0),
)  # fmt: skip
SEEDS = range(16)


def centre_line(body: Body, n: int, side: str) -> np.ndarray:
    """Return (n, 3) the middle of a rib, mm from its vertebra's centre, x away from the spine."""
    bone = next(bone for bone in body.bones if bone.name == f"rib_{n}_{side}")
    rings = bone.vertices[:-2].reshape(-1, 8, 3).mean(axis=1)
    turned: np.ndarray = (rings - body.landmarks[f"T{n}"]) * [1 if side == "right" else -1, 1, 1]
    return turned


def height(body: Body, n: int, out_mm: float) -> float:
    lines = [centre_line(body, n, side) for side in ("right", "left")]
    return float(np.mean([line[np.argmax(line[:, 0] > out_mm), 2] for line in lines]))


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    return [draw_body(np.random.default_rng(seed), STRAIGHT) for seed in SEEDS]


def test_upper_ribs_stand_as_high_as_in_a_real_chest(bodies: list[Body]) -> None:
    # LIDC-IDRI-0001, kyphotic, mean of both sides at 35 mm: 21, 24, 25, 22, 17 mm, ribs 2 to 6.
    found = np.array([[height(body, n, 35.0) for n in range(2, 7)] for body in bodies])
    middle, top = np.median(found, axis=0), found.max(axis=0)
    assert (middle[:3] > 16).all()
    assert (top > [20, 22, 22, 19, 15]).all()
    assert (found.min(axis=0) < [18, 19, 18, 15, 11]).all(), "flat chests must stay in it"


def test_a_kyphosis_lifts_the_backs_of_upper_ribs(bodies: list[Body]) -> None:
    lean = []
    for body in bodies:
        chord = body.landmarks["T1"] - body.landmarks["T4"]
        lean.append(np.degrees(np.arctan2(chord[1], chord[2])))
    rise = np.polyfit(lean, [height(body, 3, 35.0) for body in bodies], 1)[0]
    assert rise > 0.1, "mm a degree"


def test_a_leaning_vertebra_takes_its_rib_along() -> None:
    chest = draw_chest(np.random.default_rng(0), STRAIGHT)
    column = draw_column(np.random.default_rng(0), STRAIGHT)

    def neck_height(degrees: float) -> float:
        frame = column.frames["T4"]
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        axes = np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
        leaning = Frame(frame.centre, axes, frame.size)
        own = Column(column.levels, column.frames | {"T4": leaning}, column.facts)
        bone = shape_vertebra(atlas(), "T4", leaning, 1.0)
        line = rib_path(own, bone, "T4", sign=1.0, chest=chest, fall=0.0)
        return float(line[np.argmax(line[:, 0] - frame.centre[0] > 35), 2] - frame.centre[2])

    heights = [neck_height(degrees) for degrees in (10.0, 25.0, 40.0)]
    assert all(3 < high - low < 10 for low, high in pairwise(heights))


def test_transverse_processes_of_the_upper_chest_point_up() -> None:
    column = draw_column(np.random.default_rng(1), STRAIGHT)
    for level, least in (("T1", 6.0), ("T2", 5.0), ("T3", 4.0)):  # the mask: 9, 8, 6 mm
        frame = column.frames[level]
        local = frame.local(shape_vertebra(atlas(), level, frame, 1.0).vertices)
        tips = local[np.argsort(np.abs(local[:, 0]))[-12:]]
        assert tips[:, 2].mean() > least


def test_only_what_lies_beyond_the_angle_comes_forward() -> None:
    line = rib_lines()[6]
    moved = _beyond_angle(line)
    out = line[:, 0] / line[:, 0].max()
    assert (moved[: np.argmax(out > 0.4)] == 0).all()
    assert moved[-1] == 1
    assert (np.diff(moved) >= 0).all()


def test_chests_come_as_deep_as_a_real_one(bodies: list[Body]) -> None:
    # At 70 mm beside the spine rib 5 of LIDC-IDRI-0001 lies 9 mm behind its body's centre.
    def behind(body: Body) -> float:
        line = centre_line(body, 5, "right")
        return float(line[np.argmax(line[:, 0] > 70.0), 1])

    found = [behind(body) for body in bodies]
    assert max(found) > -12
    assert min(found) < -18
