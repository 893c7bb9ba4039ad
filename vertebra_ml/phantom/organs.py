"""Organs, vessels and bowel, with and without contrast agent, placed by the levels of the spine."""

from dataclasses import dataclass, replace

import numpy as np

from vertebra_ml.phantom.canvas import Array, ellipsoid, tube
from vertebra_ml.phantom.habits import Habits
from vertebra_ml.phantom.tissue import Scene

GAS_HU = -950.0


@dataclass(frozen=True)
class Agent:
    """Where contrast agent is in this scan: HU of blood and organs."""

    arteries: float
    veins: float
    liver: float
    spleen: float
    cortex: float
    medulla: float
    urine: float
    bowel: float
    inflow: float


def draw_agent(rng: np.random.Generator, habits: Habits) -> Agent:
    """Draw the contrast of a scan: none, arterial, portal venous or late."""
    bowel = rng.uniform(*habits.oral_hu) if rng.random() < habits.oral_rate else 0.0
    urine = rng.uniform(300, 1800) if rng.random() < habits.excretion_rate else 8.0
    inflow = rng.uniform(500, 2200) if rng.random() < habits.inflow_rate else 0.0
    if rng.random() >= habits.contrast_rate:
        blood = rng.uniform(34, 50)
        return Agent(blood, blood, rng.uniform(20, 66), 48, 33, 33, 6, bowel, 0)
    peak, phase = rng.uniform(*habits.blood_hu), rng.uniform(0, 1)
    early = 1 - phase  # 1 just after the injection, 0 minutes later
    return Agent(
        arteries=max(120.0, peak * (0.45 + 0.55 * early)),
        veins=60 + (0.45 * peak) * min(1, 2 * phase) * 0.8,
        liver=60 + 55 * min(1.0, 1.6 * phase) * min(1, peak / 250),
        spleen=60 + 75 * min(1.0, 2.5 * phase + 0.2) * min(1, peak / 250),
        cortex=130 + 0.25 * peak,
        medulla=40 + (90 + 0.25 * peak) * phase,
        urine=urine if phase > 0.5 else 8.0,
        bowel=bowel,
        inflow=inflow * (early > 0.5),
    )


def paint_organs(scene: Scene, agent: Agent) -> None:
    """Paint the organs of chest and belly over the cavities of ``scene``."""
    _liver_and_spleen(scene, agent)
    _bowel(scene, agent)
    _kidneys(scene, agent)
    _pelvis(scene, agent)
    _heart(scene, agent)
    _airway(scene)
    _great_vessels(scene, agent)


def _at(scene: Scene, level: str, right: float, front: float, up: float = 0.0) -> Array:
    """Return a point (3,) mm beside the spine, at the height that organs take for a level."""
    result: Array = scene.slide.point(scene.guide, level) + np.array([right, front, up])
    return result


def _liver_and_spleen(scene: Scene, agent: Agent) -> None:
    rng = scene.rng
    size = rng.uniform(0.88, 1.15)
    centre = _at(scene, "T12", 58, 62, rng.uniform(-5, 25))
    _liver(scene, centre, size * np.array([105.0, 90, 92]), agent)
    spleen = _at(scene, "T11", -rng.uniform(82, 104), rng.uniform(0, 22), rng.uniform(-20, 12))
    ellipsoid(scene.canvas, spleen, size * np.array([26.0, 48, 50]) * rng.uniform(0.8, 1.25, 3),
              hu=agent.spleen, wobble=scene.wobble, bend=0.1)  # fmt: skip
    for _ in range(7):  # hepatic and portal veins
        start, end = centre + rng.normal(0, 12, 3), centre + rng.normal(0, 38, 3)
        line = np.array([start, end])
        tube(scene.canvas, line, rng.uniform(2, 5), hu=max(agent.veins, 40.0))


