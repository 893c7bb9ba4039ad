"""The bones of one person, read from the meshes of the package myo-sim and named.

Source: MyoHub/myo_sim 0.2.4 (Apache-2.0), whose OpenSim geometry is one coarse adult skeleton with
the arms down. World here: RAS+ mm, origin at the trunk's joint with the pelvis.
"""

import functools
import importlib.util
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from vertebra_ml.anatomy import USUAL
from vertebra_ml.errors import DatasetError
from vertebra_ml.landmarks import Landmarks
from vertebra_ml.phantom.meshes import Array, Faces, pieces, read_stl, subdivide, weld

KINDS: Final = (
    "vertebra", "disc", "rib", "cartilage", "sternum", "scapula", "clavicle", "skull", "jaw",
    "sacrum", "pelvis", "femur", "humerus",
)  # fmt: skip
"""``humerus`` also holds the bones of the forearm."""

WELD_M: Final = 1e-6
TRUNK_ON_PELVIS_MM: Final = np.array([0.0, -100.7, 81.5])
"""The trunk's origin in the frame of the pelvis (RAS): the back joint of the gait model."""
HIP_MM: Final = np.array([83.5, -70.7, -66.1])
"""The right hip's centre in the frame of the pelvis (RAS); the left mirrored."""
DISCS_BELOW: Final = USUAL[1:]
"""The levels under which a disc lies, head to foot: C2 to L5."""
UPPER_NECK: Final = {
    "C2": (np.array([0.0, -0.5, 18.5]), 16.0),
    "C1": (np.array([0.0, 5.5, 26.0]), 12.0),
}
"""Centre against C3's and height of the two without a disc above. Real annotators set C2's point
high, at the foot of the dens, and C1's in the front arch."""
BEHIND_DISC_MM: Final = {
    "T1": 1.0, "T2": 1.0, "T7": 1.0, "T8": 3.5, "T9": 3.0, "T10": 3.5, "T11": 3.5, "T12": 5.0,
    "L1": 1.0, "L2": 1.0, "L3": 3.0,
}  # fmt: skip
"""How far the back wall of a body stands behind the rims of the discs that its frame is found
between. Without it the landmarks of T8 to T12 lay 2 to 3 mm before the middle of what is painted,
as ``readers.mask_centres`` finds it."""
PIECE_SIZES: Final = {
    "rib": range(48, 100),
    "scapula": range(798, 799),
    "clavicle": range(264, 265),
}
"""Vertices of a piece of hat_ribs_scap; the rest is cartilage, sternum and a maker's badge."""


@dataclass(frozen=True, eq=False)
class Bone:
    """One bone: vertices (n, 3) RAS mm, faces (m, 3) into them, and what it is.

    ``name`` is unique in a body: ``L3``, ``disc_L3`` (below L3), ``rib_7_right``, ``sternum``.
    """

    name: str
    kind: str
    vertices: Array
    faces: Faces


@dataclass(frozen=True, eq=False)
class Frame:
    """Where a vertebral body lies.

    Parameters
    ----------
    centre : (3,) RAS mm.
    axes : (3, 3), rows the body's own right, front and head directions, unit length.
    size : (3,) width, depth and height of the body in mm.
    """

    centre: Array
    axes: Array
    size: Array

    def place(self, local: Array) -> Array:
        """Return (n, 3) world points of (n, 3) points in mm along the body's own axes."""
        return self.centre + local @ self.axes

    def local(self, world: Array) -> Array:
        """Return (n, 3) points along the body's own axes of (n, 3) world points."""
        return (world - self.centre) @ self.axes.T


@dataclass(frozen=True, eq=False)
class Body:
    """A whole skeleton and what was drawn to make it.

    Parameters
    ----------
    bones : every bone, each name once.
    landmarks : the body centre of every vertebra that this person has.
    facts : what was drawn: size, curves, variants, crest height, arms.
    frames : the frame of each vertebra by level.
    """

    bones: tuple[Bone, ...]
    landmarks: Landmarks
    facts: dict[str, float | str | bool]
    frames: dict[str, Frame]

    def of(self, kind: str) -> tuple[Bone, ...]:
        """Return the bones of a kind."""
        return tuple(bone for bone in self.bones if bone.kind == kind)


@dataclass(frozen=True, eq=False)
class Atlas:
    """The one skeleton all bodies are made from: bones by name, and frames of its vertebrae."""

    bones: dict[str, Bone]
    frames: dict[str, Frame]


@functools.cache
def atlas() -> Atlas:
    """Return the named skeleton of myo-sim; read once a process."""
    found = [
        *_column(),
        *_chest(),
        *_whole("hat_skull", "skull", "skull"),
        *_whole("hat_jaw", "jaw", "jaw"),
        *_pelvis(),
        *_arms(),
    ]
    bones = {bone.name: bone for bone in found}
    return Atlas(bones, _frames(bones))


def mesh_folder() -> Path:
    """Return the folder of myo-sim's meshes, without importing the package (it wants mujoco).

    Raises DatasetError where the package is not installed.
    """
    spec = importlib.util.find_spec("myo_sim")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError(
            "package myo-sim",
            found="not installed",
            expected="myo-sim 0.2.4, whose meshes are the phantom's bones",
            fix="run make setup",
        )
    return Path(spec.submodule_search_locations[0]) / "models" / "meshes"


def _mesh(stem: str) -> tuple[Array, Faces]:
    vertices, faces = weld(read_stl(mesh_folder() / f"{stem}.stl"), WELD_M)
    # x forward, y up, z right (metres) -> x right, y front, z head (mm); an even permutation.
    return vertices[:, [2, 0, 1]] * 1000, faces


