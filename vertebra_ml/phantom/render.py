"""From bones as triangle meshes to Hounsfield units: a cortical shell over a spongy interior.

The interior is filled by counting how often a ray along z crosses the mesh (exact along z, where a
grid is coarsest); the shell is splatted from points spread over the triangles, as deep as the
cortex, so a millimetre of cortex keeps its brightness on every grid.
"""

from dataclasses import dataclass

import numpy as np

from vertebra_ml.phantom.canvas import Array, Canvas, splat

JITTER_VOX = np.array([1.7e-4, 2.3e-4, 0.0])
"""Shift of the mesh off the grid, so that no ray meets an edge or a vertex exactly."""
POINTS_PER_CELL = 2.0
"""Points of the cortex for each piece of surface as large as a voxel's face."""


@dataclass(frozen=True, eq=False)
class Matter:
    """What one bone is made of.

    Parameters
    ----------
    cortex_hu : HU of compact bone.
    cortex_mm : thickness of the shell, one number or one a vertex (n,).
    spongy_hu : HU of the interior.
    texture_hu : strength (standard deviation) of the interior's texture.
    """

    cortex_hu: float
    cortex_mm: Array
    spongy_hu: float
    texture_hu: float


def paint_mesh(
    canvas: Canvas, vertices_mm: Array, faces: Array, matter: Matter, texture: Array
) -> None:
    """Paint one closed mesh, (n, 3) mm and (m, 3), on the part of ``canvas`` that it touches.

    ``texture`` is a field of the canvas' shape, mean 0 and standard deviation 1.
    """
    box = canvas.box(vertices_mm.min(axis=0) - 1, vertices_mm.max(axis=0) + 1)
    if box is None:
        return
    part = canvas.part(box)
    interior = fill(part, vertices_mm, faces)
    part.blend(interior, matter.spongy_hu + matter.texture_hu * texture[box])
    if matter.cortex_hu > 0:
        points, volumes = shell(vertices_mm, faces, matter.cortex_mm, part)
        part.blend(splat(part, points, volumes), np.float32(matter.cortex_hu))


def fill(canvas: Canvas, vertices_mm: Array, faces: Array) -> Array:
    """Return the part of each voxel (0..1) that lies inside a closed mesh.

    Ray crossings along z with the even-odd rule, so the turn of the triangles does not matter. A
    ray that meets an odd number of triangles (a hole in the mesh) takes the mean of its neighbours.
    """
    nx, ny, nz = canvas.array.shape
    corners = ((vertices_mm - canvas.origin_mm) / canvas.spacing_mm + JITTER_VOX)[faces]
    ray, height = _crossings(corners, nx, ny)
    order = np.lexsort((height, ray))
    ray, height = ray[order], height[order]
    counts = np.bincount(ray, minlength=nx * ny)
    turn = np.arange(len(ray)) - np.repeat(np.cumsum(counts) - counts, counts)
    odd = counts % 2 == 1
    sound = ~odd[ray]
    sign = np.where(turn % 2 == 0, 1.0, -1.0)[sound]
    filled = _between(ray[sound], height[sound], sign, (nx, ny, nz))
    if odd.any():
        _mend(filled, odd.reshape(nx, ny))
    return filled


def _crossings(corners: Array, nx: int, ny: int) -> tuple[Array, Array]:
    """Return ray numbers and heights (voxels) where rays along z meet triangles (m, 3, 3)."""
    low = np.maximum(np.ceil(corners[:, :, :2].min(axis=1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners[:, :, :2].max(axis=1)), [nx - 1, ny - 1]).astype(np.int64)
    spans = high - low + 1
    kept = (spans > 0).all(axis=1)
    corners, low, spans = corners[kept], low[kept], spans[kept]
    counts = spans.prod(axis=1)
    which = np.repeat(np.arange(len(counts)), counts)
    turn = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    x = low[which, 0] + turn % spans[which, 0]
    y = low[which, 1] + turn // spans[which, 0]
    a, b, c = (corners[:, i] for i in range(3))
    area = _cross(b - a, c - a)
    area = np.where(area == 0, np.inf, area)[which]  # an upright triangle is met by no ray
    ray = np.stack([x, y], axis=1)
    u = _cross(ray - a[which, :2], (c - a)[which]) / area
    v = _cross((b - a)[which], ray - a[which, :2]) / area
    hit = (u >= 0) & (v >= 0) & (u + v < 1)
    z = a[which, 2] + u * (b - a)[which, 2] + v * (c - a)[which, 2]
    return (x * ny + y)[hit], z[hit]


def _cross(p: Array, q: Array) -> Array:
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]