def _liver(scene: Scene, centre: Array, radii: Array, agent: Agent) -> None:
    """Paint a wedge under the right dome, thinner to the left and to the front edge."""
    part = scene.part(centre - 1.15 * radii, centre + 1.15 * radii)
    if part is None:
        return
    canvas = part.canvas
    x, y, z = canvas.axes_mm
    middle, half = centre.astype(np.float32), radii.astype(np.float32)
    steps = [((a - c) / r) ** 2 for a, c, r in zip((x, y, z), middle, half, strict=True)]
    depth = (1 - np.sqrt(sum(steps)) + 0.06 * part.wobble) * np.float32(radii.min())
    spine_y = scene.guide.spine(z)[1]
    depth = np.minimum(depth, np.minimum(part.depth_cage - 3, part.dome_mm - 5 - z))
    slope = y - spine_y + np.float32(4 - centre[0]) + x
    depth = np.minimum(depth, np.minimum(part.depth_cavity - 2, slope))
    canvas.blend(canvas.inside(depth), np.float32(agent.liver) + 6 * part.texture)


def _kidneys(scene: Scene, agent: Agent) -> None:
    rng, canvas = scene.rng, scene.canvas
    for side, level in ((1, "L2"), (-1, "L1")):
        size = rng.uniform(0.85, 1.15)
        up = rng.uniform(*scene.habits.kidney_mm) + (8 if side > 0 else -6)
        centre = _at(scene, level, side * rng.uniform(52, 70), rng.uniform(-6, 14), up)
        tilt = np.array([[1, 0, side * -0.22], [0, 1, 0.12], [0, 0, 1.0]])
        ellipsoid(canvas, centre, size * np.array([40.0, 36, 66]), hu=-98.0,
                  wobble=scene.wobble, bend=0.15)  # fmt: skip
        poles = [centre + size * (tilt @ np.array([0, 0, h])) for h in (-27.0, 0, 27)]
        tube(canvas, np.array(poles), size * np.array([24.0, 28, 24]), hu=agent.cortex)
        for pole in (poles[0], poles[1], poles[2], (poles[0] + poles[1]) / 2):
            inner = pole + rng.normal(0, 3, 3) - [side * 3, 0, 0]
            ellipsoid(canvas, inner, size * np.array([14.0, 15, 11]), hu=agent.medulla)
        hilum = centre - [side * 14, 0, 0]
        ellipsoid(canvas, hilum, size * np.array([13.0, 9, 17]), hu=-60.0)
        ellipsoid(
            canvas, hilum + np.array([side * 2, 0, 0]), np.array([8.0, 7, 14]), hu=agent.urine
        )
        if agent.urine > 100:
            end = _at(scene, "L5", side * 32, 22, -20)
            tube(canvas, np.array([hilum, (hilum + end) / 2 + [0, 8, 0], end]), 2.2,
                 hu=0.7 * agent.urine)  # fmt: skip


def _bowel(scene: Scene, agent: Agent) -> None:
    rng = scene.rng
    gas = rng.uniform(*scene.habits.gas_rate)
    low, high = _at(scene, "L5", 0, 0, -40)[2], _at(scene, "L1", 0, 0, 10)[2]
    for _ in range(60):  # loops of small bowel
        z = rng.uniform(low, high)
        x, y = scene.guide.spine(z)
        centre = np.array([x + rng.uniform(-100, 100), y + rng.uniform(45, 135), z])
        if _depth_at(scene, centre) > 14:
            _loop(scene, centre, rng.uniform(9, 17), rng.random() < 0.4 * gas, agent)
    for side in (1, -1):  # the colon on both sides
        spots = [(side * rng.uniform(88, 112), *rng.uniform([18, -9], [45, 9])) for _ in range(3)]
        levels = ("L5", "L3", "L1")
        line = [_at(scene, name, *spot) for name, spot in zip(levels, spots, strict=True)]
        _colon(scene, np.array(line), gas, agent)
    across = rng.uniform(60, 110)
    level = rng.choice(["L1", "L2", "L3"])
    line = [_at(scene, level, x, across + 0.003 * -(x**2), up)
            for x, up in ((95, 25), (40, -10), (0, -22), (-45, -5), (-95, 35))]  # fmt: skip
    _colon(scene, np.array(line), gas, agent)
    stomach = _at(scene, "T12", -55, rng.uniform(60, 95), rng.uniform(-10, 25))
    filled = agent if rng.random() < 0.3 else replace(agent, bowel=0.0)
    _loop(scene, stomach, rng.uniform(26, 42), rng.random() < 0.7, filled)


def _depth_at(scene: Scene, point: Array) -> float:
    place = np.round((point - scene.canvas.origin_mm) / scene.canvas.spacing_mm).astype(int)
    if (place < 0).any() or (place >= scene.canvas.array.shape).any():
        return -1.0
    return float(scene.depth_cavity[tuple(place)])


