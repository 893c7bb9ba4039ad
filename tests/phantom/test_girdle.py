"""Shoulder blades against the texts (T2 to T7, 5 to 6 cm from the midline) and a real chest."""

from dataclasses import replace

import numpy as np
import pytest

from vertebra_ml.phantom.bones import Body
from vertebra_ml.phantom.pose import draw_body
from vertebra_ml.phantom.ranges import TRAINING

SEEDS = range(14)
STRAIGHT = replace(
    TRAINING, scoliosis_rate=0.0, turn_deg=(0.0, 0.0), lean_deg=(0.0, 0.0), nod_deg=(0.0, 0.0)
)


def blade(body: Body, side: str = "right") -> np.ndarray:
    """Return the vertices (n, 3) of a shoulder blade, mm from T4's centre."""
    bone = next(bone for bone in body.bones if bone.name == f"scapula_{side}")
    placed: np.ndarray = bone.vertices - body.landmarks["T4"]
    return placed


@pytest.mark.parametrize("up", [True, False], ids=["arms up", "arms down"])
def test_blades_lie_beside_the_spine_from_about_t2_to_t7(up: bool) -> None:
    ranges = replace(STRAIGHT, arms_up_rate=float(up))
    bodies = [draw_body(np.random.default_rng(seed), ranges) for seed in SEEDS]
    inner = np.array([blade(body)[:, 0].min() for body in bodies])
    assert 50 < np.median(inner) < 72
    assert inner.min() < 48, "as near as in LIDC-IDRI-0001: 51 and 43 mm"
    tall = np.array([np.ptp(blade(body)[:, 2]) for body in bodies])
    assert 145 < np.median(tall) < 190
    for body in bodies:
        foot = blade(body)[:, 2].min() + body.landmarks["T4"][2]
        assert body.landmarks["T11"][2] < foot < body.landmarks["T5"][2]


def test_an_arm_hangs_on_its_blade() -> None:
    for seed in SEEDS:
        body = draw_body(np.random.default_rng(seed), STRAIGHT)
        arm = next(bone.vertices for bone in body.bones if bone.name == "humerus_right")
        away = np.linalg.norm(
            arm[:, None] - (blade(body) + body.landmarks["T4"])[None, ::4], axis=2
        )
        assert away.min() < 12
