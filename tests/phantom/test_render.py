"""Meshes with known volume against what is painted of them."""

import numpy as np
import pytest

from vertebra_ml.phantom.canvas import Canvas
from vertebra_ml.phantom.render import Matter, Texture, fill, paint_mesh, shell

SMOOTH = Texture(np.zeros((4, 4, 4), np.float32), np.zeros((4, 4, 4), np.float32))
GRIDS = [(0.7, 0.7, 0.7), (1.3, 1.3, 2.0), (0.9, 2.1, 3.0)]


def sphere(radius: float, rings: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A closed sphere round the origin."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    turns = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    rows = [
        np.stack([np.sin(p) * np.cos(turns), np.sin(p) * np.sin(turns), np.cos(p) + 0 * turns], 1)
        for p in polar
    ]
    vertices = np.concatenate([*rows, [[0, 0, 1.0], [0, 0, -1.0]]]) * radius
    n, faces = len(turns), []
    for i in range(n):
        j = (i + 1) % n
        faces += [(len(vertices) - 2, i, j), (len(vertices) - 1, (rings - 2) * n + j,
                                              (rings - 2) * n + i)]  # fmt: skip
        for row in range(rings - 2):
            a, b, c, d = row * n + i, row * n + j, (row + 1) * n + i, (row + 1) * n + j
            faces += [(a, c, b), (b, c, d)]
    return vertices, np.array(faces)


def enclosed(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(abs((a * np.cross(b, c)).sum()) / 6)


def canvas_of(spacing: tuple[float, ...], reach: float = 25.0) -> Canvas:
    return Canvas.over(np.full(3, -reach), np.full(3, reach), np.array(spacing), 0.0)


def dense(canvas: Canvas, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    x, y, filled = fill(canvas, vertices, faces)
    full = np.zeros(canvas.array.shape, np.float32)
    full[x, y] = filled
    return full


@pytest.mark.parametrize("spacing", GRIDS)
def test_fill_holds_the_volume_of_the_mesh_on_any_grid(spacing):
    canvas = canvas_of(spacing)
    vertices, faces = sphere(17.3)
    volume = dense(canvas, vertices, faces).sum() * np.prod(spacing)
    assert volume == pytest.approx(enclosed(vertices, faces), rel=0.01)


def test_fill_is_exact_along_z_within_cut_voxels():
    corners = np.array([[x, y, z] for x in (-8, 8) for y in (-8, 8) for z in (-3.25, 4.5)], float)
    hull = np.array([(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
                     (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)])  # fmt: skip
    canvas = canvas_of((1.0, 1.0, 2.0), reach=20.0)
    column = dense(canvas, corners, hull)[20, 20]
    # Voxels span [-4, -2], .. [4, 6]: 1.25 of 2 mm below, 0.5 of 2 mm above.
    assert column[7:13] == pytest.approx([0, 0.625, 1, 1, 1, 0.25], abs=2e-4)


def test_fill_does_not_care_how_triangles_turn():
    canvas, (vertices, faces) = canvas_of((1.3, 1.3, 2.0)), sphere(15.0)
    mixed = faces.copy()
    mixed[::3] = mixed[::3, ::-1]
    assert np.array_equal(dense(canvas, vertices, faces), dense(canvas, vertices, mixed))


def test_a_hole_in_a_mesh_does_not_leak():
    canvas, (vertices, faces) = canvas_of((1.0, 1.0, 1.0)), sphere(15.0)
    torn = np.delete(faces, slice(0, 4), axis=0)
    outside = np.add.outer(np.add.outer(*[np.square(np.arange(50) - 24.5)] * 2),
                           np.square(np.arange(50) - 24.5)) > 17.0**2  # fmt: skip
    assert dense(canvas, vertices, torn)[outside].max() == 0


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("thickness", [0.6, 1.5])
def test_the_cortex_keeps_its_mass_on_any_grid(spacing, thickness):
    vertices, faces = sphere(17.3)
    points, volumes = shell(vertices, faces, np.array(thickness), canvas_of(spacing))
    area = 4 * np.pi * 17.3**2
    assert volumes.sum() == pytest.approx(area * thickness, rel=0.02)
    away = np.linalg.norm(points, axis=1)
    assert away.max() < 17.31
    assert away.min() > 17.3 - thickness - 0.4  # flat triangles cut the sphere


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.6, 1.6, 2.4)])
def test_a_thin_cortex_is_neither_lost_nor_blown_up_by_a_coarse_grid(spacing):
    canvas = canvas_of(spacing)
    paint_mesh(canvas, *sphere(17.3), Matter(1000.0, np.array(0.6), 0.0, 0.0), SMOOTH)
    mass = canvas.array.sum() * np.prod(spacing) / 1000
    assert mass == pytest.approx(4 * np.pi * 17.3**2 * 0.6, rel=0.04)
    assert canvas.array.max() <= 1000


def test_a_mesh_off_the_canvas_paints_nothing():
    canvas, (vertices, faces) = canvas_of((2.0, 2.0, 2.0)), sphere(5.0)
    paint_mesh(canvas, vertices + 100, faces, Matter(1000.0, np.array(1.0), 200.0, 0.0), SMOOTH)
    assert not canvas.array.any()


def test_a_mesh_cut_by_the_canvas_is_painted_up_to_its_face():
    whole, cut = canvas_of((1.5, 1.5, 1.5)), canvas_of((1.5, 1.5, 1.5))
    part = cut.part((slice(0, 20), slice(0, 17), slice(10, 20)))
    matter = Matter(900.0, np.array(1.0), 150.0, 0.0)
    for canvas in (whole, part):
        paint_mesh(canvas, *sphere(17.3), matter, SMOOTH)
    inner = whole.array[1:19, 1:16, 11:19]
    found = part.array[1:19, 1:16, 1:9]
    assert np.median(np.abs(found - inner)) < 1e-3
    assert found.mean() == pytest.approx(inner.mean(), rel=0.03)  # other points, the same mass
