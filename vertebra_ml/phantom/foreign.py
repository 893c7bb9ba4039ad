"""What is in or on a patient and is not the patient: table, cables, metal, plaque."""

import numpy as np

from vertebra_ml.phantom.bones import Body
from vertebra_ml.phantom.canvas import Array, Canvas, ellipsoid, tube
from vertebra_ml.phantom.guide import Guide
from vertebra_ml.phantom.habits import Habits
from vertebra_ml.phantom.tissue import Outline

METAL_HU = 3071.0
STENT_MM = (7.0, 17.0)
"""Radius of a stent: from a narrow to a wide aorta."""


def paint_table(
    canvas: Canvas, surface_mm: float, middle_mm: float, side: int, rng: np.random.Generator
) -> None:
    """Paint a table whose top touches ``surface_mm`` (y) under a body centred at ``middle_mm`` (x).

    ``side`` is -1 for a table behind the patient, 1 for one in front (patient prone).
    """
    x, y, _ = canvas.axes_mm
    hollow = rng.uniform(0, 1) / rng.uniform(600, 1800)
    shape = (x - middle_mm) ** 2 * hollow
    mattress = rng.uniform(0, 35)
    # Depth below the surface: positive into the table.
    depth = (y - surface_mm) * side - rng.uniform(1, 6) + shape
    width = rng.uniform(190, 270)
    along = np.clip(width - np.abs(x - middle_mm), -1, 1) / 2 + 0.5
    layers = [
        (0.0, mattress, rng.uniform(-990, -850)),
        (mattress, mattress + rng.uniform(1, 4), rng.uniform(-500, 650)),
        (mattress + 4, mattress + 40, rng.uniform(-990, -900)),
        (mattress + 40, mattress + 40 + rng.uniform(1, 4), rng.uniform(-600, 650)),
    ]
    edge = float(canvas.spacing_mm[1])
    rows = np.flatnonzero((depth.max(axis=(0, 2)) > -2) & (depth.min(axis=(0, 2)) < 90))
    if not len(rows):
        return
    cut = slice(int(rows[0]), int(rows[-1]) + 1)
    part = canvas.array[:, cut]
    for start, stop, hu in layers:
        within = np.clip((depth[:, cut] - start) / edge + 0.5, 0, 1)
        within = within * np.clip((stop - depth[:, cut]) / edge + 0.5, 0, 1) * along
        empty = part < -600  # a table lies in air: it never cuts into the body
        part += np.where(empty, within * (np.float32(hu) - part), 0)


def paint_foreign(
    canvas: Canvas, guide: Guide, outline: Outline, rng: np.random.Generator, habits: Habits
) -> list[str]:
    """Draw and paint foreign bodies; return the names of those that this patient has."""
    chances = {
        "plaque": (habits.plaque_rate, _plaques),
        "clips": (habits.clips_rate, _clips),
        "screws": (habits.screws_rate, _screws),
        "hip": (habits.hip_rate, _hip),
        "stent": (habits.stent_rate, _stent),
        "cement": (habits.cement_rate, _cement),
        "sternum_wires": (habits.sternum_wire_rate, _sternum_wires),
    }
    present = [name for name, (rate, _) in chances.items() if rng.random() < rate]
    for name in present:
        chances[name][1](canvas, guide, rng)
    if rng.random() < habits.wires_rate:
        _leads(canvas, guide, outline, rng)
        present.append("leads")
    return present


def _aorta(guide: Guide, rng: np.random.Generator) -> Array:
    name = rng.choice(
        ["T6", "T9", "T11", "L1", "L2", "L3", "L4"], p=[0.08, 0.08, 0.1, 0.14, 0.2, 0.2, 0.2]
    )
    front = {"T6": 12.0, "T9": 22.0, "T11": 30.0}.get(str(name), 36.0)
    place: Array = guide.level(str(name)) + np.array([-8.0 if front > 30 else -17.0, front, 0])
    return place


def _plaques(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 26)):
        turn = rng.uniform(0, 2 * np.pi)
        rim = np.array([np.cos(turn), np.sin(turn), 0]) * rng.uniform(8, 11)
        place = _aorta(guide, rng) + rim + [0, 0, rng.uniform(-15, 15)]
        ellipsoid(canvas, place, rng.uniform(0.8, 3.0, 3), hu=rng.uniform(300, 1100))


