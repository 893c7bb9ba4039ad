"""Triangle meshes: read STL, weld, split in pieces, smooth, and build tubes. Units as given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Faces = NDArray[np.int64]

STL_HEADER_BYTES: Final = 80
STL_TRIANGLE: Final = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("tag", "<u2")])


def read_stl(path: Path) -> Array:
    """Return the (n, 3, 3) triangles of a binary STL file."""
    raw = path.read_bytes()
    count = int(np.frombuffer(raw, "<u4", 1, STL_HEADER_BYTES)[0])
    triangles = np.frombuffer(raw, STL_TRIANGLE, count, STL_HEADER_BYTES + 4)
    return triangles["corners"].astype(np.float64)


def weld(triangles: Array, tolerance: float) -> tuple[Array, Faces]:
    """Join the equal corners of (n, 3, 3) triangles: (m, 3) vertices and (n, 3) faces."""
    keys = np.round(triangles.reshape(-1, 3) / tolerance).astype(np.int64)
    unique, inverse = np.unique(keys, axis=0, return_inverse=True)
    vertices: Array = unique * np.float64(tolerance)
    return vertices, inverse.reshape(-1, 3).astype(np.int64)


def pieces(vertices: Array, faces: Faces) -> list[tuple[Array, Faces]]:
    """Split a mesh in its connected components, each with vertices of its own."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    links = coo_array((np.ones(len(edges)), edges.T), shape=(len(vertices),) * 2)
    count, label = connected_components(links, directed=False)
    return [_piece(vertices, faces, label == k) for k in range(count)]


def _piece(vertices: Array, faces: Faces, keep: NDArray[np.bool_]) -> tuple[Array, Faces]:
    place = np.cumsum(keep) - 1
    return vertices[keep], place[faces[keep[faces[:, 0]]]].astype(np.int64)


def subdivide(vertices: Array, faces: Faces) -> tuple[Array, Faces]:
    """Split each triangle in four and round it (Loop 1987, with Warren's vertex weights)."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    opposite = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])
    across, uses = np.zeros((len(unique), 3)), np.bincount(inverse)[:, None]
    np.add.at(across, inverse, vertices[opposite])
    ends = vertices[unique].sum(axis=1)
    middle = np.where(uses == 2, ends * 0.375 + across * 0.125, ends * 0.5)
    around, degree = np.zeros_like(vertices), np.zeros(len(vertices))
    for a, b in ((0, 1), (1, 0)):
        np.add.at(around, unique[:, a], vertices[unique[:, b]])
        np.add.at(degree, unique[:, a], 1)
    weight = np.where(degree > 3, 3 / (8 * np.maximum(degree, 1)), 3 / 16)
    moved = vertices * (1 - degree * weight)[:, None] + around * weight[:, None]
    ab, bc, ca = (inverse.reshape(3, -1) + len(vertices)).astype(np.int64)
    a, b, c = faces.T
    split = [[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]]
    return np.concatenate([moved, middle]), np.concatenate([np.stack(s, axis=1) for s in split])


def tube(path: Array, wide: Array, thin: Array, up: Array, sides: int = 8) -> tuple[Array, Faces]:
    """Build a closed tube of elliptic section along a path.

    Parameters
    ----------
    path : (n, 3) centre line.
    wide, thin : (n,) half-axes of the section along ``up`` and across it.
    up : (n, 3) direction of the wide axis; made square to the path here.
    sides : corners of a section.
    """
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = up - (up * along).sum(axis=1, keepdims=True) * along
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    across = np.cross(along, up)
    angle = np.arange(sides) * 2 * np.pi / sides
    rim_up = np.cos(angle)[None, :, None] * (wide[:, None] * up)[:, None]
    rim_across = np.sin(angle)[None, :, None] * (thin[:, None] * across)[:, None]
    rings = path[:, None] + rim_up + rim_across
    vertices = np.concatenate([rings.reshape(-1, 3), path[:1], path[-1:]])
    return vertices, _tube_faces(len(path), sides)


def _tube_faces(rings: int, sides: int) -> Faces:
    ring, side = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = ring * sides + side, ring * sides + (side + 1) % sides
    walls = [np.stack([a, b, a + sides], -1), np.stack([b, b + sides, a + sides], -1)]
    first, last = rings * sides, rings * sides + 1
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    base = (rings - 1) * sides
    caps = [
        np.stack([after, here, np.full(sides, first)], -1),
        np.stack([base + here, base + after, np.full(sides, last)], -1),
    ]
    return np.concatenate([part.reshape(-1, 3) for part in (*walls, *caps)]).astype(np.int64)


def resample(path: Array, count: int) -> Array:
    """Return (count, 3) points equally far apart along a (n, 3) path, smoothly interpolated."""
    from scipy.interpolate import PchipInterpolator

    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.maximum(step, 1e-6))])
    curve: Array = PchipInterpolator(length, path)(np.linspace(0, length[-1], count))
    return curve


def turn(axis: Sequence[float] | Array, degrees: float) -> Array:
    """Return the (3, 3) rotation by an angle about an axis, right-handed."""
    from scipy.spatial.transform import Rotation

    unit = np.asarray(axis, dtype=np.float64)
    matrix: Array = Rotation.from_rotvec(
        np.radians(degrees) * unit / np.linalg.norm(unit)
    ).as_matrix()
    return matrix