def _loop(scene: Scene, centre: Array, radius: float, gassy: bool, agent: Agent) -> None:
    rng, canvas = scene.rng, scene.canvas
    radii = radius * rng.uniform(0.8, 1.5, 3)
    ellipsoid(canvas, centre, radii, hu=42.0, wobble=scene.wobble, bend=0.12)
    content = agent.bowel if agent.bowel and rng.random() < 0.7 else rng.uniform(5, 35)
    ellipsoid(canvas, centre, radii - 2.5, hu=content, wobble=scene.wobble, bend=0.12)
    if gassy:  # gas rises to the front of a patient on the back
        ellipsoid(
            canvas,
            centre + np.array([0, 0.45 * radii[1], 0]),
            (radii - 3) * [0.8, 0.5, 0.8],
            hu=GAS_HU,
        )


def _colon(scene: Scene, line: Array, gas: float, agent: Agent) -> None:
    rng, canvas = scene.rng, scene.canvas
    radius = rng.uniform(14, 24)
    tube(canvas, line, radius, hu=45.0)
    stool = agent.bowel * rng.uniform(0.3, 1) if agent.bowel and rng.random() < 0.5 else 10.0
    tube(canvas, line, radius - 3, hu=stool)
    for place in rng.uniform(0, len(line) - 1, 14):
        low = int(place)
        point = line[low] + (place - low) * (line[min(low + 1, len(line) - 1)] - line[low])
        if rng.random() < gas:
            radii = rng.uniform(0.35, 0.85, 3) * radius
            place = point + np.array([0, 4, 0])
            ellipsoid(canvas, place, radii, hu=GAS_HU, wobble=scene.wobble, bend=0.2)
        else:
            ellipsoid(canvas, point, rng.uniform(0.3, 0.6, 3) * radius, hu=rng.uniform(-60, 90),
                      wobble=scene.wobble, bend=0.3)  # fmt: skip


def _pelvis(scene: Scene, agent: Agent) -> None:
    rng, canvas = scene.rng, scene.canvas
    bones = scene.guide.cloud("pelvis")
    x, y, z = bones.mean(axis=0)
    size = rng.uniform(0.6, 1.25)
    bladder = np.array([x, y + rng.uniform(15, 35), z - rng.uniform(0, 35)])
    ellipsoid(canvas, bladder, size * np.array([42.0, 34, 30]), hu=45.0)
    ellipsoid(canvas, bladder, size * np.array([39.0, 31, 27]), hu=min(agent.urine, 900.0))
    behind = bladder - [0, 45, -5]
    ellipsoid(canvas, behind + np.array([0, 12, 0]), np.array([28.0, 18, 26]), hu=55.0,
              wobble=scene.wobble, bend=0.1)  # fmt: skip
    sacrum = scene.guide.cloud("sacrum")
    rectum = np.array([x, sacrum[:, 1].mean() + 32, z])
    _loop(scene, rectum, rng.uniform(14, 24), rng.random() < 0.5, agent)


def _heart(scene: Scene, agent: Agent) -> None:
    rng, canvas = scene.rng, scene.canvas
    size = rng.uniform(0.85, 1.2)
    centre = _at(scene, "T8", -22, rng.uniform(62, 82), rng.uniform(-18, 12))
    ellipsoid(canvas, centre, size * np.array([64.0, 50, 58]), hu=-90.0)
    ellipsoid(canvas, centre, size * np.array([58.0, 45, 52]), hu=50 + 0.25 * agent.veins)
    rooms = (([-24.0, 8, -8], 28, agent.arteries), ([24.0, 10, -4], 24, agent.veins),
             ([0.0, -22, 14], 23, agent.arteries), ([4.0, 24, 0], 24, agent.veins))  # fmt: skip
    for offset, radius, hu in rooms:
        ellipsoid(canvas, centre + size * np.array(offset), size * np.full(3, float(radius)), hu=hu,
                  wobble=scene.wobble, bend=0.1)  # fmt: skip