def _clips(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    centre = guide.level(str(rng.choice(["T8", "T11", "L1", "L3", "L5"])))
    centre = centre + np.array([rng.uniform(-80, 80), rng.uniform(10, 100), rng.uniform(-20, 20)])
    for _ in range(rng.integers(1, 9)):
        start = centre + rng.normal(0, 14, 3)
        tube(canvas, np.array([start, start + rng.normal(0, 4, 3)]), 0.9, hu=METAL_HU)


def _screws(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    body: Body = guide.body
    names = [n for n in body.landmarks.labels if n in body.frames and n[0] in "TL"]
    last = int(rng.integers(5, len(names) + 1))
    chosen = names[last - int(rng.integers(2, 6)) : last]
    for side in (-1, 1):
        heads = []
        for name in chosen:
            frame = body.frames[name]
            w, d, _ = frame.size
            ends = np.array([[0.48 * w * side, -1.15 * d, 2], [0.2 * w * side, 0.3 * d, 0]])
            line = frame.place(ends)
            tube(canvas, line, rng.uniform(2.3, 3.2), hu=METAL_HU)
            heads.append(line[0])
        tube(canvas, np.array(heads), 2.8, hu=METAL_HU)
        for head in heads:
            ellipsoid(canvas, head, np.full(3, 6.0), hu=METAL_HU)


def _hip(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    side = rng.choice([-1, 1])
    femora = guide.cloud("femur")
    if not len(femora):
        return
    femur = femora[(femora[:, 0] - femora[:, 0].mean()) * side > 0]
    top = femur[femur[:, 2] > femur[:, 2].max() - 45]
    head = top[np.argsort((top[:, 0]) * side)[: len(top) // 2]].mean(axis=0)
    shaft = femur[femur[:, 2] < femur[:, 2].max() - 90].mean(axis=0)
    ellipsoid(canvas, head, np.full(3, 17.0), hu=METAL_HU)
    knee = head + (shaft - head) * 0.35 + [side * 14, 0, 0]
    tube(canvas, np.array([head, knee, shaft]), np.array([6.0, 8, 5]), hu=METAL_HU)


def _stent(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    """Paint a mesh of wire round the aorta's blood, in the belly or over most of the chest."""
    ways = (["L1", "L2", "L3", "L4"], ["T5", "T6", "T7", "T8"], ["T4", "T6", "T9", "T11"])
    names, radius = ways[int(rng.integers(3))], rng.uniform(*STENT_MM)
    spots = np.array(
        [guide.level(n) + ([-8, 36, 0] if n[0] == "L" else [-18, 20, 0]) for n in names]
    )
    turns = np.linspace(0, 1, 160)
    line = np.stack([np.interp(turns, np.linspace(0, 1, 4), spots[:, a]) for a in range(3)], axis=1)
    angle = turns * 2 * np.pi * 14
    line[:, 0] += radius * np.cos(angle)
    line[:, 1] += radius * np.sin(angle)
    line[:, 2] += 5 * np.sin(7.3 * angle)
    tube(canvas, line, 0.6, hu=rng.uniform(1500, METAL_HU))


def _cement(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    names = [n for n in guide.body.frames if n[0] in "TL"]
    for name in rng.choice(names, int(rng.integers(1, 3)), replace=False):
        frame = guide.body.frames[str(name)]
        for _ in range(3):
            place = frame.place(rng.normal(0, 0.12, (1, 3)) * frame.size)[0]
            radii = frame.size * rng.uniform(0.12, 0.26, 3)
            ellipsoid(canvas, place, radii, hu=rng.uniform(1200, 2400))


def _sternum_wires(canvas: Canvas, guide: Guide, rng: np.random.Generator) -> None:
    points = guide.cloud("sternum")
    if not len(points):
        return
    low, high = points[:, 2].min(), points[:, 2].max()
    for height in np.linspace(low + 0.25 * (high - low), high - 10, int(rng.integers(4, 8))):
        near = points[np.abs(points[:, 2] - height) < 12]
        if len(near):
            turns = np.linspace(0, 2 * np.pi, 20)
            x, y, z = near.mean(axis=0)
            ring = [x + 12 * np.cos(turns), y + 9 * np.sin(turns), z + rng.normal(0, 1, 20)]
            tube(canvas, np.stack(ring, axis=1), 0.7, hu=METAL_HU)


def _leads(canvas: Canvas, guide: Guide, outline: Outline, rng: np.random.Generator) -> None:
    """Cables of an ECG on the skin of the chest."""
    for _ in range(int(rng.integers(1, 4))):
        start = guide.level("T3")[2] + rng.uniform(-30, 40)
        stop = guide.level(str(rng.choice(["T8", "T11", "L2"])))[2]
        heights = np.linspace(start, stop, 24)
        place = rng.uniform(0.1, 0.4) + 0.1 * np.sin(np.linspace(0, 4, 24) + rng.uniform(0, 6))
        node = (heights - guide.nodes_mm[0]) / (guide.nodes_mm[1] - guide.nodes_mm[0])
        node = np.clip(node.astype(int), 0, len(guide.nodes_mm) - 1)
        turn = 2 * np.pi * place
        away = outline.skin[node, np.round(place * outline.skin.shape[1]).astype(int)] + 3
        middle = guide.centre_mm[node]
        line = [middle[:, 0] + away * np.cos(turn), middle[:, 1] + away * np.sin(turn), heights]
        points = np.stack(line, axis=1)
        tube(canvas, points, 0.9, hu=rng.uniform(400, 2500))
        ellipsoid(canvas, points[-1], np.array([7.0, 4, 7]), hu=rng.uniform(200, 1800))
