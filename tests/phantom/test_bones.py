"""The atlas: each bone found and named, bodies where their meshes are."""

import numpy as np
import pytest

from vertebra_ml.anatomy import USUAL
from vertebra_ml.errors import DatasetError
from vertebra_ml.phantom import bones
from vertebra_ml.phantom.bones import KINDS, Frame, atlas
from vertebra_ml.phantom.meshes import pieces, subdivide, tube, turn, weld

COUNTS = {  # one person: 24 vertebrae; no disc below C1; humerus, radius and ulna twice
    "vertebra": 24, "disc": 23, "rib": 24, "sternum": 1, "scapula": 2, "clavicle": 2, "skull": 1,
    "jaw": 1, "sacrum": 1, "pelvis": 2, "femur": 2, "humerus": 6,
}  # fmt: skip


def test_every_bone_is_found_once() -> None:
    found = atlas().bones
    kinds = [bone.kind for bone in found.values()]
    assert {kind: kinds.count(kind) for kind in COUNTS} == COUNTS
    assert len(kinds) == sum(COUNTS.values())
    assert set(kinds) <= set(KINDS)
    assert all(name == bone.name for name, bone in found.items())


def test_vertebrae_are_named_head_to_foot() -> None:
    heights = [atlas().bones[level].vertices[:, 2].mean() for level in USUAL]
    assert (np.diff(heights) < -8).all()


def test_right_is_positive_x_and_sides_mirror() -> None:
    for n in range(1, 13):
        right, left = (atlas().bones[f"rib_{n}_{side}"].vertices for side in ("right", "left"))
        assert right[:, 0].min() > 0 > left[:, 0].max()
        # The badge of the maker, on the left of the chest, would differ from its mirror by far.
        np.testing.assert_allclose(right.mean(axis=0), left.mean(axis=0) * [-1, 1, 1], atol=5)


def test_meshes_are_no_mirror_images() -> None:
    # A mirrored mesh turns its faces inside out: the only sign of a left-right slip here, for the
    # person is as good as symmetrical. The discs are only measured, and some are wound inward.
    for bone in (bone for bone in atlas().bones.values() if bone.kind != "disc"):
        assert _volume(bone.vertices - bone.vertices.mean(axis=0), bone.faces) > 0, bone.name


def test_ribs_lie_beside_the_vertebra_of_their_number() -> None:
    for n in range(1, 13):
        rib = atlas().bones[f"rib_{n}_right"].vertices
        head = rib[np.argmin(rib[:, 0])]
        gaps = {m: abs(head[2] - atlas().frames[f"T{m}"].centre[2] - 8) for m in range(1, 13)}
        assert min(gaps, key=gaps.__getitem__) == n


@pytest.mark.parametrize("level", [level for level in USUAL if level not in {"C1", "C2"}])
def test_body_frames_hold_the_body(level: str) -> None:
    frame = atlas().frames[level]
    np.testing.assert_allclose(frame.axes @ frame.axes.T, np.eye(3), atol=1e-9)
    assert frame.axes[0][0] > 0.99
    local = frame.local(atlas().bones[level].vertices)
    np.testing.assert_allclose(frame.place(local), atlas().bones[level].vertices, atol=1e-9)
    body = local[local[:, 1] > 0]
    # Front wall and endplates within 4 mm of the frame's box; the coarse mesh bulges a little.
    assert abs(body[:, 1].max() - frame.size[1] / 2) < 4
    assert np.ptp(body[:, 2]) == pytest.approx(frame.size[2], abs=6)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bones.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DatasetError, match=r"myo-sim.*make setup"):
        bones.mesh_folder()


def test_frame_is_right_handed() -> None:
    frame = Frame(np.zeros(3), turn((1, 2, 3), 40), np.ones(3))
    assert np.linalg.det(frame.axes) == pytest.approx(1)


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def test_tube_is_closed_and_outward() -> None:
    path = np.column_stack([np.zeros(50), np.linspace(0, 100, 50), np.zeros(50)])
    half, up = np.full(50, 5.0), np.tile([0.0, 0.0, 1.0], (50, 1))
    vertices, faces = tube(path, half, half / 2, up, sides=64)
    # An elliptic cylinder: pi * 5 * 2.5 * 100 mm3, less a little for the corners.
    assert _volume(vertices, faces) == pytest.approx(np.pi * 5 * 2.5 * 100, rel=0.01)


def test_subdivide_rounds_a_cube_and_keeps_it_closed() -> None:
    corners = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = np.array([t for q in quads for t in ([q[0], q[1], q[2]], [q[0], q[2], q[3]])])
    vertices, split = subdivide(corners, faces)
    assert len(split) == 4 * len(faces)
    assert 0.4 < abs(_volume(vertices, split)) < 1.0
    np.testing.assert_allclose(vertices.mean(axis=0), 0.5, atol=0.05)


def test_weld_and_pieces_part_two_triangles() -> None:
    one = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float64)
    triangles = np.stack([one, one[[1, 0, 2]] + 1e-9, one + 5])
    vertices, faces = weld(triangles, 1e-6)
    assert len(vertices) == 6
    parts = pieces(vertices, faces)
    assert sorted(len(part[1]) for part in parts) == [1, 2]