def _between(ray: Array, height: Array, sign: Array, shape: tuple[int, int, int]) -> Array:
    """Sum signed steps at ``height`` along z: 1 between entry and exit, exact in cut voxels."""
    nz = shape[2]
    inside = np.clip(height + 0.5, 0, nz)
    voxel = np.minimum(inside.astype(np.int64), nz - 1)
    covered = voxel + 1 - inside
    index = ray * (nz + 1) + voxel
    size = shape[0] * shape[1] * (nz + 1)
    steps = np.bincount(index, sign * covered, size)
    steps += np.bincount(index + 1, sign * (1 - covered), size)
    filled = np.cumsum(steps.reshape(shape[0], shape[1], nz + 1), axis=2)[:, :, :nz]
    return np.clip(filled, 0, 1).astype(np.float32)


def _mend(filled: Array, odd: Array) -> None:
    good = (~odd).astype(np.float32)
    padded, weight = np.pad(filled, ((1, 1), (1, 1), (0, 0))), np.pad(good, 1)
    moves = ((0, 1), (2, 1), (1, 0), (1, 2))
    nx, ny = odd.shape
    total = sum(padded[i : i + nx, j : j + ny] * weight[i : i + nx, j : j + ny, None]
                for i, j in moves)  # fmt: skip
    number = sum(weight[i : i + nx, j : j + ny] for i, j in moves)
    filled[odd] = (total / np.maximum(number, 1)[:, :, None])[odd]


def shell(
    vertices_mm: Array, faces: Array, thickness_mm: Array, canvas: Canvas
) -> tuple[Array, Array]:
    """Return points (n, 3) mm through the cortex of a mesh and the volume (n,) mm3 of each.

    Points lie closer than a voxel of ``canvas``, at all depths from the surface inwards. Triangles
    off the canvas are left out.
    """
    step = float(canvas.spacing_mm.min())
    thickness = np.broadcast_to(np.asarray(thickness_mm, float), len(vertices_mm))
    corners, depth = _near(vertices_mm[faces], thickness[faces].mean(axis=1), canvas)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = np.linalg.norm(normal, axis=1)
    corners, depth, normal, twice = (v[twice > 0] for v in (corners, depth, normal, twice))
    inward = -normal / twice[:, None] * _outwardness(vertices_mm, faces)
    area = twice / 2
    owner, places = _scattered(area, step)
    points = (corners[owner] * places[:, :3, None]).sum(axis=1)
    volumes = (area * depth / np.bincount(owner, minlength=len(area)).clip(1))[owner]
    return points + inward[owner] * (depth[owner] * places[:, 3])[:, None], volumes


def _near(corners: Array, depth: Array, canvas: Canvas) -> tuple[Array, Array]:
    reach = 2 * canvas.spacing_mm + 6
    low = canvas.origin_mm - reach
    high = canvas.origin_mm + canvas.spacing_mm * canvas.array.shape + reach
    kept = ((corners.max(axis=1) > low) & (corners.min(axis=1) < high)).all(axis=1)
    return corners[kept], depth[kept]


def _outwardness(vertices: Array, faces: Array) -> float:
    """Return 1 where triangles turn outwards (positive enclosed volume), -1 where inwards."""
    centred = vertices - vertices.mean(axis=0)
    a, b, c = (centred[faces[:, i]] for i in range(3))
    return 1.0 if (a * np.cross(b, c)).sum() >= 0 else -1.0


def _scattered(area: Array, step: float) -> tuple[Array, Array]:
    """Spread points evenly: return the triangle of each (n,) and (n, 4) barycentric and depth parts.

    An additive recurrence (R3, the powers of the root of x^4 = x + 1) fills every triangle and its
    depth more evenly than chance does.
    """
    counts = np.ceil(POINTS_PER_CELL * area / step**2).astype(int)
    owner = np.repeat(np.arange(len(area)), counts)
    parts = (np.arange(len(owner))[:, None] * np.array([0.8191725, 0.6710436, 0.5497005])) % 1
    folded = parts[:, 0] + parts[:, 1] > 1
    parts[folded, :2] = 1 - parts[folded, :2]
    rest = 1 - parts[:, :1] - parts[:, 1:2]
    return owner, np.concatenate([parts[:, :2], rest, parts[:, 2:]], axis=1)