def _whole(stem: str, name: str, kind: str) -> list[Bone]:
    return [Bone(name, kind, *_mesh(stem))]


def _column() -> list[Bone]:
    vertebrae: list[tuple[Array, Faces]] = []
    discs: list[tuple[Array, Faces]] = []
    for stem in ("hat_cervical", "hat_thoracic", "hat_lumbar"):
        for vertices, faces in pieces(*_mesh(stem)):
            (discs if len(vertices) < 100 else vertebrae).append((vertices, faces))
    vertebrae.sort(key=lambda part: -_middle_height(part[0]))
    discs.sort(key=lambda part: -_middle_height(part[0]))
    named = [
        Bone(level, "vertebra", *subdivide(*part))
        for level, part in zip(USUAL, vertebrae, strict=True)
    ]
    below = [
        Bone(f"disc_{level}", "disc", *part) for level, part in zip(DISCS_BELOW, discs, strict=True)
    ]
    return named + below


def _middle_height(vertices: Array) -> float:
    return float((vertices[:, 2].min() + vertices[:, 2].max()) / 2)


def _chest() -> list[Bone]:
    parts = pieces(*_mesh("hat_ribs_scap"))
    found = []
    for side, sign in (("right", 1), ("left", -1)):
        own = [part for part in parts if (part[0][:, 0] * sign > 0).all()]
        ribs = [part for part in own if len(part[0]) in PIECE_SIZES["rib"]]
        ribs.sort(key=lambda part: -part[0][:, 2].max())
        found += [Bone(f"rib_{n}_{side}", "rib", *part) for n, part in enumerate(ribs, start=1)]
        for kind in ("scapula", "clavicle"):
            part = next(part for part in own if len(part[0]) in PIECE_SIZES[kind])
            found.append(Bone(f"{kind}_{side}", kind, *subdivide(*part)))
    front = min(parts, key=lambda part: abs(len(part[0]) - 723))
    return [*found, Bone("sternum", "sternum", *front)]


def _pelvis() -> list[Bone]:
    found = []
    for stem, name, kind in (
        ("sacrum", "sacrum", "sacrum"),
        ("r_pelvis", "pelvis_right", "pelvis"),
        ("l_pelvis", "pelvis_left", "pelvis"),
    ):
        vertices, faces = subdivide(*_mesh(stem))
        found.append(Bone(name, kind, vertices - TRUNK_ON_PELVIS_MM, faces))
    for stem, name, sign in (("r_femur", "femur_right", 1), ("l_femur", "femur_left", -1)):
        vertices, faces = _mesh(stem)
        hip = HIP_MM * [sign, 1, 1] - TRUNK_ON_PELVIS_MM
        found.append(Bone(name, "femur", vertices + hip, faces))
    return found


def _arms() -> list[Bone]:
    """Return the bones of the arm, each with its upper joint at the origin, hanging down."""
    found = []
    for stem in ("humerus", "radius", "ulna"):
        vertices, faces = _mesh(stem)
        found.append(Bone(f"{stem}_right", "humerus", vertices, faces))
        found.append(Bone(f"{stem}_left", "humerus", vertices * [-1, 1, 1], faces[:, ::-1]))
    return found


def _frames(bones: dict[str, Bone]) -> dict[str, Frame]:
    """Find each vertebral body between the discs above and below it."""
    frames = {}
    for upper, level in pairwise(USUAL[1:]):
        above, below = bones[f"disc_{upper}"].vertices, bones[f"disc_{level}"].vertices
        frames[level] = _to_back_wall(_between(above, below), BEHIND_DISC_MM.get(level, 0.0))
    for level, (offset, height) in UPPER_NECK.items():
        size = frames["C3"].size * [1.0, 1.0, 0.0] + [0.0, 0.0, height]
        frames[level] = Frame(frames["C3"].centre + offset, np.eye(3), size)
    return {level: frames[level] for level in USUAL}


def _to_back_wall(frame: Frame, behind_mm: float) -> Frame:
    """Return a frame drawn out backwards by ``behind_mm``; its front stays."""
    centre = frame.centre - frame.axes[1] * behind_mm / 2
    return Frame(centre, frame.axes, frame.size + np.array([0.0, behind_mm, 0.0]))


def _between(above: Array, below: Array) -> Frame:
    top, bottom = _face(above, lower=True), _face(below, lower=False)
    front = (top[1] + bottom[1]) / 2
    up = top[0] - bottom[0]
    height = float(np.linalg.norm(up))
    up = up / height
    front = front - (front @ up) * up
    front /= np.linalg.norm(front)
    axes = np.stack([np.cross(front, up), front, up])
    size = np.array([(top[2] + bottom[2]) / 2, (top[3] + bottom[3]) / 2, height])
    return Frame((top[0] + bottom[0]) / 2, axes, size)


def _face(disc: Array, *, lower: bool) -> tuple[Array, Array, float, float]:
    """Return centre, forward direction, width and depth of a disc's lower or upper face."""
    centre = disc.mean(axis=0)
    axes = np.linalg.svd(disc - centre)[2]
    normal = axes[int(np.argmax(np.abs(axes[:, 2])))]
    normal = normal * np.sign(normal[2])
    side = ((disc - centre) @ normal < 0) == lower
    rim = disc[side]
    front = np.cross(normal, [1.0, 0.0, 0.0])
    spans = np.ptp(rim[:, 0]), np.ptp(rim @ front)
    return (rim.max(axis=0) + rim.min(axis=0)) / 2, front, float(spans[0]), float(spans[1])