def _airway(scene: Scene) -> None:
    canvas = scene.canvas
    spots = [("C3", 26), ("C5", 28), ("C7", 30), ("T1", 32), ("T3", 36), ("T5", 38)]
    line = np.array([_at(scene, name, 0, front) for name, front in spots])
    tube(canvas, line, 10.5, hu=40.0)
    tube(canvas, line, 8.0, hu=GAS_HU)
    for side in (-1, 1):
        tube(canvas, np.array([line[-1], line[-1] + [side * 36, -4, -34]]), 6.5, hu=GAS_HU)
    gullet = np.array([_at(scene, name, -5, front) for name, front in
                       (("C6", 16), ("T2", 20), ("T6", 26), ("T10", 34))])  # fmt: skip
    tube(canvas, gullet, 6.0, hu=40.0)


def _great_vessels(scene: Scene, agent: Agent) -> None:
    rng, canvas = scene.rng, scene.canvas
    wide = rng.uniform(0.85, 1.3)
    way = [("T4", -16, 36), ("T6", -24, 12), ("T9", -16, 22), ("T12", -4, 34), ("L2", -9, 36),
           ("L4", -4, 38)]  # fmt: skip
    down = np.array([_at(scene, n, x + rng.normal(0, 3), y + rng.normal(0, 2)) for n, x, y in way])
    arch = np.array([_at(scene, "T7", 10, 68), _at(scene, "T5", 12, 74), _at(scene, "T4", 2, 62, 6),
                     down[0]])  # fmt: skip
    tube(canvas, arch, 15 * wide, hu=agent.arteries)
    tube(canvas, down, wide * np.array([12.5, 12, 11.5, 10.5, 9, 8]), hu=agent.arteries)
    ends = [_at(scene, "L5", side * 34, 36, -25) for side in (-1, 1)]
    for end in ends:
        groin = end + np.array([np.sign(end[0] - down[-1, 0]) * 35, 15, -70])
        tube(canvas, np.array([down[-1], end, groin]), 5.5 * wide, hu=agent.arteries)
        tube(canvas, np.array([_at(scene, "L5", 8, 34), end - [0, 10, 0], groin - [0, 10, 0]]), 6.5,
             hu=agent.veins)  # fmt: skip
    cava = [_at(scene, n, x, y) for n, x, y in (("L5", 8, 34), ("L3", 17, 36), ("L1", 20, 40),
                                               ("T10", 24, 52), ("T9", 20, 60))]  # fmt: skip
    tube(canvas, np.array(cava), 10.5, hu=agent.veins)
    _upper_vessels(scene, agent, down)


def _upper_vessels(scene: Scene, agent: Agent, aorta: Array) -> None:
    rng, canvas = scene.rng, scene.canvas
    vein = agent.inflow if agent.inflow else agent.veins
    cava = np.array([_at(scene, "T7", 26, 60), _at(scene, "T5", 28, 56), _at(scene, "T3", 26, 58)])
    tube(canvas, cava, 9.0, hu=vein)
    side = rng.choice([-1, 1])
    arm = np.array([cava[-1], _at(scene, "T2", side * 50, 55), _at(scene, "T1", side * 110, 40)])
    tube(canvas, arm, 6.0, hu=vein)
    lung = _at(scene, "T6", -6, 52)
    for turn in (-1, 1):
        tube(canvas, np.array([lung, lung + np.array([turn * 45, -14, -4])]), 9.5, hu=agent.veins)
        neck = np.array([_at(scene, "T4", turn * 8, 58), _at(scene, "T1", turn * 22, 40),
                         _at(scene, "C4", turn * 26, 22)])  # fmt: skip
        tube(canvas, neck, 4.0, hu=agent.arteries)
        tube(canvas, neck + np.array([turn * 9, 2, 0]), 5.0, hu=agent.veins)
        tube(
            canvas,
            np.array(
                [
                    _at(scene, "T3", turn * 22, 45),
                    _at(scene, "T1", turn * 70, 45, 5),
                    _at(scene, "T2", turn * 130, 35),
                ]
            ),
            4.5,
            hu=agent.arteries,
        )
    for level, right in (("L1", 48), ("L1", -48)):  # renal arteries
        start = aorta[3] + (aorta[4] - aorta[3]) * 0.4
        tube(canvas, np.array([start, _at(scene, level, right, 10)]), 3.0, hu=agent.arteries)
    gut = aorta[3] + (aorta[4] - aorta[3]) * 0.2
    tube(
        canvas,
        np.array([gut, gut + np.array([0, 25, -20]), gut + np.array([8, 38, -110])]),
        3.5,
        hu=agent.arteries,
    )
